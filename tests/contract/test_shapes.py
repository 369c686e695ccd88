"""One shape for one app and for ten: what ``-o json`` prints of one and of several differs in its rows alone."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.cli.schema import data_of, kinds
from difyops.cli.table import CommandEntry
from tests.conftest import Cli
from tests.contract.lines import ENTRIES, bare, examples, reading
from tests.contract.test_selectors import SEVERAL, name_of

APPS = ("nightly-report", "support-triage")
UNTOLD = {
    "history sync": "reading is all it does: --dry-run is refused",
    "snapshot restore": "one app that is here is refused, of several it is passed over: tests/snapshot/test_restore.py",
}


def shape_of(document: Any) -> tuple[str, str, list[str]]:
    """Return what a program that reads it must know first: its kind, a list or an object, and its fields."""
    data = document["data"]
    return document["kind"], type(data).__name__, sorted(data) if isinstance(data, dict) else []


def takes_contexts(entry: CommandEntry) -> bool:
    return any("--shard" in item.opts for item in entry.parser.params)


@pytest.mark.parametrize(("entry", "item"), [pair for pair in SEVERAL if pair[0].name not in UNTOLD], ids=name_of)
@pytest.mark.usefixtures("still_world")
def test_one_app_and_two_have_one_shape(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, entry: CommandEntry, item: Any
) -> None:
    words = bare(examples(entry)[0])
    if "staging" in words:
        monkeypatch.setenv("DIFYOPS_CONFIG", "later.yaml")
    given = entry.parser.make_context(entry.name, words[len(entry.words) :]).params[item.name] or []
    rest = [word for word in words if word not in (*given, "--yes", "--dry-run", "--bindings", "bindings.yaml")]
    dry = [] if reading(entry) else ["--dry-run"]
    one, two = (shape_of(cli(*rest, *apps, *dry, "-o", "json").json) for apps in (APPS[:1], APPS))
    assert one == two
    assert one[0] != "error"


def test_a_kind_has_one_shape() -> None:
    """What runs once per context has a row for each as soon as ``-c`` says several (docs/fleet.md)."""
    fleets = {entry.name.replace(" ", ".") for entry in ENTRIES if takes_contexts(entry)}
    assert [kind for kind in kinds() if isinstance(data_of(kind).get("type"), list) and kind not in fleets] == []

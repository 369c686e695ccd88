"""Files of a store that somebody wrote otherwise: every place of them damaged in every way is damage, and no crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from difyops.errors import StoreError
from difyops.git_store import GitStore
from difyops.sealing.values import summarized
from difyops.snapshot.layout import parsed, read_manifest, record_of
from tests.snapshot.broken_answers import Bench
from tests.snapshot.damage import Case, broken, cases


class Written:
    """A store in which one file has another content."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, _revision: str, _path: str) -> bytes:
        """Return it, whatever was asked for."""
        return self.content


def damages(content: bytes) -> list[tuple[Case, bytes]]:
    body = json.loads(content)
    found = [(case, broken(content, body, case)) for case in cases({"file": body})]
    return [*found, (Case(route="file", place=(), how="deep"), b"[" * 100_000)]


def unless_damaged(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except StoreError:
        return None


async def test_no_damage_of_a_file_is_a_crash(tmp_path: Path) -> None:
    bench = await Bench.made(tmp_path)
    app = next(iter(bench.manifest.apps))
    read, told = 0, 0
    for case, content in damages(bench.store.read(bench.commit, "manifest.json")):
        manifest = unless_damaged(partial(read_manifest, cast("GitStore", Written(content)), bench.commit))
        if manifest is None:
            told += 1
            continue
        assert manifest.encoded(), case
        assert all(entry.name.casefold() + entry.mode + entry.state for entry in manifest.apps.values()), case
        assert isinstance(manifest.covers_all, bool), case
        read += 1
    for case, content in damages(bench.store.read(bench.commit, f"apps/{app}/app.json")):
        record = unless_damaged(partial(record_of, content))
        if record is None:
            told += 1
            continue
        assert record.encoded(), case
        assert record.live_version is None or record.live_version[:8], case
        read += 1
    assert min(read, told) > 100


@pytest.mark.parametrize("content", [b"", b"7", b"NaN", b"[]", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff"])
def test_a_document_is_an_object(content: bytes) -> None:
    with pytest.raises(StoreError, match="damaged"):
        parsed(content)


SEALED = b'{"values": {"<difyops:sealed:0:1>": ["live:a", "draft:b"]}, "draft": "x"}'


def test_no_damage_of_what_lists_the_marks_is_a_crash() -> None:
    for case, content in damages(SEALED):
        found = unless_damaged(partial(summarized, content))
        assert found is None or found.only("live").places is not None, case

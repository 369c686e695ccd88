"""What a file of goals may say; every complaint has file, line and field."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from difyops.errors import ConfigError
from difyops.slo.goals_file import read_goals

GOOD = """\
goals:
  - name: a
    apps: all
    target: 99.5%
  - name: b
    apps: [support-*, "tag:x"]
    kind: latency
    within: 1.5s
    target: 95
    period: 7d
    endpoints: [webhook]
    counts: [ours, provider]
  - name: c
    apps: [x]
    kind: cost
    most: 0.02 EUR
    target: 90
    period: 30d
"""


BARE = "goals:\n  - name: a\n    apps: all\n    target: 9\n"


def read(folder: Path, text: str):
    file = folder / "slo.yaml"
    file.write_text(text)
    return read_goals(file)


def test_what_a_file_says(tmp_path: Path) -> None:
    one, two, three = read(tmp_path, GOOD)
    assert (one.percent, one.days, one.kind, one.minimum_events, one.apps) == (99.5, 28, "availability", 20, ("all",))
    assert (two.within, two.days, two.endpoints, two.counts) == (1.5, 7, ("webhook",), ("ours", "provider"))
    assert (three.most, three.currency, three.line) == (Decimal("0.02"), "EUR", 13)
    assert 0.9 < one.percent / 100 < 1


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ":1: "),
        ("goals: []\n", ":1: goals"),
        ("goals:\n  - name: a\n    apps: all\n", ":2: goals[0]"),
        ("goals:\n  - name: a\n    apps: all\n    target: 100\n", ":4: goals[0].target"),
        ("goals:\n  - name: a\n    apps: all\n    target: lots\n", ":4: goals[0].target"),
        ("goals:\n  - name: a\n    apps: all\n    target: .nan\n", ":4: goals[0].target"),
        ("goals:\n  - name: A b\n    apps: all\n    target: 9\n", ":2: goals[0].name"),
        ("goals:\n  - name: a\n    apps: []\n    target: 9\n", ":3: goals[0].apps"),
        (BARE + "    period: 14d\n", ":5: goals[0].period"),
        (BARE + "    kind: latency\n", ":2: goals[0]"),
        (BARE + "    within: 3s\n", ":5: goals[0].within"),
        (BARE + "    kind: latency\n    within: soon\n", ":6: goals[0].within"),
        (BARE + "    kind: cost\n    most: 0\n", ":6: goals[0].most"),
        (BARE + "    endpoints: [mail]\n", ":5: goals[0].endpoints[0]"),
        (BARE + "    owned: x\n", "owned"),
        (BARE + "  - name: a\n    apps: all\n    target: 9\n", ":5: goals[1].name"),
        ("goals:\n  - name: a\n    name: b\n", "slo.yaml"),
    ],
)  # fmt: skip
def test_what_it_may_not_say(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert place in caught.value.message
    assert str(tmp_path / "slo.yaml") in caught.value.message

"""Windows, factors and rules are Sloth's, to the last digit: held to its own golden files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.dsl.load import load_yaml
from difyops.slo.export import prometheus, rule_groups, sloth
from difyops.slo.goals_file import Goal
from difyops.slo.windows import PERIODS, pairs, span

DATA = Path(__file__).parent / "data"
BAD = 'sum(rate(http_request_duration_seconds_count{job="myservice",code=~"(5..|429)"}[{{.window}}]))'
ALL = 'sum(rate(http_request_duration_seconds_count{job="myservice"}[{{.window}}]))'


def goal(days: int, **fields: Any) -> Goal:
    return Goal(**{"name": "slo1", "kind": "availability", "apps": ("all",), "percent": 99.9, "days": days, **fields})


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("days", PERIODS)
def test_every_record_and_alert_is_sloths(days: int) -> None:
    golden = load_yaml((DATA / f"sloth-{days}d.yaml").read_text())["groups"]
    ours = rule_groups("svc01", goal(days), BAD, ALL)
    assert [group["name"] for group in ours] == [group["name"] for group in golden]
    for one, other in zip(ours, golden, strict=True):
        wanted = [rule for rule in other["rules"] if rule.get("record") != "sloth_slo_info"]  # it names Sloth's version
        assert len(one["rules"]) == len(wanted)
        for mine, theirs in zip(one["rules"], wanted, strict=True):
            assert mine.get("record") == theirs.get("record")
            assert squeezed(mine["expr"]) == squeezed(theirs["expr"])
            for name in ("sloth_id", "sloth_service", "sloth_slo", "sloth_window", "sloth_severity"):
                assert mine["labels"].get(name) == theirs["labels"].get(name)
            if "annotations" in mine:
                assert mine["annotations"]["title"] == theirs["annotations"]["title"]


def test_the_factors_of_the_workbook() -> None:
    assert [pair.factor for pair in pairs(30)] == [14.4, 6.0, 3.0, 1.0]
    assert [round(pair.factor, 4) for pair in pairs(28)] == [13.44, 5.6, 2.8, 0.9333]
    assert [round(pair.factor, 4) for pair in pairs(7)] == [13.44, 3.5, 1.4, 0.98]
    assert [span(hours) for hours in (5 / 60, 0.5, 1, 2, 6, 24, 72, 168)] == [
        "5m", "30m", "1h", "2h", "6h", "1d", "3d", "1w",
    ]  # fmt: skip


def test_a_specification_that_sloth_reads() -> None:
    text = sloth('pro"d', [goal(28, owner="team")])
    body = load_yaml(text)
    assert body["version"] == "prometheus/v1"
    (slo,) = body["slos"]
    assert slo["objective"] == 99.9
    assert "[{{.window}}]" in slo["sli"]["events"]["error_query"]
    assert 'context="pro\\"d"' in slo["sli"]["events"]["total_query"]
    assert len(load_yaml(prometheus("prod", [goal(7), goal(28, name="b")]))["groups"]) == 6

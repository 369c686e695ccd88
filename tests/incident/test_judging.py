"""Whether a change explains failures: by version, ours apart from the provider's and the caller's."""

from __future__ import annotations

import pytest

from difyops.api.runs import Run
from difyops.cli.incident import chosen_of
from difyops.errors import UsageError
from difyops.incident.judging import Since, judge
from difyops.incident.model import Share

OURS, PROVIDERS, CALLERS = "node code: KeyError", "Error code: 429 rate limit", "amount is required in input form"


def runs(*spans: tuple[float, int, int, str]) -> list[Run]:
    """Return runs of spans (begin, how many, how many failed, why)."""
    return [
        Run(id=f"{begin}-{number}", status="failed" if number < bad else "succeeded", started=begin + number,
            error=why if number < bad else "")
        for begin, count, bad, why in spans for number in range(count)
    ]  # fmt: skip


def versions(*times: float) -> list[Since]:
    """Return versions that went live at these times, newest first; the last was live before the window."""
    return [Since(at=at, version=f"v{round(at)}", told=f"v{round(at)}") for at in times]


@pytest.mark.parametrize(
    ("happened", "live", "verdict", "back_to"),
    [
        (runs((0, 20, 0, ""), (100, 5, 3, OURS)), versions(100, -9), "suspect", "v-9"),
        (runs((0, 20, 2, OURS), (100, 20, 10, OURS)), versions(100, -9), "suspect", "v-9"),
        (runs((0, 20, 10, OURS), (100, 20, 10, OURS)), versions(100, -9), "failing", ""),
        (runs((0, 20, 0, ""), (100, 20, 1, OURS)), versions(100, -9), "failing", ""),
        (runs((0, 20, 0, ""), (100, 20, 0, "")), versions(100, -9), "changed", ""),
        (runs((100, 5, 5, OURS)), versions(100, -9), "suspect", "v-9"),
        (runs((0, 20, 0, ""), (100, 20, 20, PROVIDERS)), versions(100, -9), "failing", ""),
        (runs((0, 20, 0, ""), (100, 20, 20, CALLERS)), versions(100, -9), "changed", ""),
        (runs((0, 20, 3, OURS)), versions(-9), "failing", ""),
        (runs((0, 20, 0, "")), [], "well", ""),
        ([], [], "well", ""),
        # two publishes: the first broke it, the second did not mend it, so both go
        (runs((0, 20, 0, ""), (100, 20, 15, OURS), (200, 9, 8, OURS)), versions(200, 100, -9), "suspect", "v-9"),
        # two publishes: only the second broke it
        (runs((0, 20, 0, ""), (100, 20, 0, ""), (200, 9, 8, OURS)), versions(200, 100, -9), "suspect", "v100"),
        # broken by the first, mended by the second
        (runs((0, 20, 0, ""), (100, 20, 15, OURS), (200, 9, 0, "")), versions(200, 100, -9), "changed", ""),
    ],
)
def test_verdict_and_way_back(happened: list[Run], live: list[Since], verdict: str, back_to: str) -> None:
    found = judge(happened, live)
    assert (found.verdict, found.back_to) == (verdict, back_to)


def test_numbers_are_shown_with_the_verdict() -> None:
    found = judge(runs((0, 20, 1, OURS), (100, 5, 3, OURS)), versions(100, -9))
    assert (found.before, found.now) == (Share(failed=1, runs=20), Share(failed=3, runs=5))
    assert found.why == "3 of 5 runs fail since v100; 1 of 20 before"
    assert found.error == OURS
    provider = judge(runs((100, 5, 5, PROVIDERS)), versions(-9))
    assert (provider.provider, provider.now.failed) == (5, 0)
    assert "a rollback does not help" in provider.why


@pytest.mark.parametrize(
    ("typed", "found"),
    [("", {2}), ("all", {1, 2, 3}), ("none", set()), ("1 3", {1, 3}), ("1,3", {1, 3}), ("2-3", {2, 3}), ("3-2", {2, 3}),
     ("orders", {1}), (" two words ", {3}), ("2 orders", {1, 2})],
)  # fmt: skip
def test_what_a_person_types(typed: str, found: set[int]) -> None:
    assert chosen_of(typed, ["orders", "3", "two words"], [2]) == found


def test_a_number_is_a_number_and_a_name_of_two_apps_is_none() -> None:
    assert chosen_of("3", ["a", "3", "c"], []) == {3}
    with pytest.raises(UsageError):
        chosen_of("twin", ["twin", "twin"], [])


@pytest.mark.parametrize("typed", ["4", "0", "x", "1-9", "all 1", "-"])
def test_what_is_no_number_of_the_list_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="nothing was changed"):
        chosen_of(typed, ["a", "b", "c"], [])

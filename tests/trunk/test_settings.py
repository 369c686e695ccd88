"""Durations and sizes: one reader, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.cli.door import seconds
from difyops.errors import UsageError
from difyops.runbook import parameters
from difyops.setting_values import duration, size
from difyops.settings import BadSetting


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("500ms", 0.5),
        ("10m", 600.0),
        ("1.5h", 5400.0),
        ("7d", 604800.0),
        (" 2 h ", 7200.0),
    ],
)
def test_a_duration_is_the_same_on_the_command_line_and_in_a_runbook(text: str, found: float) -> None:
    assert duration(text) == seconds(text) == parameters.seconds(text) == found


@pytest.mark.parametrize(
    "value", ["", "s", "-1s", "1w", "nan", "inf", "1e3", "\u0663s\n5", None, True, -1, [], 10**400]
)
def test_what_is_no_duration_is_refused_by_all(value: Any) -> None:
    with pytest.raises(BadSetting):
        duration(value)
    with pytest.raises(BadSetting):
        parameters.seconds(value)
    if isinstance(value, str):
        with pytest.raises(UsageError):
            seconds(value)


def test_nothing_at_all_is_a_duration_only_where_at_once_has_a_meaning() -> None:
    assert duration("0s") == seconds("0s", zero=True) == 0.0
    with pytest.raises(BadSetting):
        duration("0s", zero=False)
    with pytest.raises(UsageError):
        seconds("0s")


@pytest.mark.parametrize(("text", "found"), [("512", 512), ("64KB", 65536), ("1.5gb", 1610612736), (10, 10)])
def test_a_size(text: Any, found: int) -> None:
    assert size(text) == found


@pytest.mark.parametrize("value", ["", "KB", "-1", "1XB", None, True])
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(BadSetting):
        size(value)

"""The tree of errors: its codes and exit codes are what scripts depend on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from difyops import errors
from difyops.errors import DifyopsError
from difyops.outcome import Outcome, Table

EXIT_CODES = {
    "failed": 1, "usage": 2, "config": 2, "credential": 2, "selector": 2, "partial": 3, "auth": 4,
    "not_authenticated": 4, "forbidden": 4, "account_locked": 4, "no": 5, "not_supported": 6, "rate_limited": 7,
    "out_of_budget": 7, "refused": 8, "needs_confirmation": 8, "stale_plan": 8, "lock_held": 8, "unpublished_edits": 8,
    "unreachable": 1, "timed_out": 1, "server_fault": 1, "unreadable": 3, "rejected": 1, "not_found": 1, "conflict": 1,
    "store": 1, "state_away": 1, "state_moved": 8, "lock_lost": 8, "interrupted": 130, "nothing_kept": 2,
}  # fmt: skip


def tree(kind: type[DifyopsError] = DifyopsError) -> Iterator[type[DifyopsError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


def test_codes_and_exit_codes_are_as_promised() -> None:
    assert {kind.code: kind.exit_code for kind in tree()} == EXIT_CODES


def test_the_picture_of_the_tree_names_every_class_and_code() -> None:
    picture = errors.__doc__ or ""
    for kind in tree():
        assert re.search(rf"\b{kind.__name__}\b", picture), kind


@pytest.mark.parametrize("kind", list(tree()))
def test_every_error_is_one_sentence_and_an_object_for_programs(kind: type[DifyopsError]) -> None:
    error = kind("It broke.", hint="difyops doctor")
    assert str(error) == error.message == "It broke."
    body = json.loads(json.dumps(error.as_dict()))
    assert body["code"] == kind.code
    assert set(body) == {"code", "message", "hint", "retryable"}


def test_details_come_along_where_there_are_any() -> None:
    assert DifyopsError("x", details={"kind": "quota"}).as_dict()["details"] == {"kind": "quota"}


def test_the_end_of_a_command_has_the_exit_code_of_its_error() -> None:
    assert Outcome(kind="x", data=None).exit_code == 0
    assert Outcome(kind="x", data=[], error=errors.PartialFailure("1 of 2 failed.")).exit_code == 3


@pytest.mark.parametrize(
    ("values", "numeric"),
    [([1, 2.5, None], True), (["1", 2], False), ([True, 1], False), ([None], False), ([], False)],
)
def test_a_column_is_numeric_when_it_holds_numbers_only(values: list[object], numeric: bool) -> None:
    assert Table(columns=["n"], rows=[[value] for value in values]).is_numeric(0) is numeric

"""Columns of texts on a terminal: nothing is lost, nothing sticks out, and all formats say the same of a table."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.outcome import Table
from difyops.render.columns import folded, shared, width_of
from difyops.render.look import Look
from difyops.render.plain import as_markdown, as_plain
from difyops.render.terminal import as_terminal

words = st.text(st.sampled_from("ab1-日é👩 \u200d"), max_size=40)


@given(words, st.integers(2, 30))
def test_folded_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = folded(text, width)
    assert all(width_of(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.integers(0, 100), min_size=1, max_size=9), st.integers(9, 200))
def test_the_widest_columns_give_way_first(natural: list[int], room: int) -> None:
    widths = shared(natural, room)
    assert sum(widths) <= room
    level = max(widths)
    assert all(width >= min(wanted, level) - 1 for width, wanted in zip(widths, natural, strict=True))
    assert widths == natural or sum(widths) > room - len(natural)


@pytest.mark.parametrize("width", [20, 40, 80, 140])
@pytest.mark.parametrize("colour", [False, True])
def test_every_cell_stands_below_the_head_of_its_column(width: int, colour: bool) -> None:
    rows = [("日本語", 12, "failed", "x" * 60), ("a b", 7, "ok", None)]
    table = Table(columns=("name", "count", "status", "said"), rows=rows, title="T")
    shown = as_terminal([table], Look(form="table", colour=colour, width=width))
    bare = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert ("\x1b[" in shown) is colour
    assert all(width_of(line) <= width for line in bare.splitlines())
    assert "".join(bare.split()).count("x") == 60
    for mark in ("日", "本", "語", "12", "7", "fai"):
        assert mark in bare


def test_numbers_stand_right_and_texts_that_look_like_them_left() -> None:
    table = Table(columns=("id", "n"), rows=[("007", 5), ("日", 1234)])
    assert as_plain([table]).splitlines() == ["ID      N", "007     5", "日   1234"]
    assert as_markdown([table]).splitlines() == ["| id  |    n |", "|-----|-----:|", "| 007 |    5 |", "| 日  | 1234 |"]
    drawn = as_terminal([table], Look(form="table", colour=False, width=80))
    assert drawn.splitlines() == ["id       n", "─" * 10, "007      5", "日    1234"]

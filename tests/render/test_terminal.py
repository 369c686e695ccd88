"""Tables at any width: nothing is dropped, no line is longer than the screen, words stay whole where they fit."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from difyops.outcome import Facts, Table
from difyops.render.look import Look
from difyops.render.terminal import as_terminal

WORDS = st.text(alphabet=string.ascii_letters + string.digits, min_size=1, max_size=30)
CELLS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
TABLES = st.integers(1, 11).flatmap(
    lambda count: st.lists(st.lists(CELLS, min_size=count, max_size=count), min_size=1, max_size=4)
)


def drawn(rows: list[list[str]], width: int) -> str:
    columns = [f"c{place}" for place in range(len(rows[0]))]
    return as_terminal([Table(columns=columns, rows=rows)], Look(form="table", colour=False, width=width))


@given(rows=TABLES, width=st.sampled_from([40, 60, 80, 100, 140]))
def test_every_character_of_every_cell_is_on_the_screen(rows: list[list[str]], width: int) -> None:
    shown = drawn(rows, width)
    assert max(map(len, shown.splitlines())) <= width
    given_ = sorted("".join(rows[0] + [cell for row in rows[1:] for cell in row]).replace(" ", ""))
    seen = list(shown)
    for character in given_:
        assert character in seen
        seen.remove(character)


def test_words_stay_whole_where_they_fit_and_times_and_ids_are_shortened() -> None:
    row = ["support-triage", "advanced-chat", "prod, support", "2026-11-25T14:00:43Z",
           "451abd81-f1d6-4ed6-97f5-e837d70820fe", "always"]  # fmt: skip
    narrow = drawn([row], 80)
    for word in ("support-triage", "advanced-chat", "2026-11-25", "14:00Z", "451abd81", "always"):
        assert word in narrow
    assert "e837d70820fe" not in narrow
    assert "2026-11-25T14:00:43Z" in drawn([row], 200)


def test_a_table_that_is_too_wide_becomes_one_block_a_row_and_loses_no_column() -> None:
    rows = [[f"row{number}-column{place}" for place in range(8)] for number in range(2)]
    lines = drawn(rows, 40).splitlines()
    assert [line.split() for line in lines if line] == [
        [f"c{p}", f"row{n}-column{p}"] for n in range(2) for p in range(8)
    ]


def test_a_long_fact_is_not_cut() -> None:
    shown = as_terminal([Facts(pairs=[("place", "x" * 200)])], Look(form="table", colour=False, width=40))
    assert shown.count("x") == 200

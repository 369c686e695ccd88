"""``-o csv``: one header, the rows of ndjson, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

from difyops.cost.spending import Amount
from difyops.outcome import Outcome
from difyops.render.csv_text import as_csv


def test_rows_are_flat_and_remote_text_is_no_formula() -> None:
    records: list[dict[str, object]] = [
        {"name": '=HYPERLINK("http://x","y")', "n": 3, "at": datetime(2026, 11, 1, tzinfo=UTC), "whole": True,
         "said": (Amount(currency="USD", amount=Decimal("1.5"), low=Decimal(1), high=Decimal(2)),), "why": ()},
        {"name": "-two\nlines\x1b[31m", "n": None, "shift": -0.5, "text": "-3", "inner": {"p": 1}, "why": ("a", "b")},
    ]  # fmt: skip
    one, two = csv.DictReader(io.StringIO(as_csv(Outcome(kind="x", data=None, records=records))))
    assert one["name"] == '\'=HYPERLINK("http://x","y")'
    assert (one["n"], one["at"], one["whole"]) == ("3", "2026-11-01T00:00:00Z", "true")
    assert (one["said.USD"], one["said.USD.low"], one["said.USD.high"]) == ("1.5", "1", "2")
    assert two["name"].startswith("'-two")
    assert not {"\n", "\x1b"} & set(two["name"])
    assert (two["n"], two["shift"], two["text"], two["inner.p"], two["why"]) == ("", "-0.5", "-3", "1", '["a", "b"]')
    assert as_csv(Outcome(kind="x", data=[])) == ""

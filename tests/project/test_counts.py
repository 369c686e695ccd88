"""A number and what it counts agree: "1 app", never "1 apps". ``difyops.counting.counted`` tells both.

Looked at is every f-string of the package: a value that is followed by a word for many.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from difyops.counting import counted

HOUSE = Path(__file__).parents[2] / "difyops"
WORDS = (
    "answers apps calls cases changes checks contexts credentials datasets days deliveries documents effects entries"
    " events files findings goals inputs instances keys lines messages nodes places plugins problems providers"
    " questions recipients releases rotations rows rules runs secrets slots snapshots steps targets tokens tries"
    " triggers values versions"
).replace(" ", "|")
MANY = re.compile(rf" (?:{WORDS})\b(?! as | the | only | no | another | is | has | of the )")
NO_NUMBERS = {"table", "name", "form", "version", "what", "path", "app.name", "item.app.name", "resources.context.url",
              "now", "before", "kind", "verb", "word"}  # fmt: skip


def told_as_many(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if not re.search(rf"}} (?:{WORDS})\b", text):
        return []
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            match (value, after):
                case ast.FormattedValue(value=counting, format_spec=None, conversion=-1), ast.Constant(
                    value=str() as said
                ):
                    number = ast.unparse(counting)
                    if MANY.match(said) and number not in NO_NUMBERS and " if " not in number:
                        found.append(f"{path.relative_to(HOUSE)}:{node.lineno}: {{{number}}}{said[:30]}")
    return found


def test_what_is_counted_agrees_with_its_number() -> None:
    found = []
    for path in sorted(HOUSE.rglob("*.py")):
        found += told_as_many(path)
    assert found == [], "use difyops.counting.counted"


@pytest.mark.parametrize(
    ("number", "one", "many", "told"),
    [(0, "app", None, "0 apps"), (1, "app", None, "1 app"), (2, "entry", "entries", "2 entries"),
     (1, "app is", "apps are", "1 app is")],
)  # fmt: skip
def test_a_number_is_told_with_its_word(number: int, one: str, many: str | None, told: str) -> None:
    assert counted(number, one, many) == told

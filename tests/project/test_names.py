"""One word, one meaning: a public class name stands once in the package.

The emulator is left out. It plays another program, whose words (app, trigger, provider) are those of our own side of
the wire.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

NAMED_ALIKE = ("rotation/kinds",)  # one file is one plugin, and each holds a class of the same name
HOUSE = Path(__file__).parents[2] / "difyops"


def test_a_public_class_name_stands_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(HOUSE.rglob("*.py")):
        where = path.relative_to(HOUSE)
        if where.parts[0] == "emulator" or where.parent.as_posix() in NAMED_ALIKE:
            continue
        for name in re.findall(r"^class ([A-Za-z]\w*)", path.read_text(encoding="utf-8"), re.MULTILINE):
            places[name].append(str(where))
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}

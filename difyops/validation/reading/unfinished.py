"""Whether something may be missing at the end of a text that was mended."""

from __future__ import annotations

from difyops.validation.reading import cuts
from difyops.validation.reading.edits import closing
from difyops.validation.reading.mend import Mended, changed
from difyops.validation.reading.places import paths_at
from difyops.validation.reading.single import TextChange


def may_lack(document: object, found: Mended, value: object, ways: list[list[TextChange]]) -> bool:
    """Return whether something may be missing at the end of the text; ``ways`` lead to the same value."""
    if cuts.ends_by_layout(found.base):
        return False
    at_end = closing(ways, found.base)
    for way, closed in at_end:
        final = changed(found.base, way)
        behind = len(final.rstrip()) - 1
        paths = paths_at(final, [behind - number for number in range(closed)])
        by_line = closed == len(way)
        if cuts.may_be_whole(document, value, paths, found.base, closed_by_line=by_line):
            return False
    if at_end:
        return True
    if not found.unfinished:
        return False
    if any(change.text in ("}", "]") and found.base[change.start : change.end] in ("{", "[") for change in ways[0]):
        return True
    moves = any(change.text in ("}", "]") or (change.start and not change.text) for change in ways[0])
    return moves and cuts.declares_more(document, value)

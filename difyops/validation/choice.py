"""Which reading of one place stands, when the schema allows several.

Two preferences, both about evidence, not taste: a reading in which every member is one the schema declares beats one
with strangers, and a reading that explains the text with fewer slips beats one that swallowed unescaped quotes.
Where neither decides, all of them are returned, and the answer is ambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence

from difyops.validation.candidate import Candidate, settle_inventions
from difyops.validation.classify import is_echo
from difyops.validation.judge import Schema
from difyops.validation.shape import declared, nodes_at
from difyops.validation.verdict import EnforceOptions, Path


def stands(candidate: Candidate, schema: Schema, options: EnforceOptions) -> bool:
    """Return whether nothing speaks against a candidate: not its value, not how it was read."""
    settled = settle_inventions(candidate, schema, options)
    return settled.doubt is None and schema.accepts(settled.value) and not is_echo(settled.value, schema.document)


def standing(group: Sequence[Candidate], schema: Schema, options: EnforceOptions) -> list[Candidate]:
    """Return the candidates of one place that stand, one for each value; only one when the evidence decides."""
    best: dict[str, Candidate] = {}
    for candidate in group:
        if stands(candidate, schema, options):
            known = best.get(key := candidate.same_value())
            if known is None or _slips(candidate) < _slips(known):
                best[key] = candidate
    found = list(best.values())
    if len(found) > 1:
        found = _without_strangers(found, schema)
    return _without_daring(found) if len(found) > 1 else found


def _slips(candidate: Candidate) -> int:
    return candidate.repairs + candidate.absorbed


def _without_strangers(found: list[Candidate], schema: Schema) -> list[Candidate]:
    counts = [strangers(candidate.value, schema) for candidate in found]
    fewest = min(counts)
    return [candidate for candidate, count in zip(found, counts, strict=True) if count == fewest]


def strangers(root: object, schema: Schema) -> int:
    """Count the members that no subschema declares, where any are declared."""
    count = 0
    todo: list[tuple[Path, object]] = [((), root)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            names = declared(nodes_at(schema.document, path))
            count += len(value.keys() - names) if names else 0
            todo.extend(((*path, key), item) for key, item in value.items() if isinstance(item, dict | list))
        elif isinstance(value, list):
            todo.extend(((*path, index), item) for index, item in enumerate(value) if isinstance(item, dict | list))
    return count


def _without_daring(found: list[Candidate]) -> list[Candidate]:
    calm = [candidate for candidate in found if not candidate.absorbed]
    daring = [candidate for candidate in found if candidate.absorbed]
    if len(calm) == 1 and all(_slips(calm[0]) < _slips(other) for other in daring):
        return calm
    return found

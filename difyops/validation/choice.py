"""Which reading of one place stands, when the schema allows several.

Two preferences, both about evidence, not taste: a reading in which every member is one the schema declares beats one
with strangers, and a reading that explains the text with fewer slips beats one that swallowed unescaped quotes.
Where neither decides, all of them are returned, and the answer is ambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence

from difyops.validation.candidate import Candidate, settle_inventions
from difyops.validation.classify import is_echo
from difyops.validation.judge import Rules, Schema
from difyops.validation.shape import declared, nodes_at
from difyops.validation.verdict import Path


def stands(candidate: Candidate, rules: Rules) -> bool:
    """Return whether nothing speaks against a candidate: not its value, not how it was read."""
    settled = settle_inventions(candidate, rules)
    return (
        settled.doubt is None
        and rules.schema.accepts(settled.value)
        and not is_echo(settled.value, rules.schema.document)
    )


def standing(group: Sequence[Candidate], rules: Rules) -> list[Candidate]:
    """Return the candidates of one place that stand, one for each value; only one when the evidence decides."""
    found = one_for_each_value([candidate for candidate in group if stands(candidate, rules)])
    if len(found) > 1:
        found = _without_strangers(found, rules.schema)
    return _without_daring(found) if len(found) > 1 else found


def one_for_each_value(found: Sequence[Candidate]) -> list[Candidate]:
    """Return one candidate for each different value: the one with the fewest slips, the first of equals."""
    if len(found) < 2:
        return list(found)
    best: dict[str, Candidate] = {}
    for candidate in found:
        known = best.get(key := candidate.same_value())
        if known is None or _slips(candidate) < _slips(known):
            best[key] = candidate
    return list(best.values())


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

"""Cases in classes: by how much they ask, or by an input. The cut is made before anything is asked."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from difyops.counting import counted
from difyops.errors import UsageError
from difyops.evaluation.cases import Case
from difyops.evaluation.checks import as_text

NONE, SIZE, INPUT = "none", "size", "input:"
_PARTS = 3
_MOST = 6  # values of an input that are told apart; the rest is one class
_LONGEST = 40
_OTHER = "other"

ClassOf = Callable[[Case], str]


def classes_of(cases: Sequence[Case], by: str) -> tuple[tuple[str, ...], ClassOf]:
    """Return the names of the classes, the smallest cases or the commonest value first, and the class of a case.

    ``by``: size (thirds by characters), input:NAME (its values), none (no classes).

    Raises:
        UsageError: it is none of these, or no case has that input.
    """
    if by == NONE:
        return (), lambda case: ""
    if by == SIZE:
        return _by_size(cases)
    if by.startswith(INPUT) and by != INPUT:
        return _by_input(cases, by.removeprefix(INPUT))
    raise UsageError(f"--by {by!r} is none of size, input:NAME, none.", hint="--by size")


def size_of(case: Case) -> int:
    """Return how many characters a case asks."""
    return len(case.query) + sum(len(as_text(value)) for value in case.inputs.values())


def _by_size(cases: Sequence[Case]) -> tuple[tuple[str, ...], ClassOf]:
    sizes = sorted(size_of(case) for case in cases)
    cuts = sorted({sizes[(len(sizes) * part) // _PARTS - 1] for part in range(1, _PARTS)} if sizes else set())
    cuts = [cut for cut in cuts if cut < sizes[-1]]
    if not cuts:
        return (), lambda case: ""
    names = [f"up to {counted(cuts[0], 'character')}"]
    names += [f"{low + 1} to {counted(high, 'character')}" for low, high in itertools.pairwise(cuts)]
    names.append(f"more than {counted(cuts[-1], 'character')}")
    return tuple(names), lambda case: names[sum(size_of(case) > cut for cut in cuts)]


def _by_input(cases: Sequence[Case], name: str) -> tuple[tuple[str, ...], ClassOf]:
    counts = Counter(_value(case, name) for case in cases if name in case.inputs)
    if not counts:
        there = sorted({key for case in cases for key in case.inputs})
        raise UsageError(f"No case has the input {name!r} (there are: {', '.join(there) or 'none'}).")
    known = [value for value, _ in counts.most_common(_MOST)]
    names = [f"{name}: {value}" for value in known]
    has_rest = len(counts) > _MOST or any(name not in case.inputs for case in cases)

    def class_of(case: Case) -> str:
        value = _value(case, name) if name in case.inputs else None
        return f"{name}: {value}" if value in known else _OTHER

    return (*names, *([_OTHER] if has_rest else ())), class_of


def _value(case: Case, name: str) -> str:
    text = " ".join(as_text(case.inputs[name]).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

"""What one value of an answer comes to: the options that stand, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field

from difyops.validation.reading.load import key_of
from difyops.validation.reading.model import EXTRACT, Edit, Failing


@dataclass(slots=True)
class Option:
    """A value that satisfies the schema, and how it came about."""

    value: object
    edits: tuple[Edit, ...] = ()
    rung: str = EXTRACT

    @property
    def leaves_out(self) -> bool:
        """Return whether text around the value was left out."""
        return any(edit.reason == "text left out" for edit in self.edits)


@dataclass(slots=True)
class ValueFound:
    """What one value of the answer comes to: options that stand, or values that fail, or the code of why not."""

    valid: list[Option] = field(default_factory=list)
    failing: list[Failing] = field(default_factory=list)
    code: str | None = None
    message: str | None = None
    rivals: tuple[object, ...] = ()
    edits: tuple[Edit, ...] = ()

    def noted(self, *notes: Edit) -> ValueFound:
        """Put edits before those of each value, and return this."""
        if notes:
            self.valid = [Option(one.value, (*notes, *one.edits), one.rung) for one in self.valid]
            self.failing = [failing._replace(edits=(*notes, *failing.edits)) for failing in self.failing]
        return self


def distinct(options: list[Option]) -> list[Option]:
    """Return one option for each value: the one with the fewest edits."""
    if len(options) < 2:
        return options
    best: dict[bytes, Option] = {}
    for option in options:
        key = key_of(option.value)
        if key not in best or len(option.edits) < len(best[key].edits):
            best[key] = option
    return list(best.values())

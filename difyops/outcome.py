"""What a command hands back: one frozen result for every door, rendered by ``render`` and turned into an exit code.

A room returns its own frozen dataclass; the door wraps it here. ``data`` is what ``-o json`` shows under ``data``;
``blocks`` is the same thing laid out for people (terminal, plain text, markdown). Both are made from the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from difyops.errors import DifyopsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows for people. Cells are text or numbers; ``None`` shows as a dash; ``names`` is the column for ``-o name``."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None = None
    empty: str = "Nothing to show."

    def is_numeric(self, place: int) -> bool:
        """Say whether column ``place`` holds numbers only (and something)."""
        values = [row[place] for row in self.rows if row[place] is not None]
        return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Label and value, one a line."""

    pairs: Sequence[tuple[str, object]]
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Preformatted lines, each with an optional mark: ``+`` added, ``-`` removed, ``~`` changed, ``!`` warning."""

    lines: Sequence[tuple[str, str]]
    title: str | None = None


Block = Table | Facts | Lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a command.

    ``kind`` is the stable name of the data's shape (``snapshot.list``); ``error`` is set when the command ended badly
    but has data to show (partial failure, drift); its ``exit_code`` becomes the process's. ``names`` feeds ``-o name``
    and ``records`` feeds ``-o ndjson``; both default to the rows of ``data`` when it is a list.
    ``raw`` takes the place of the blocks on stdout: a document of its own, whole or in pieces; ``is_asked_for`` when an
    option asked for just that (``--as``, ``--to``), so that ``-q`` prints it, too.
    """

    kind: str
    data: object
    blocks: Sequence[Block] = ()
    summary: str | None = None
    warnings: Sequence[str] = ()
    names: Sequence[str] | None = None
    records: Sequence[Mapping[str, object]] | None = None
    error: DifyopsError | None = None
    raw: bytes | Iterable[bytes] | None = field(default=None, repr=False)
    is_asked_for: bool = False

    @property
    def exit_code(self) -> int:
        """Return 0, or the exit code of the error."""
        return self.error.exit_code if self.error else 0

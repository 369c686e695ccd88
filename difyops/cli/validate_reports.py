"""The reports of ``validate``: pieces wait in a temporary file until the counts at their head are known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from difyops import __version__, atomic_file
from difyops.validation import BatchSummary, Judged
from difyops.validation.report import BatchReport, Junit, Nagios, Sarif, nagios_code

Formats = Sequence[tuple[str, Path | None]]
"""The name of each report, and the file that it goes to; ``None`` is standard output."""

_IN_MEMORY = 1_000_000
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Spooled:
    """One report, and where its pieces wait. ``file`` is where it goes, ``None`` for standard output."""

    report: BatchReport
    file: Path | None
    pieces: IO[bytes]

    def add(self, judged: Judged) -> None:
        """Take one verdict.

        Raises:
            StoreError: there is no room for the temporary file.
        """
        try:
            self.pieces.write(self.report.piece(judged).encode())
        except OSError as error:
            raise atomic_file.store_error(error, Path(tempfile.gettempdir())) from error

    def chunks(self, summary: BatchSummary) -> Iterator[bytes]:
        """Yield the whole report once, of which little is in memory at a time."""
        with self.pieces:
            yield self.report.head(summary).encode()
            self.pieces.seek(0)
            while chunk := self.pieces.read(_CHUNK):
                yield chunk
            yield self.report.tail().encode()


@dataclass(slots=True)
class Reports:
    """The reports that were asked for."""

    spooled: Sequence[Spooled]

    @classmethod
    def of(cls, formats: Formats, name: str, min_first_pass: float | None = None, *, batch: bool = False) -> Reports:
        """Open them. ``name`` is what is judged; ``batch`` says that several answers come."""
        made: dict[str, BatchReport] = {
            "junit": Junit(name=name),
            "sarif": Sarif(uri=name, version=__version__, batch=batch),
            "nagios": Nagios(min_first_pass=min_first_pass),
        }
        return cls([Spooled(made[form], file, _spool()) for form, file in formats])

    @property
    def takes_stdout(self) -> bool:
        """Say whether a report goes to standard output, in the place of the verdicts."""
        return any(spooled.file is None for spooled in self.spooled)

    def add(self, judged: Judged) -> None:
        """Take one verdict into each."""
        for spooled in self.spooled:
            spooled.add(judged)

    def write(self, summary: BatchSummary) -> tuple[Iterable[bytes] | None, int | None]:
        """Write the files; return the report for standard output, and the exit code that monitoring expects.

        Raises:
            StoreError: a file cannot be written.
        """
        raw, code = None, None
        for spooled in self.spooled:
            if spooled.file is not None:
                atomic_file.write(spooled.file, spooled.chunks(summary))
                continue
            raw = spooled.chunks(summary)
            if isinstance(spooled.report, Nagios):
                code = nagios_code(summary, min_first_pass=spooled.report.min_first_pass)
        return raw, code


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)

"""Text of a run on stdout as it comes: safe to show, and no secret in it although it comes in pieces."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

from difyops.render.safe import text

_UNFINISHED = re.compile(r"[\w\-.~+/=\r]{1,400}\Z", re.ASCII)  # a piece of a key may be the beginning of one


@dataclass(slots=True)
class TextStream:
    """Writes what comes, but the word that may not be complete yet."""

    kept: str = ""
    told: list[str] = field(default_factory=list)

    def write(self, piece: str) -> None:
        """Take a piece of text."""
        self.told.append(piece)
        self.kept += piece
        unfinished = _UNFINISHED.search(self.kept[-400:])
        ready = len(self.kept) - (len(unfinished[0]) if unfinished and len(unfinished[0]) < 400 else 0)
        self._show(self.kept[:ready])
        self.kept = self.kept[ready:]

    def end(self, answer: str) -> bytes:
        """Write what was kept; return what is left to show of the whole ``answer``, its last line end included.

        A text that was replaced while it came, and outputs that never came as text, are shown whole. (A workflow may
        send more than its text: every output of its end node.)
        """
        self._show(self.kept)
        told = "".join(self.told)
        if told and answer.strip() in told:
            return b"" if told.endswith("\n") else b"\n"
        return ("\n\n" * bool(told) + text(answer) + "\n").encode()

    def _show(self, ready: str) -> None:
        if ready:
            sys.stdout.write(text(ready))
            sys.stdout.flush()

"""How much work one answer may cost. What is left is shared by all its pieces, so that many small ones cost no more
than one large one.
"""

from __future__ import annotations

from dataclasses import dataclass


class TooMuchEffort(Exception):
    """The answer would cost more work than it may."""


@dataclass(slots=True)
class Effort:
    """What may still be spent: edits tried, tokens read on, characters of readings judged, odd things rewritten.

    A word without quotes and a comment count as three odd things each.
    """

    edits: int = 10_000
    reads: int = 30_000
    characters: int = 8_000_000
    rewrites: int = 200_000

    @classmethod
    def for_text(cls, size: int) -> Effort:
        """Return what may be spent on a text of so many characters."""
        return cls(rewrites=8_000 + size // 6, reads=min(30_000, 12_000 + size // 4))

    def mends(self) -> None:
        """Spend what every broken piece costs, however little is wrong with it.

        Raises:
            TooMuchEffort: nothing is left.
        """
        self.edits -= 40
        if self.edits <= 0:
            raise TooMuchEffort

    def judges(self, characters: int) -> bool:
        """Spend so many characters of readings to be judged; say whether they were left."""
        self.characters -= characters
        return self.characters >= 0

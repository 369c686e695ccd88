"""The live view of a broadcast on stderr: answers as they come, and below them what is still at work.

On a terminal only; in a pipe, in CI and with ``-q`` nothing is drawn. Remote text goes through ``safe`` and Rich's
``Text``: codes and markup in it are inert.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from difyops.counting import counted
from difyops.render.safe import one_line, text

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

MOST_SHOWN = 20
_PACE = 0.1
_LOOKS = 4  # pictures a second while nothing arrives: the seconds of a silent agent go on
_MOST_ROWS = 12
_MOST_LINES = 12
_MARKS = {"answered": ("✓", "green"), "stopped": ("■", "yellow"), "skipped": ("-", "dim")}


@dataclass(slots=True)
class _Row:
    name: str
    began: float
    tail: str = ""


@dataclass(slots=True)
class View:
    """What is drawn; without a ``screen`` it takes everything and shows nothing."""

    total: int
    screen: Live | None = None
    shows_answers: bool = False
    rows: dict[str, _Row] = field(default_factory=dict)
    done: int = 0
    drawn: float = 0.0

    def started(self, target: str, name: str) -> None:
        """Show that a target's turn came."""
        self.rows[target] = _Row(name, time.monotonic())
        self._draw()

    def delta(self, target: str, piece: str) -> None:
        """Show the end of what a target said so far."""
        row = self.rows.get(target)
        if row is not None and self.screen is not None:
            row.tail = (row.tail + piece)[-200:]
            self._draw()

    def ended(self, target: str, name: str, status: str, said: str, seconds: float | None) -> None:
        """Print a target's answer, or why there is none, above the rest."""
        self.rows.pop(target, None)
        self.done += 1
        if self.screen is None:
            return
        from rich.text import Text

        mark, style = _MARKS.get(status, ("✗", "red"))
        took = f" {seconds:.1f} s" if seconds is not None else ""
        self.screen.console.print(Text(f"{mark} {one_line(name)}{took}", style=style))
        if self.shows_answers or status != "answered":
            self.screen.console.print(Text(_shortened(said)))
        self._draw()

    def _draw(self) -> None:
        now = time.monotonic()
        if self.screen is None or now - self.drawn < _PACE:
            return
        self.drawn = now
        self.screen.refresh()

    def picture(self) -> Group:
        """Return what is at work now, one line an agent, and the count."""
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic()
        width = self.screen.console.width if self.screen else 80
        lines = [
            Text(f"  {one_line(row.name)}  {now - row.began:.0f} s  {one_line(row.tail)}"[:width], style="dim")
            for row in list(self.rows.values())[:_MOST_ROWS]
        ]
        more = len(self.rows) - _MOST_ROWS
        tail = f", {more} more at work" if more > 0 else ""
        return Group(*lines, Text(f"{self.done} of {self.total} ended{tail}", style="bold"))


@contextlib.contextmanager
def live_view(total: int, *, quiet: bool = False, answers: bool = True) -> Iterator[View]:
    """Hand out the view of ``total`` targets; ``answers`` prints whole answers above it, else one line for each."""
    if not _is_drawn(quiet):
        yield View(total)
        return
    from rich.console import Console
    from rich.live import Live

    plain = bool(os.environ.get("NO_COLOR"))
    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False, no_color=plain)
    view = View(total, shows_answers=answers)
    with Live(console=console, get_renderable=view.picture, refresh_per_second=_LOOKS, transient=True) as screen:
        view.screen = screen
        yield view


def was_shown(targets: int, quiet: bool) -> bool:
    """Say whether the person at this terminal saw the answers already."""
    return targets <= MOST_SHOWN and _is_drawn(quiet) and sys.stdout.isatty()


def _is_drawn(quiet: bool) -> bool:
    return not quiet and sys.stderr.isatty() and not os.environ.get("CI")


def _shortened(said: str) -> str:
    lines = text(said).strip().splitlines()
    more = [f"... and {counted(len(lines) - _MOST_LINES, 'more line')}"] if len(lines) > _MOST_LINES else []
    return "\n".join(f"  {line[:2000]}" for line in [*lines[:_MOST_LINES], *more])

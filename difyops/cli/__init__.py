"""The doors: the only home of Typer. One file per noun, named as its room.

A door parses, calls its room and RETURNS an ``Outcome``; it never prints. ``main`` is the one place that runs the event
loop, shows the outcome and turns it into an exit code. Heavy libraries load only when a command that needs them runs.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # as in ``completion``
if TYPE_CHECKING:
    from collections.abc import Sequence

_GARBAGE = (50_000, 20, 50)  # a command ends soon: to look for circles less often takes a twentieth off a long list


def main(arguments: Sequence[str] | None = None) -> None:
    """Run difyops and leave the process with its exit code."""
    if "_DIFYOPS_COMPLETE" in os.environ:
        from difyops.cli.quick_completion import answer

        if (said := answer(dict(os.environ))) is not None:
            sys.stdout.write(said + "\n")
            sys.exit(0)
    from difyops.cli.standard_streams import complete_standard_streams

    complete_standard_streams()
    gc.set_threshold(*_GARBAGE)
    from difyops.cli.root import run

    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))

"""``python -m tests.picture``: draw docs/terminal.svg from a real run against the emulator to play in."""

from __future__ import annotations

import io
import os
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from difyops.emulator import Emulator
from tests.cli.processes import on_terminal

PLACE = Path(__file__).parents[1] / "docs" / "terminal.svg"
WIDTH = 104
LINES = (
    "difyops snapshot create --tag v1",
    "difyops emulator break support-triage",
    "difyops snapshot drift",
    "difyops snapshot rollback support-triage --to v1 --yes",
)


def main() -> None:
    """Run the lines on a terminal and write the picture."""
    emulator = Emulator(playful=True, speed=1000.0)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    with emulator.listening() as url, tempfile.TemporaryDirectory() as place:
        environment = {
            **os.environ, "DIFYOPS_STATE": f"{place}/state", "DIFYOPS_STORE": f"{place}/store", "DIFY_BASE_URL": url,
            "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password,
        }  # fmt: skip
        for line in LINES:
            console.print(Text(f"$ {line}", style="bold cyan"))
            if "emulator break" in line:
                emulator.play("break", line.split()[-1])
                console.print("somebody published a broken version of support-triage")
                continue
            shown = on_terminal(line.split()[1:], columns=WIDTH, environment=environment).text
            clean = re.sub(r"\x1b\[K|\r(?!\n)", "", shown.replace("\r\n", "\n")).replace(
                url, "https://dify.example.com"
            )
            console.print(Text.from_ansi(clean.rstrip()))
    PLACE.write_text(console.export_svg(title="difyops"))


if __name__ == "__main__":
    main()

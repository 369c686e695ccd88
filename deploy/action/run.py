"""Run the command lines of the input ``run`` of action.yml, and say in the job's summary how each ended.

Reads ``RUN``, ``ALLOW``, ``KEEP_GOING`` and ``PLACE`` (where difyops is installed) from the environment.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from pathlib import Path

from difyops.cli.explain import EXIT_CODES


def main() -> int:
    """Run every line; return the first exit code that is not allowed, or 0."""
    try:
        lines = list(command_lines(os.environ["RUN"]))
        allowed = {0, *(int(word) for word in os.environ.get("ALLOW", "").replace(",", " ").split())}
    except ValueError as error:
        print(f"::error::The inputs of the action cannot be read: {error}")
        return 2
    if not lines:
        print("::error::The input run names no command.")
        return 2
    ended = []
    for words in lines:
        ended.append((words, run(words)))
        if ended[-1][1] not in allowed and os.environ.get("KEEP_GOING") != "true":
            break
    codes = [code for _, code in ended]
    append("GITHUB_STEP_SUMMARY", summary(ended, left_out=len(lines) - len(ended)))
    append("GITHUB_OUTPUT", f"exit-code={next((code for code in codes if code), 0)}\n")
    return next((code for code in codes if code not in allowed), 0)


def command_lines(text: str) -> list[list[str]]:
    """Return the words of each line, without the word ``difyops`` at its beginning.

    Raises:
        ValueError: a quotation mark is not closed.
    """
    found = (shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines())
    return [words[1:] if words[0] == "difyops" else words for words in found if words]


def run(words: list[str]) -> int:
    """Run one command in a group of the log; texts of an instance are no workflow commands in it."""
    shown, token = shlex.join(["difyops", *words]), secrets.token_hex(16)
    print(f"::group::{shown}\n::stop-commands::{token}", flush=True)
    code = subprocess.run([Path(os.environ["PLACE"], "bin", "difyops"), *words], check=False).returncode
    print(f"::{token}::\n::endgroup::\nexit {code}: {meaning(code)}", flush=True)
    return code


def meaning(code: int) -> str:
    """Return what an exit code of difyops means."""
    return EXIT_CODES[code][1] if code in EXIT_CODES else "difyops was ended from outside."


def summary(ended: list[tuple[list[str], int]], *, left_out: int) -> str:
    """Return the table of a job's summary."""
    rows = [
        f"| `{shlex.join(['difyops', *words]).replace('|', '&#124;').replace('`', ' ')}` | {code} | {meaning(code)} |"
        for words, code in ended
    ]
    more = [f"\n{left_out} more not run."] if left_out else []
    return "\n".join(["| command | exit | |", "|---|---|---|", *rows, *more]) + "\n\n"


def append(name: str, text: str) -> None:
    """Add to one of the files that a job hands out by an environment variable."""
    if place := os.environ.get(name):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())

"""Streams that were closed before the start: outputs act as ``/dev/null``, input is told where it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest


def ran(words: str, closed: str) -> tuple[int, str]:
    """Run a command line of the shell with streams closed, and return exit code and what is left of the output."""
    line = f"{sys.executable} -m difyops {words} {closed}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&- <&-", 0)])
def test_closed_outputs_are_as_dev_null(closed: str, code: int) -> None:
    ended, said = ran("context list", closed)
    assert ended == code
    assert "Traceback" not in said


def test_closed_input_is_usage_where_it_is_read() -> None:
    code, said = ran("broadcast - --to A", "<&-")
    assert code == 2
    assert "Standard input is closed" in said

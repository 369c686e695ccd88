"""A machine with nothing: no home folder, no name of the user, the C locale, a terminal that can do nothing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.cli.processes import WORDS

_CODE = """
import os, sys
from difyops.cli.root import run
from difyops.cli.session import Session, begin
lines = [["app", "list"], ["app", "show", "wf-echo", "-o", "json"], ["snapshot", "create"], ["snapshot", "list"],
         ["context", "list"], ["app", "disable", "wf-echo", "--yes"], ["context", "use", "nobody"]]
for words in lines:  # loads all: others may not read the code
    begin(Session())
    run(words)
for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
os.environ["DIFYOPS_STATE"] = sys.argv[1]
os.setuid(54321)
for words in lines:
    begin(Session())
    print(words, "ended", run(words), flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without a name and a home")
def test_without_home_and_name_in_the_c_locale(emulator: Emulator, connected: str) -> None:
    with tempfile.TemporaryDirectory() as state:
        Path(state).chmod(0o777)
        ran = subprocess.run(
            [WORDS[0], "-c", _CODE, state],
            env={**os.environ, "LC_ALL": "C", "TERM": "dumb"}, capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "fault of difyops" not in ran.stderr + ran.stdout
    codes = [int(line.rpartition(" ")[2]) for line in ran.stdout.splitlines() if " ended " in line]
    assert codes[:6] == [0] * 6, (codes, ran.stderr)
    assert codes[6] == 2

"""``make demo`` is the first thing that a stranger runs: it ends well, and says what it proved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.demo import ROOT


def test_the_demo_proves_what_it_says(tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / "tests" / "demo.py"), str(tmp_path / "store")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The workflow is back and its rotated secret is alive." in done.stdout
    assert "No drift: live is the last snapshot." in done.stdout

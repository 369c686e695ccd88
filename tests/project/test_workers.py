"""The workers of ``make test``: each test is told once, one that kills its worker fails alone, and the rest runs."""

from __future__ import annotations

import sys
from pathlib import Path

from tests import processes

SUITE = """
import os, pytest, signal, warnings

@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")

@pytest.mark.parametrize("number", range(40))
def test_counts(number, place):
    print("said by", number)
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 20:
        warnings.warn("about twenty")
    assert number != 30
"""


def test_each_test_is_told_once_and_one_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(SUITE)
    words = ["-p", "tests.workers", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    ran = processes.run(
        [sys.executable, "-m", "pytest", *words, "--workers", "3", "-v", "--basetemp", str(tmp_path / "own"), "."],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    assert "4 failed, 76 passed" in ran.stdout
    assert ran.stdout.count("- the worker ended with -9") == 2
    assert ran.stdout.count("said by 30\n") == 2
    assert "UserWarning: about twenty" in ran.stdout
    told = [line.split()[0] for line in ran.stdout.splitlines() if line.startswith("test_") and "ED  " in line]
    assert len(set(told)) == len(told) == 80

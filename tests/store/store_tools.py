"""What the store's tests share: a short way to commit, plain git, and child processes that write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops.git_store import GitStore
from tests.processes import Process

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CHILD = Path(__file__).with_name("store_child.py")


def save(store: GitStore, files: Mapping[str, bytes | None], branch: str = "prod", **more: Any) -> str:
    """Commit ``files`` as the whole tree on top of the branch, unless said otherwise."""
    wanted: dict[str, Any] = {
        "base": store.head(branch),
        "replace": True,
        "message": "A snapshot",
        "author": "Ada <ada@example.com>",
        "when": NOON,
    }
    return store.commit(branch, files, **(wanted | more))


def git(folder: Path, *arguments: str) -> str:
    """Run plain git the way a person would, with an identity; return its output."""
    identity = ["-c", "user.name=Person", "-c", "user.email=person@example.com"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree(store: GitStore, rev: str) -> dict[str, bytes]:
    """Return path -> content of a commit."""
    return store.read_many(rev, list(store.blob_ids(rev)))


def start_child(*arguments: str, path_first: Path | None = None) -> Process:
    """Start a writer in a process group of its own. ``path_first`` is looked in for programs before all others."""
    environment = dict(os.environ)
    if path_first:
        environment["PATH"] = f"{path_first}:{environment['PATH']}"
    return Process(
        [sys.executable, str(CHILD), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )

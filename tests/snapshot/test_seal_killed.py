"""A change of the seal that is killed anywhere: every head is whole, opens here, and the same command ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difyops import credentials
from difyops.clock import SystemClock
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.sealing.age import new_identity
from difyops.sealing.store import read_seal
from difyops.snapshot import seals
from difyops.snapshot.seals import NewSeal, set_recipients
from tests.conftest import Cli
from tests.places import context_name
from tests.snapshot.colleague import Colleague, set_secret

STEPS = 24  # more than there are: a child that is not killed ends by itself


def _killed_at(number: int, words: tuple[str, ...], cli: Cli) -> bool:
    """Run a command in a child that is killed before or after its n-th writing step; say whether it was killed."""
    child = os.fork()
    if child == 0:
        _killing(number)
        try:
            cli(*words)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _killing(number: int) -> None:
    """Have each writing step of a change of the seal count, and the n-th one kill this process."""
    left = [number]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            count()
            result = call(*args, **kwargs)
            count()
            return result

        return wrapped

    GitStore.commit = counted(GitStore.commit)  # type: ignore[method-assign]
    Access.agree = counted(Access.agree)  # type: ignore[method-assign]
    credentials.store = counted(credentials.store)
    seals.keep_key = counted(seals.keep_key)  # type: ignore[attr-defined]


@pytest.mark.parametrize("stride", [6, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("verb", ["add", "remove", "rotate"])
def test_a_killed_change_of_the_seal_is_whole_and_ends_with_the_next(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path, verb: str, stride: int
) -> None:
    colleague.edit(colleague.app_id("wf-llm"), set_secret("kill-canary-8841"))
    colleague.publish(colleague.app_id("wf-llm"))
    assert cli("snapshot", "create", "-q").code == 0
    path, branch = tmp_path / "data" / "difyops" / "snapshots", context_name()
    mine, other, third = new_identity(), new_identity(), new_identity()
    where = tmp_path / "identity"
    where.write_text(mine.secret.reveal())
    where.chmod(0o600)
    store, access = GitStore.open(path), Access(state=tmp_path / "state")
    found = read_seal(store, branch)
    assert found
    access.agree(found.store_id, access.agreed(found.store_id).__class__(identity=f"file:{where}"))
    set_recipients(
        store, branch, NewSeal(recipients=(str(mine.recipient), str(other.recipient))), access, SystemClock()
    )
    assert cli("snapshot", "create", "-q").code == 0
    words = {
        "add": ("snapshot", "seal", "add", str(third.recipient), "--yes"),
        "remove": ("snapshot", "seal", "remove", str(other.recipient), "--yes"),
        "rotate": ("snapshot", "seal", "rotate", "--store-key", "--identity", f"file:{tmp_path / 'next'}", "--yes"),
    }[verb]
    for number in range(1 if stride > 1 else 0, STEPS, stride):
        killed = _killed_at(number, words, cli)
        assert cli("snapshot", "verify").code == 0
        status = cli("snapshot", "seal", "status", "-o", "json").json["data"]
        assert (status["opens"], status["lost"]) == (True, 0), (number, status)
        taken = cli("snapshot", "create", "-q")
        assert taken.code == 0 or "seal status --agree" in taken.err, taken.err
        if not killed:
            break
    assert not killed, "every step was tried"
    again = cli(*words)
    assert again.code == 0 or "means 0 of the recipients" in again.err or "is in use" in again.err, again.err
    assert cli("snapshot", "seal", "status", "--agree", "--yes").code == 0
    assert cli("snapshot", "create", "-q").code == 0
    assert cli("snapshot", "drift").code == 0

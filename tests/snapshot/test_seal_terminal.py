"""``seal init`` at a terminal: the recovery identity is shown once, has to come back, and opens what is sealed then."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from difyops.git_store import GitStore
from difyops.sealing.age import read_identities
from difyops.sealing.store import read_seal
from difyops.sealing.values import opened
from tests.cli.processes import on_terminal
from tests.conftest import Cli
from tests.places import context_name
from tests.snapshot.colleague import Colleague

INIT = ("snapshot", "seal", "init")
GO_ON, PASTE = b"Press Enter to go on.", b"Type or paste it"


def recovery(shown: str) -> str:
    (identity,) = re.findall(r"AGE-SECRET-KEY-1[0-9A-Z]+", shown)
    return str(identity)


def stored(tmp_path: Path) -> GitStore:
    return GitStore.open(tmp_path / "data" / "difyops" / "snapshots")


def recipients(tmp_path: Path) -> tuple[str, ...]:
    found = read_seal(stored(tmp_path), context_name())
    assert found
    return found.recipients


def test_it_ends_only_when_the_recovery_identity_came_back(
    cli: Cli, connected: str, colleague: Colleague, tmp_path: Path
) -> None:
    assert cli("snapshot", "create", "-q").code == 0
    left = on_terminal(INIT, sent=signal.SIGINT, question=PASTE, talk=[(GO_ON, lambda shown: "\n")])
    assert left.code == 130
    wrong = on_terminal(INIT, talk=[(GO_ON, lambda shown: "\n"), *[(PASTE, lambda shown: "something else\n")] * 3])
    assert wrong.code == 8
    assert "nothing was changed" in wrong.text
    assert recipients(tmp_path) == ()
    done = on_terminal(
        INIT,
        talk=[
            (GO_ON, lambda shown: "\n"),
            (PASTE, lambda shown: "AGE-SECRET-KEY-1WRONG\n"),
            (PASTE, lambda shown: f"{recovery(shown)}\n"),
        ],
    )
    assert done.code == 0, done.text
    shown_once = recovery(done.text)  # what is typed is not echoed
    assert len(recipients(tmp_path)) == 2
    kept = tmp_path / "config" / "difyops" / "seal-identity.txt"
    assert kept.stat().st_mode & 0o077 == 0
    assert [path for path in tmp_path.rglob("*") if path.is_file() and shown_once in path.read_text("latin-1")] == []
    assert cli("snapshot", "create", "-q").code == 0
    app = colleague.app_id("wf-llm")
    content = stored(tmp_path).read(context_name(), f"apps/{app}/sealed.age")
    (mine,) = opened(app, content, read_identities(kept.read_text())).values.values()
    (theirs,) = opened(app, content, read_identities(shown_once)).values.values()
    assert mine.reveal() == theirs.reveal() == colleague.clear(app)["API_TOKEN"]

"""A draft kept because a newer one was saved: listed, shown without secrets, put back where nobody else's is."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.sealing.access import Access, Agreed
from difyops.sealing.age import new_identity
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, node
from tests.snapshot.test_faults import roll_back_with, spoiled
from tests.snapshot.test_races import once, title, unpublished


def test_a_kept_draft_is_found_and_put_back(
    cli: Cli, v1: str, colleague: Colleague, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine agreed to a recipient: what is kept is for its identity only, which comes in later."""
    identity, state = new_identity(), tmp_path / "state"
    Access(state=state).agree("a-store", Agreed(recipients=(str(identity.recipient),)))
    app = spoiled(colleague)
    unpublished(colleague, app)
    done = roll_back_with("after write draft", once(lambda: colleague.edit(app, title("newer"))))
    assert "difyops changes draft" in done.warnings[0]
    (kept,) = cli("changes", "draft", "-o", "json").json["data"]
    assert kept["app_id"] == app
    assert "canary" not in Path(kept["place"]).read_text()
    for words in ([], ["--put-back", "--yes"]):
        closed = cli("changes", "draft", kept["name"], *words)
        assert closed.code == 2, closed.err
        assert "DIFYOPS_SEAL_IDENTITY" in closed.err
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", identity.secret.reveal())
    shown = cli("changes", "draft", kept["name"])
    assert "half done" in shown.out
    assert "draft-canary" not in shown.out + shown.err
    refused = cli("changes", "draft", kept["name"], "--put-back", "--yes")
    assert refused.code == 8, refused.err  # the newer draft is somebody's
    colleague.publish(app)
    emulator.control.fail(method="POST", path="workflows/draft", how="lost")
    assert cli("changes", "draft", kept["name"], "--put-back", "--yes").code == 1
    assert cli("changes", "finish", app, "--yes").code == 0  # an answer that was lost does not block the app for ever
    colleague.publish(app)
    back = cli("changes", "draft", kept["name"], "--put-back", "--yes")
    assert back.code == 0, back.err
    assert node(colleague.draft(app), "start")["title"] == "half done"
    assert colleague.clear(app)["API_TOKEN"] == "draft-canary"
    assert cli("changes", "draft", "-o", "json").json["data"] == []

"""A draft kept because a newer one was saved: listed, shown without secrets, put back where nobody else's is."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.errors import DifyopsError
from difyops.sealing.access import Access, Agreed
from difyops.sealing.age import new_identity
from tests.conftest import Cli
from tests.kept import kept_text
from tests.snapshot.colleague import Colleague, node
from tests.snapshot.test_faults import open_changes, roll_back_with, spoiled
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
    back = cli("changes", "draft", kept["name"], "--put-back", "--yes")
    assert back.code == 0, back.err  # only the answer was lost: it was read back
    assert node(colleague.draft(app), "start")["title"] == "half done"
    assert colleague.clear(app)["API_TOKEN"] == "draft-canary"
    assert cli("changes", "draft", "-o", "json").json["data"] == []


def test_a_draft_that_cannot_be_encrypted_stays_in_its_change_until_it_can_be(
    cli: Cli, v1: str, colleague: Colleague, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No keyring, no folder that can be written: the change stays open with the draft, and ends with an identity."""
    app, identity = spoiled(colleague), new_identity()
    unpublished(colleague, app)
    (tmp_path / "file").write_text("no folder")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "file"))
    with pytest.raises(DifyopsError, match="cannot be encrypted"):
        roll_back_with("after write draft", once(lambda: colleague.edit(app, title("newer"))))
    (change,) = open_changes()
    assert not list((tmp_path / "state" / "kept").glob("*.json"))
    assert cli("changes", "finish", app, "--yes").code == 1
    monkeypatch.setenv("DIFYOPS_SEAL_IDENTITY", identity.secret.reveal())
    ended = cli("changes", "finish", app, "--yes")
    assert ended.code == 0, ended.err
    assert "half done" in kept_text(tmp_path / "state")
    assert not (tmp_path / "state" / "changes" / change.id).exists()

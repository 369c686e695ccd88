"""``difyops state``, and commands on a state that two machines share, as one types them."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from difyops.clock import SystemClock
from difyops.dry_run import dry_run
from difyops.errors import ConfigError, LockHeld
from difyops.git_store import GitStore
from difyops.ledger import this_host
from difyops.ledger.server import LedgerServer
from difyops.state_address import StateAddress, checked
from tests.conftest import Cli
from tests.places import context_name
from tests.runbook.servers import PG_CANARY
from tests.state.conftest import Machine
from tests.state.gate import Gate
from tests.waiting import wait_until


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_STATE", PG_CANARY)
    monkeypatch.setenv("DIFYOPS_STATE_PATIENCE", "1")


def configure(url: str, **more: str) -> None:
    lines = [f"state: {url}", "state_password: env:PG_STATE", *(f"{key}: {value}" for key, value in more.items())]
    Path("difyops.yaml").write_text("\n".join(lines) + "\n")


def on(monkeypatch: pytest.MonkeyPatch, name: str, folder: Path) -> None:
    """Go over to another machine: its name, its state folder."""
    monkeypatch.setenv("DIFYOPS_HOST", name)
    monkeypatch.setenv("DIFYOPS_STATE", str(folder / name))


@pytest.mark.usefixtures("connected", "password")
def test_two_machines_see_one_trail_and_one_rotation(
    cli: Cli, shared_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    configure(shared_url)
    on(monkeypatch, "machine-a", tmp_path)
    assert cli("app", "list").code == 0, "what uses no state needs no trust"
    assert cli("app", "disable", "wf-llm", "--yes").code == 8
    for name in ("machine-a", "machine-b"):
        on(monkeypatch, name, tmp_path)
        assert cli("trust", "--yes").code == 0
    assert cli("app", "disable", "wf-llm", "--yes").code == 0
    rotation = ("secret", "rotate", "app-key", "wf-echo", "--yes", "--no-probe", "--detach", "--by-hand")
    assert cli(*rotation, "--grace", "1h").code == 0
    on(monkeypatch, "machine-a", tmp_path)
    lines = cli("changes", "log", "-o", "json").json["data"]
    assert "app.disable" in {line["action"] for line in lines}
    again = cli(*rotation)
    assert again.code == 8
    assert "begun on machine-b" in again.err
    (open_one,) = cli("secret", "status", "-o", "json").json["data"]
    refused = cli("secret", "revert", open_one["id"], "--yes")
    assert refused.code == 8
    assert "On machine-b: difyops secret resume" in refused.err
    shown = cli("state", "show", "-o", "json").json["data"]
    assert (shown["is_shared"], shown["host"], shown["waiting"], shown["locks"]) == (True, "machine-a", 0, [])
    assert shown["audit"] == len(lines)
    assert cli("context", "show", "-o", "json").json["data"]["context"]["shared_state"] == shown["place"]
    assert PG_CANARY not in cli("state", "show").out + cli("context", "show").out
    assert not list(tmp_path.glob("machine-*/ledger.sqlite3"))
    assert cli("history", "sync", "--nodes", "0").code == 0
    on(monkeypatch, "machine-b", tmp_path)
    (other,) = cli("history", "status", "-o", "json").json["data"]["elsewhere"]
    assert (other["host"], other["is_whole"]) == ("machine-a", True)
    on(monkeypatch, "machine-b", tmp_path)
    assert cli("secret", "revert", open_one["id"], "--yes").code == 0


@pytest.mark.usefixtures("connected", "password")
def test_a_lock_of_a_dead_process_is_shown_as_such_and_nobody_is_named_wrongly(
    cli: Cli, shared_url: str, machine: Machine
) -> None:
    configure(shared_url)
    assert cli("trust", "--yes").code == 0
    one, two, three, four = map(machine, ("one", "two", "three", "four"))
    path = "changes/locks/app_1.lock"
    server = two._database
    assert isinstance(server, LedgerServer)
    with one.lock(one.path.parent / path, holding="one"), two.lock(two.path.parent / "other.lock", holding="two"):
        server._connected.connection.pgconn.finish()  # type: ignore[union-attr]  # as a kill ends it
        wait_until(lambda: "cut off" in cli("state", "show").out)
        rows = {line.split()[0]: line.split()[-1] for line in cli("state", "show").out.splitlines() if ".lock" in line}
        assert rows == {path: "held", "other.lock": "off"}
        with ExitStack() as stack:
            with dry_run(True):  # takes the lock, and writes down nothing
                stack.enter_context(four.lock(four.path.parent / "other.lock", holding="two"))
            with (
                pytest.raises(LockHeld, match="works on two: another difyops"),
                three.lock(three.path.parent / "other.lock", holding="two"),
            ):
                pass


@pytest.mark.usefixtures("connected", "password")
def test_a_machine_whose_clock_is_off_hears_of_it_although_the_servers_counts(
    cli: Cli, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(shared_url)
    assert cli("trust", "--yes").code == 0
    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    monkeypatch.setattr(SystemClock, "now", lambda self: datetime.now(UTC) + timedelta(minutes=9))
    (clock,) = (check for check in cli("doctor", "-o", "json").json["data"]["checks"] if check["name"] == "clock")
    assert clock["verdict"] == "warn"
    assert int(clock["found"].split()[0]) >= 500


@pytest.mark.usefixtures("connected", "password")
def test_moved_there_and_back(cli: Cli, shared_url: str) -> None:
    assert cli("state", "show", "-o", "json").json["data"]["events"] == 0
    there = ("state", "move", "--to", shared_url, "--password-from", "env:PG_STATE")
    assert cli(*there, "--yes").code == 2, "nothing to move"
    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    lines = cli("changes", "log", "-o", "json").json["data"]
    assert cli(*there).code == 8
    planned = cli(*there, "--dry-run", "-o", "json").json["data"]
    assert (planned["dry_run"], planned["copied_audit"]) == (True, len(lines))
    configure(shared_url)
    assert cli("trust", "--yes").code == 0
    refused = cli("changes", "log")
    assert refused.code == 8
    assert "was not moved there" in refused.err
    assert cli(*there, "--yes", "-o", "json").json["data"]["setting"] == f"state: {StateAddress(shared_url).place}"
    assert cli("changes", "log", "-o", "json").json["data"] == lines
    assert cli("app", "enable", "wf-echo", "--yes").code == 0
    Path("difyops.yaml").unlink()
    refused = cli("app", "disable", "wf-echo", "--yes")
    assert refused.code == 8
    assert f"was moved to {StateAddress(shared_url).place}" in refused.err
    back = cli("state", "move", "--to", "sqlite", "--from", shared_url, "--password-from", "env:PG_STATE", "--yes")
    assert back.code == 0
    assert "On this machine alone, difyops.yaml: state: sqlite" in back.err
    configure(shared_url)
    assert cli("trust", "--yes").code == 0
    left = cli("state", "show", "-o", "json").json
    assert left["data"]["closed"] == f"moved to {planned['from']} of {this_host()}"
    assert (left["data"]["own"], left["warnings"]) == (0, []), "those lines are the ones that were moved"
    refused = cli("app", "disable", "wf-echo", "--yes", "-o", "json").json["error"]
    assert (refused["code"], refused["hint"]) == (
        "state_moved", f"Only {this_host()} has it now; there, difyops.yaml says: state: sqlite",
    )  # fmt: skip
    Path("difyops.yaml").unlink()
    assert len(cli("changes", "log", "-o", "json").json["data"]) > len(lines)
    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    checks = cli("doctor", "-o", "json").json["data"]["checks"]
    assert {check["verdict"] for check in checks if "audit" in check["name"] or "ledger" in check["name"]} == {"pass"}


@pytest.mark.usefixtures("connected", "password")
def test_with_the_server_away_nothing_is_done_and_it_is_said(cli: Cli, shared_url: str, gate: Gate) -> None:
    configure(shared_url.replace(shared_url.rpartition(":")[2].partition("/")[0], str(gate.port)))
    assert cli("trust", "--yes").code == 0
    assert cli("state", "show").code == 0
    gate.shut()
    for words in (("app", "disable", "wf-echo", "--yes"), ("state", "show"), ("changes", "log")):
        ran = cli(*words, "-o", "json")
        assert ran.code == 1
        assert ran.json["error"]["code"] == "state_away"
        assert ran.json["error"]["retryable"]
    assert cli("app", "list", "-o", "json").code == 0
    assert cli("snapshot", "create").code == 0, "keeping needs no state"
    gate.open()
    assert cli("app", "disable", "wf-echo", "--yes").code == 0
    assert cli("snapshot", "create").code == 0
    (kept,) = GitStore.open(Path("snapshots")).anchors(context_name()).values()
    assert b'"length": ' in kept


@pytest.mark.usefixtures("connected")
def test_a_wrong_password_is_one_sentence(cli: Cli, shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFYOPS_STATE", shared_url)
    monkeypatch.setenv("DIFYOPS_STATE_PASSWORD", "canary-wrong")
    ran = cli("changes", "log")
    assert ran.code == 1
    assert "password authentication failed" in ran.err
    assert "canary" not in ran.err
    monkeypatch.delenv("DIFYOPS_STATE_PASSWORD")
    assert "state_password" in cli("changes", "log").err


PASS = "s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{PASS}@h/d", f"postgres://:{PASS}@h/d", f"postgresql://u:{PASS}/x@h/d", f"postgresql://u:{PASS}#x@h/d",
        f"postgresql://u:{PASS}?x@h/d", f"postgresql://h/d?password={PASS}", f"postgresql://h/d?pass%77ord={PASS}",
        f"postgresql://u:a@b{PASS}@h/d", f"mysql://u:{PASS}@h/d", f"host=h password={PASS}",
        f"postgresql+x://u:{PASS}@h/d", f"postgresql://h/d?sslpassword={PASS}", f"postgresql://h1:5432,h2:{PASS}/d",
        "postgresql://@h/d", "./folder", "7",
    ],
)  # fmt: skip
def test_an_address_with_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(text, where="difyops.yaml:1: state")
    assert PASS not in caught.value.message + str(caught.value.hint)
    assert "difyops.yaml:1: state" in caught.value.message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u@h:5432/d", "postgresql://u@h:5432/d"), ("postgres://h/d?sslmode=require", "postgresql://h/d"),
        ("postgresql:///d?host=/run/pg", "postgresql:///run/pg/d"), ("postgresql://u@[::1]:5432/d", "postgresql://u@[::1]:5432/d"),
        ("postgresql://h1:1,h2:2/d", "postgresql://h1:1,h2:2/d"), ("postgresql://?service=s", "postgresql://"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_what_follows_it(text: str, shown: str) -> None:
    assert StateAddress(checked(text, where="x")).place == shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("state: postgresql://u@h/d\nstate_password: hunter2\n", "state_password: expected a reference"),
        ("state_password: env:X\n", "there is none"),
        ("state: [1]\n", "state: sqlite, or"),
    ],
)
def test_a_mistake_in_the_configuration_names_the_line(cli: Cli, text: str, says: str) -> None:
    Path("difyops.yaml").write_text(text)
    ran = cli("context", "list")
    assert ran.code == 2
    assert says in ran.err
    assert "difyops.yaml:" in ran.err
    assert "hunter2" not in ran.err


def test_a_found_file_does_not_get_the_password_of_another_place(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from difyops import config

    user = tmp_path / "config" / "difyops" / "config.yaml"
    user.parent.mkdir(parents=True)
    user.write_text("state: postgresql://u@good/d\nstate_password: env:MINE\n")
    user.chmod(0o600)
    Path("difyops.yaml").write_text("state: postgresql://u@evil/d\n")
    assert "state_password" not in config.load().sections
    monkeypatch.setenv("DIFYOPS_STATE", "postgresql://u@good/d")
    Path("difyops.yaml").unlink()
    assert config.load().sections["state_password"] == "env:MINE"

"""``difyops eval`` against the emulator: record, run, baseline, compare."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague

pytestmark = pytest.mark.usefixtures("connected")


def write(file: Path, *cases: dict[str, Any]) -> Path:
    file.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return file


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Three cases for the echo workflow: its output is what it is given."""
    return write(
        tmp_path / "cases.jsonl",
        {"id": "one", "inputs": {"text": "hello"}, "expect": [{"contains": "HELLO"}]},
        {"id": "two", "inputs": {"text": "apples"}, "expect": [{"check": "number", "value": 6}], "cluster": "k"},
        {"id": "three", "inputs": {"text": "hi"}, "expect": [{"exact": "never this"}], "cluster": "k"},
    )  # fmt: skip


def test_the_whole_way(
    cli: Cli, cases: Path, tmp_path: Path, emulator: Emulator, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFYOPS_STORE", str(tmp_path / "snapshots"))
    planned = cli("eval", "run", "wf-echo", cases, "--dry-run", "-o", "json")
    assert planned.json["data"]["cases"] == 3
    emulator.control.reset_counts()
    ran = cli("eval", "run", "wf-echo", cases, "--to", "one.json", "--as", "junit=eval.xml", "-o", "json")
    assert ran.code == 5, ran.err
    rows = {row["id"]: row for row in ran.json["data"]["rows"]}
    assert {name: row["word"] for name, row in rows.items()} == {"one": "pass", "two": "pass", "three": "fail"}
    assert "never this" in rows["three"]["why"]
    assert rows["one"]["run_id"]
    junit = Path("eval.xml").read_text()
    assert 'failures="1"' in junit
    assert 'name="three"' in junit or "three" in junit
    table = cli("eval", "run", "wf-echo", cases)
    assert table.code == 5
    assert "three" in table.out
    assert "2 of 3 cases pass" in table.err
    # a baseline wants a snapshot beside it, and the content that was evaluated
    refused = cli("eval", "baseline", "wf-echo", "one.json")
    assert refused.code in (1, 2), refused.err
    assert cli("snapshot", "create").code == 0
    kept = cli("eval", "baseline", "wf-echo", "one.json", "-o", "json")
    assert kept.code == 0, kept.err
    listed = cli("eval", "baseline", "wf-echo", "-o", "json").json["data"]
    assert [row["tag"] for row in listed] == [kept.json["data"][0]["tag"]]
    assert cli("snapshot", "verify").code == 0
    assert cli("snapshot", "create").code == 0
    same = cli("eval", "compare", "baseline:wf-echo", "one.json")
    assert same.code == 0, same.err
    assert "no regression is proven" in same.err
    by_tag = cli("eval", "compare", f"baseline:{listed[0]['tag']}", "one.json", "-o", "json")
    assert by_tag.json["data"]["pairs"] == 3
    markdown = cli("eval", "compare", "baseline:wf-echo", "one.json", "--as", "markdown")
    assert "### evaluation of wf-echo: pass" in markdown.out
    # answers never enter git
    tags = subprocess.run(["git", "-C", "snapshots", "tag"], capture_output=True, text=True, check=True).stdout.split()
    shown = subprocess.run(
        ["git", "-C", "snapshots", "grep", "-il", "apples", *tags], capture_output=True, text=True, check=False
    )
    assert shown.stdout == ""
    # what is live has changed: the old result is no baseline of it
    colleague = Colleague(url, str(emulator.admin_key), emulator.workspace_id)
    app = colleague.app_id("wf-echo")
    colleague.edit(app, _other_prompt)
    colleague.publish(app)
    stale = cli("eval", "baseline", "wf-echo", "one.json")
    assert stale.code == 8, stale.err
    assert "its content" in stale.err


def _other_prompt(draft: dict[str, Any]) -> None:
    start = next(node for node in draft["graph"]["nodes"] if node["data"]["type"] == "start")
    start["data"]["variables"][0]["max_length"] = 77


def test_a_failed_run_becomes_a_case_with_one_command(cli: Cli, emulator: Emulator) -> None:
    assert cli("app", "run", "wf-echo", "--input", "text=a question").code == 0
    run = emulator.app_named("wf-echo").runs[-1]
    listed = cli("eval", "record", "wf-echo", "--content", "--to", "all.jsonl", "-o", "json")
    assert listed.code == 0, listed.err
    case = listed.json["data"]["cases"][0]
    assert case["inputs"] == {"text": "a question"}
    assert case["id"] == run.id
    again = cli("eval", "record", "wf-echo", "--run", case["id"], "--content", "--append", "--to", "all.jsonl")
    assert again.code == 0, again.err
    assert len(Path("all.jsonl").read_text().splitlines()) == 1
    exact = cli("eval", "record", "wf-echo", "--run", case["id"], "--content", "--expect", "exact", "--to", "x.jsonl")
    assert exact.code == 0, exact.err
    assert cli("eval", "run", "wf-echo", "x.jsonl").code == 0
    assert cli("eval", "record", "wf-echo", "--failed", "--content", "--to", "failed.jsonl").code == 2
    assert not Path("failed.jsonl").exists()
    gone = cli("eval", "record", "wf-echo", "--run", "0" * 8, "--content", "--to", "gone.jsonl")
    assert gone.code != 0
    assert "traceback" not in gone.err.lower()


def test_content_is_read_only_with_consent(cli: Cli) -> None:
    assert cli("app", "run", "wf-echo", "--input", "text=private words").code == 0
    nothing = cli("eval", "record", "wf-echo", "--to", "a.jsonl")
    assert nothing.code == 2
    assert "--content" in nothing.err
    key = "sk-proj-" + "Aq3xT9mLw7Zk2vBn8RcY5dPs"
    assert cli("app", "run", "wf-echo", "--input", f"text=use {key}").code == 0
    part = cli("eval", "record", "wf-echo", "--content", "--to", "a.jsonl", "-o", "json")
    assert part.code == 3
    assert len(part.json["data"]["cases"]) == 1
    assert key not in part.out + part.err + Path("a.jsonl").read_text()


def test_chats_are_recorded_by_conversation(cli: Cli) -> None:
    for question in ("first", "second"):
        assert cli("app", "run", "chat-basic", question).code == 0
    made = cli("eval", "record", "chat-basic", "--content", "--to", "chat.jsonl", "-o", "json")
    assert made.code == 0, made.err
    found = made.json["data"]["cases"]
    assert sorted(case["query"] for case in found) == ["first", "second"]
    one = found[0]["cluster"]
    only = cli("eval", "record", "chat-basic", "--conversation", one, "--content", "--to", "one.jsonl", "-o", "json")
    assert [case["cluster"] for case in only.json["data"]["cases"]] == [one]
    by_id = cli("eval", "record", "chat-basic", "--run", found[1]["id"], "--content", "--to", "b.jsonl", "-o", "json")
    assert [case["id"] for case in by_id.json["data"]["cases"]] == [found[1]["id"]]
    assert cli("eval", "run", "chat-basic", "chat.jsonl").code == 0


def test_a_history_with_content_needs_no_more_consent(cli: Cli, emulator: Emulator) -> None:
    assert cli("app", "run", "wf-echo", "--input", "text=kept").code == 0
    run = emulator.app_named("wf-echo").runs[-1]
    for name in ("created_at", "logged_at", "finished_at"):  # the newest two minutes are not closed yet
        setattr(run, name, getattr(run, name) - 600)
    assert cli("history", "sync", "wf-echo", "--nodes", "100%").code == 0
    hashes = cli("eval", "record", "wf-echo", "--to", "kept.jsonl")
    assert hashes.code == 8
    assert "no content is kept" in hashes.err
    assert cli("history", "forget", "wf-echo", "--yes").code == 0
    assert cli("history", "sync", "wf-echo", "--nodes", "100%", "--content").code == 0
    made = cli("eval", "record", "wf-echo", "--to", "kept.jsonl", "-o", "json")
    assert made.code == 0, made.out + made.err
    assert made.json["data"]["source"] == "history"
    assert [(case["id"], case["inputs"]) for case in made.json["data"]["cases"]] == [(run.id, {"text": "kept"})]


def test_a_saved_broadcast_becomes_cases(cli: Cli) -> None:
    assert cli("broadcast", "Are you well?", "--to", "chat-basic", "--to", "wf-echo", "--save", "b.jsonl").code == 0
    made = cli("eval", "record", "wf-echo", "--broadcast", "b.jsonl", "--to", "cases.jsonl", "-o", "json")
    assert made.code == 0, made.err
    assert [case["query"] for case in made.json["data"]["cases"]] == ["Are you well?"]
    assert cli("eval", "run", "wf-echo", "cases.jsonl").code == 0
    bad = cli("eval", "record", "wf-echo", "--broadcast", "cases.jsonl", "--to", "x.jsonl")
    assert bad.code == 2
    assert "not a saved broadcast" in bad.err


def test_a_judge_that_fails_has_not_judged(cli: Cli, tmp_path: Path, emulator: Emulator) -> None:
    judged = {"id": "a", "inputs": {"text": "x"}, "expect": [{"judge": "chat-basic"}, {"contains": "X"}]}
    ran = cli("eval", "run", "wf-echo", write(tmp_path / "j.jsonl", judged), "-o", "json")
    row = ran.json["data"]["rows"][0]
    assert (ran.code, row["word"]) == (3, "not judged"), row
    assert ran.json["data"]["judge_tokens"] > 0
    assert list(ran.json["data"]["judges"]) == [emulator.app_named("chat-basic").id]
    nobody = {**judged, "expect": [{"judge": "no-such-app"}]}
    assert cli("eval", "run", "wf-echo", write(tmp_path / "n.jsonl", nobody)).code == 2


def test_what_says_nothing_about_the_app_is_not_judged(cli: Cli, tmp_path: Path, emulator: Emulator) -> None:
    file = write(tmp_path / "c.jsonl", {"id": "a", "inputs": {"other": "x"}})
    ran = cli("eval", "run", "wf-echo", file, "-o", "json")
    assert ran.code == 3
    assert ran.json["data"]["rows"][0]["word"] == "not judged"
    spent = cli("eval", "run", "wf-echo", file, "--max-tokens", "1")
    assert spent.code in (3, 7)


def test_what_the_command_line_refuses(cli: Cli, cases: Path, tmp_path: Path) -> None:
    for words in (
        ("run", "wf-echo", "missing.jsonl"),
        ("run", "nobody", str(cases)),
        ("run", "wf-echo", str(cases), "--as", "pdf"),
        ("compare", "missing.json", "missing.json"),
        ("compare", str(cases), str(cases)),
        ("record", "wf-echo", "--to", "x.jsonl", "--expect", "all"),
        ("record", "wf-echo", "--to", "x.jsonl", "--broadcast", "b", "--failed"),
    ):
        ran = cli("eval", *words)
        assert ran.code == 2, (words, ran.err)
        assert ran.err.startswith("error: ")
    assert cli("eval", "record", "wf-echo", "--to", cases).code == 8
    for verb in ("record", "run", "baseline", "compare"):
        assert cli("eval", verb, "--help").code == 0


def test_budgets_are_held_and_settled(cli: Cli, cases: Path) -> None:
    assert cli("history", "sync", "wf-echo").code == 0
    assert cli("cost", "budget", "set", "all", "wf-echo", "--hard", "5").code == 0
    assert cli("eval", "run", "wf-echo", cases).code == 5
    state = cli("cost", "budget", "status", "-o", "json").json["data"]["budgets"][0]
    assert float(state["reserved"]) == 0  # three runs that cost nothing were held, and given back

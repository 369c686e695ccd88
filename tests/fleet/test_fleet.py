"""One command on several instances: one table, one exit code, and nobody waits for the one that is down."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops import errors
from difyops.cli.everywhere import shard_of, share
from difyops.cli.manual.kinds import commands_of
from difyops.cli.schema import OF_SEVERAL, kinds, printed_of
from difyops.cli.table import entries
from difyops.emulator import Emulator
from difyops.errors import UsageError
from difyops.render.fleet import Part, verdict
from tests.cli.processes import WORDS
from tests.conftest import Cli
from tests.processes import Process
from tests.waiting import wait_until

Fleet = Callable[..., dict[str, Emulator]]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Make emulated instances, and a configuration file that names them."""
    monkeypatch.setenv("FLEET_PASSWORD", Emulator(basics=False).password)
    monkeypatch.setenv("DIFYOPS_CONFIG", str(tmp_path / "fleet.yaml"))
    with contextlib.ExitStack() as stack:

        def make(*names: str, more: str = "", **settings: object) -> dict[str, Emulator]:
            made, text = {}, "store: snapshots\ncontexts:\n"
            for number, name in enumerate(names):
                emulator = Emulator(seed=number + 1, workspace_id=None, **settings)  # type: ignore[arg-type]
                url = stack.enter_context(emulator.listening())
                text += f'  {name}: {{url: "{url}", email: {emulator.email}, password: "env:FLEET_PASSWORD"}}\n'
                made[name] = emulator
            (tmp_path / "fleet.yaml").write_text(text + more)
            return made

        yield make


DOWN = '  down: {url: "http://127.0.0.1:9", email: a@b.c, password: "env:FLEET_PASSWORD"}\n'


def test_one_table_with_a_context_column(cli: Cli, fleet: Fleet) -> None:
    fleet("east", "west")
    rows = cli("app", "list", "wf-echo", "wf-llm", "-c", "east", "-c", "west", "-o", "json").json["data"]
    assert sorted((row["context"], row["name"]) for row in rows) == [
        ("east", "wf-echo"), ("east", "wf-llm"), ("west", "wf-echo"), ("west", "wf-llm"),
    ]  # fmt: skip
    assert next(iter(rows[0])) == "context"
    shown = cli("app", "list", "wf-echo", "-c", "all")
    assert shown.out.splitlines()[0].split()[:2] == ["CONTEXT", "NAME"]
    assert "2 of 2 contexts went well" in shown.err
    assert cli("app", "list", "wf-echo", "-c", "all", "-o", "name").out.split() == ["east/wf-echo", "west/wf-echo"]
    lines = cli("app", "list", "wf-echo", "-c", "all", "-o", "ndjson").out.splitlines()
    assert [json.loads(line)["context"] for line in lines] == ["east", "west"]


def test_one_instance_down_does_not_stop_the_rest(cli: Cli, fleet: Fleet) -> None:
    fleet("east", "west", more=DOWN)
    done = cli("app", "list", "wf-echo", "-c", "all", "-o", "json")
    assert done.code == 3
    assert [row["context"] for row in done.json["data"]] == ["east", "west"]
    (failed,) = done.json["error"]["details"]["contexts"]
    assert (failed["context"], failed["code"], failed["exit_code"]) == ("down", "unreachable", 1)
    assert done.json["error"]["message"].startswith("1 of 3 contexts: down: ")


def test_what_is_told_of_some_names_them(cli: Cli, fleet: Fleet) -> None:
    fleet("east", "west", basics=False, more=DOWN)
    assert cli("snapshot", "create", "-c", "east", "-c", "west").code == 0
    shown = cli("snapshot", "drift", "-c", "all")
    assert shown.code == 3
    assert shown.out.startswith("east, west: No drift"), "nothing is known of the one that is down"
    assert "hint: down: Is it running" in shown.err
    assert cli("snapshot", "drift", "-c", "east", "-c", "west").out.startswith("No drift")


def test_every_command_of_the_list(cli: Cli, fleet: Fleet, tmp_path: Path) -> None:
    made = fleet("east", "west")
    created = cli("snapshot", "create", "-c", "all")
    assert created.code == 0, created.out
    lines = created.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["CONTEXT", "east", "west"], "snapshots, changes, how each went"
    assert sum(line.startswith("CONTEXT ") for line in lines) == 3
    for words in (
        ("snapshot", "list"), ("snapshot", "diff"), ("snapshot", "drift"), ("snapshot", "verify"), ("secret", "list"),
        ("trigger", "list"), ("plugin", "list"), ("fleet", "status"),
    ):  # fmt: skip
        done = cli(*words, "-c", "all", "-o", "json")
        assert done.code == 0, (words, done.out)
        assert {row["context"] for row in done.json["data"]} <= {"east", "west"}, words
    app = next(app for app in made["west"].instance.apps.values() if app.name == "wf-echo")
    made["west"].instance.apps.pop(app.id)
    drifted = cli("snapshot", "drift", "-c", "all", "-o", "json")
    assert drifted.code == 5
    assert [item["context"] for item in drifted.json["error"]["details"]["contexts"]] == ["west"]
    report = cli("snapshot", "drift", "-c", "all", "--as", f"junit={tmp_path}/drift-{{context}}.xml")
    assert report.code == 5
    assert "<testsuite" in (tmp_path / "drift-east.xml").read_text()
    assert (tmp_path / "drift-west.xml").read_text() != (tmp_path / "drift-east.xml").read_text()
    assert cli("snapshot", "drift", "-c", "all", "--as", "junit=drift.xml").code == 2


def test_the_history_has_both_and_validate_asks_both(cli: Cli, fleet: Fleet, tmp_path: Path) -> None:
    fleet("east", "west")
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["text"]}')
    assert cli("validate", "-", "--schema", "schema.json", "-c", "all").code == 2
    words = ("--app", "wf-echo", "--schema", "schema.json", "--input", "text=hello", "-o", "json")
    done = cli("validate", *words, "-c", "all")
    assert {row["context"] for row in done.json["data"]} == {"east", "west"}, done.out
    for others in (("slo", "status"), ("cost", "summary"), ("cost", "budget", "status")):
        found = cli(*others, "-c", "all", "-o", "json")
        assert found.json["kind"] != "error", (others, found.out)


def test_each_instance_is_held_to_goals_of_its_own(cli: Cli, fleet: Fleet) -> None:
    goal = "goals:\n  - {{name: {}, apps: [{}], kind: availability, target: 99}}\n"
    for name, app in (("east", "wf-echo"), ("west", "wf-llm")):
        Path(f"slo.{name}.yaml").write_text(goal.format(f"goal-of-{name}", app))
    Path("slo.yaml").write_text(goal.format("goal-of-all", "all"))
    fleet("east", "west", "north")
    for name in ("east", "west", "north"):
        assert cli("history", "sync", "-c", name, "-q").code == 0
    done = cli("slo", "status", "-c", "all", "-o", "json").json
    assert {row["context"]: row["goals"][0]["goal"] for row in done["data"]} == {
        "east": "goal-of-east", "west": "goal-of-west", "north": "goal-of-all",
    }  # fmt: skip
    rows = {row["context"]: row["goals"] for row in cli("fleet", "status", "-o", "json").json["data"]}
    assert ["goal-of-west" in rows["west"]["text"], "goal-of-all" in rows["north"]["text"]] == [True, True]


def test_what_several_contexts_print_is_in_the_schema_of_each_kind() -> None:
    names = {entry.name: entry.parser for entry in entries()}
    several = {name for name, parser in names.items() if any(given.name == "shard" for given in parser.params)}
    assert {kind for kind in kinds() if several & {*commands_of(kind, names)}} == OF_SEVERAL
    for kind in OF_SEVERAL:
        shown = printed_of(kind)
        assert {"array"} <= {*([shown["type"]] if isinstance(shown["type"], str) else shown["type"])}, kind
        assert "context" in shown["items"].get("properties", {"context": ...}), kind


class TestNames:
    """Which contexts are meant, and what is refused."""

    def test_one_that_is_written_wrongly_is_named_and_the_others_go_on(self, cli: Cli, fleet: Fleet) -> None:
        names = [f"c{number}" for number in range(9)]
        fleet(*names, more="  wrong: {url: nonsense here, colour: red}\n", basics=False)
        done = cli("app", "list", "-c", "all", "-o", "json")
        assert done.code == 3
        (failed,) = done.json["error"]["details"]["contexts"]
        assert (failed["context"], failed["code"]) == ("wrong", "config")
        assert "fleet.yaml" in failed["message"]
        assert cli("app", "list", "-c", "c1").code == 2  # alone, a file that is wrong is refused as ever

    def test_a_name_that_two_files_give_to_different_instances_is_refused(
        self, cli: Cli, fleet: Fleet, tmp_path: Path
    ) -> None:
        fleet("east", "west")
        user = tmp_path / "config" / "difyops" / "config.yaml"
        user.parent.mkdir(parents=True)
        user.write_text('contexts:\n  west: {url: "https://elsewhere.example.com"}\n')
        done = cli("app", "list", "-c", "all")
        assert done.code == 2
        assert "Two contexts are called 'west'" in done.err
        assert "https://elsewhere.example.com" in done.err
        assert cli("app", "list", "-c", "west").code == 0

    def test_what_makes_no_sense(self, cli: Cli, fleet: Fleet) -> None:
        fleet("east", "west", basics=False)
        assert "twice" in cli("app", "list", "-c", "east", "-c", "east").err
        assert "no context 'north'" in cli("app", "list", "-c", "east", "-c", "north").err
        assert "no other -c" in cli("app", "list", "-c", "east", "-c", "all").err
        assert "Which contexts" in cli("app", "list", "--shard", "0/2").err
        assert cli("app", "list", "-c", "all", "--shard", "2/2").code == 2
        assert "works on one context" in cli("app", "show", "x", "-c", "east", "-c", "west").err
        every = cli("app", "show", "x", "-c", "all")
        assert (every.code, "not on all" in every.err, "one of: east, west" in every.err) == (2, True, True)


class TestShards:
    """A shard is a part of the contexts: disjoint, equally big, and together the whole."""

    @settings(max_examples=25)
    @given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=60), st.integers(1, 12))
    def test_the_union_is_the_whole(self, names: list[str], count: int) -> None:
        parts = [share(names, index, count) for index in range(count)]
        assert sorted(name for part in parts for name in part) == sorted(names)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert parts == [share(names[::-1], index, count) for index in range(count)]

    def test_two_workers_do_it_all_and_nothing_twice(self, cli: Cli, fleet: Fleet) -> None:
        fleet("a", "b", "c", basics=False)
        seen = []
        for index in range(4):
            done = cli("fleet", "status", "--shard", f"{index}/4", "-o", "json")
            assert done.code == 0, done.out
            seen += [row["context"] for row in done.json["data"]]
        assert sorted(seen) == ["a", "b", "c"]

    @pytest.mark.parametrize("text", ["1", "1/1", "-1/2", "a/b", "0/0", "1/2/3", "", "/", "²/3"])
    def test_what_is_no_shard(self, text: str) -> None:
        with pytest.raises(UsageError):
            shard_of(text)


def test_the_status_has_a_row_for_each_and_says_who_is_down(cli: Cli, fleet: Fleet) -> None:
    fleet("east", more=DOWN + "  wrong: {colour: red}\n")
    assert cli("snapshot", "create", "-c", "all").code == 3
    done = cli("fleet", "status", "-o", "json")
    assert done.code == 3
    rows = {row["context"]: row for row in done.json["data"]}
    east, down = rows["east"], rows["down"]
    assert (east["version"], east["drift"]["word"], east["snapshot"]["word"]) == ("1.13.0", "pass", "pass")
    assert (east["apps"], east["budget"], east["goals"]) == (8, None, None)
    for problem, said in ((down, "cannot connect"), (rows["wrong"], "colour")):
        assert problem["version"] is None
        assert said in problem["problem"]
    shown = cli("fleet", "status")
    assert "cannot be asked" in shown.out
    assert "ago" in shown.out


def test_a_dash_is_what_nobody_set_up_and_one_app_is_one_app(cli: Cli, fleet: Fleet) -> None:
    made = fleet("east", "west")
    assert cli("snapshot", "create", "-c", "all", "-q").code == 0
    assert cli("cost", "budget", "set", "month", "--hard", "5", "-c", "east").code == 0
    made["east"].play("break", "wf-llm")
    rows = {row["context"]: row for row in cli("fleet", "status", "-o", "json").json["data"]}
    assert (rows["east"]["budget"]["word"], rows["west"]["budget"]) == ("inconclusive", None)
    shown = {line.split()[0]: line for line in cli("fleet", "status").out.splitlines()[:3]}
    assert "1 app " in shown["east"]
    assert shown["east"].split()[-2:] == ["?", "-"], "set up, and not measured: no history is here"
    assert shown["west"].split()[-2:] == ["-", "-"]


def test_a_deadline_holds_for_all(cli: Cli, fleet: Fleet) -> None:
    made = fleet("east", "west")
    made["west"].control.fail(path="/console/api/apps.*", how="hang", times=9)
    done = cli("app", "list", "-c", "all", "--deadline", "9s", "-o", "json")
    assert done.code == 3
    assert {row["context"] for row in done.json["data"]} == {"east"}
    (failed,) = done.json["error"]["details"]["contexts"]
    assert (failed["code"], failed["message"]) == ("timed_out", "The deadline of 9 s passed."), "as it was given"


def test_ctrl_c_ends_every_instance(fleet: Fleet) -> None:
    made = fleet("east", "west")
    for emulator in made.values():
        emulator.control.fail(path="/console/api/apps.*", how="hang", times=9)
    child = Process([*WORDS, "app", "list", "-c", "all"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: all(emulator.control.in_flight for emulator in made.values()))
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err


FAULTS = (
    None, errors.DifyopsError, errors.UsageError, errors.PartialFailure, errors.AuthError, errors.AnswerIsNo,
    errors.NotSupported, errors.RateLimited, errors.Refused, errors.Interrupted,
)  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_exit_code_is_the_one_of_the_page_whatever_comes_together(count: int) -> None:
    for faults in itertools.product(FAULTS, repeat=count):
        codes = {kind.exit_code if kind else 0 for kind in faults}
        worst = next((code for code in (2, 8, 4, 6, 7, 1, 3) if code in codes), 0)
        expected = next((code for code in (130, 5) if code in codes), 3 if 0 in codes and worst else worst)
        parts = [Part(context=f"c{place}", error=kind and kind("It broke.")) for place, kind in enumerate(faults)]
        error = verdict(parts)
        assert (error.exit_code if error else 0) == expected, faults
        if error:
            bad = [part.context for part in parts if part.error]
            assert [item["context"] for item in error.details["contexts"]] == bad  # type: ignore[attr-defined]
            assert error.message.startswith(f"{len(bad)} of {count} context")

"""What a dry run counts is what then happens; twice is the same as once, and says so: for every command, in one world.

The lines are the examples of the help, and lines that find something to do. ``ELSEWHERE`` says why one is not tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli, Ran
from tests.contract.conftest import environment, filled
from tests.contract.hints import problems
from tests.contract.lines import ENTRIES, bare, examples, reading

ELSEWHERE = {
    "app run": "runs an app, each time anew; --dry-run is refused",
    "history": "reads or writes files; --dry-run is refused, and tests/history/test_sync.py holds the second time",
    "drill run": "seconds of work; tests/drill",
    "release apply": "seconds of watching; tests/release/test_release_command.py",
    "state move": "wants a database; tests/shared_state",
    "webhook": "wants a server that runs; tests/webhook",
    "emulator": "starts and stops processes; tests/cli/test_emulator_door.py",
    "snapshot seal init": "asks a person; tests/sealing",
    "secret rotate": "each rotation is another one; a second is refused while one is open: tests/rotation",
    "eval": "wants recorded cases; tests/evaluation",
    "broadcast": "asks each time anew; what it would ask is what it asks: tests/broadcast",
    "validate": "judges, changes nothing",
    "release plan": "writes a plan each time",
    "runbook run": "each run is another one",
}
MORE = [
    ["app", "disable", "hr-assistant", "@apps.txt"], ["app", "enable", "hr-assistant", "@apps.txt", "--site"],
    ["snapshot", "rollback", "support-triage", "order-lookup", "@apps.txt", "--to", "v1"],
    ["context", "use", "ci"], ["context", "remove", "ci"], ["snapshot", "push", "backup.git"],
    ["trust", "--yes"], ["snapshot", "create", "--tag", "after"],
]  # fmt: skip
SAYS_SO = re.compile(
    r"already|unchanged|nothing|no longer|is there|There is no|no context|Forget|forgot|[Nn]o \w+ is open"
)
COUNT = re.compile(
    r"(?<![\w.:-])(\d+)(?= (?:of|app|trigger|planned|rolled|there|problem|failed|switched|run|was|were))"
)


def lines() -> Iterator[list[str]]:
    for entry in ENTRIES:
        if not reading(entry) and not entry.name.startswith(tuple(ELSEWHERE)):
            yield from ([word for word in bare(words) if word not in ("--dry-run", "-q")] for words in examples(entry))
    yield from MORE


def test_a_dry_run_counts_what_then_happens_and_twice_is_once(
    cli: Cli, own_place: Path, monkeypatch: pytest.MonkeyPatch, one_authority: Path
) -> None:
    folder = own_place / "changed"
    (folder / "home").mkdir(parents=True)
    emulator, found = Emulator(playful=True, speed=1000.0), []
    with emulator.listening() as url:
        for name, value in environment(folder, emulator, url, one_authority).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        filled(folder, url, emulator)
        (folder / "apps.txt").write_text("mail-draft\n")
        assert cli("snapshot", "create", "--tag", "v1", "-q").code == 0
        emulator.play("break", "support-triage")
        for words in lines():
            planned = cli(*words, "--dry-run")
            done = cli(*words, "--yes")
            emulator.control.reset_counts()
            again = cli(*words, "--yes") if done.code == 0 and changes(planned) else done
            found += [f"{' '.join(words)}: {wrong}" for wrong in judged(planned, done, again, changing(emulator))]
    assert not found, "\n".join(found)


def judged(planned: Ran, done: Ran, again: Ran, calls: list[str]) -> Iterator[str]:
    if planned.code != done.code:
        yield f"a dry run ends with {planned.code}, the run with {done.code}: {planned.err} {done.err}"
    told = [COUNT.findall(ran.err.strip().rpartition("\n")[2]) for ran in (planned, done)]
    if planned.code == done.code == 0 and all(told) and told[0] != told[1]:
        yield f"a dry run counts {planned.err!r}, the run {done.err!r}"
    if done.code == 0 and calls:
        yield f"the second time calls {calls}"
    if again is not done and not SAYS_SO.search(again.err + again.out):
        yield f"the second time does not say so: {again.err!r}"
    for ran in (planned, done, again):
        yield from (wrong for line in ran.err.splitlines() for wrong in problems(line))


def changes(planned: Ran) -> bool:
    """Say whether a dry run tells of something to change: what only looks may be done again and again."""
    return bool(re.search(r"would|dry run", planned.err))


def changing(emulator: Emulator) -> list[str]:
    routes: dict[str, int] = emulator.control.counts()["routes"]  # type: ignore[assignment]
    quiet = ("login", "refresh-token", "workspaces/current", "retrieve", "hit-testing", "latest-versions")
    return [route for route in routes if not route.startswith("GET ") and not route.endswith(quiet)]

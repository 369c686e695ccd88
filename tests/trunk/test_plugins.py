"""One file is one plugin: ours by their folder, those of others by entry points; what lacks something is left out."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from difyops import plugins
from difyops.broadcast.aggregate import AGGREGATORS, Answers, parse
from difyops.broadcast.answer import AgentAnswer
from difyops.errors import UsageError
from difyops.plugins import Registry, lacks, missing
from difyops.runbook.load import parse as parse_runbook
from difyops.runbook.registry import ACTIONS, CHECKS, tools
from difyops.runbook.result import Pass
from tests.runbook.runbook_tools import carried, check, consent, from_text, resources_at, results

EXAMPLE = Path(__file__).parents[1] / "example_plugins"
EVERY = [(registry, name) for registry in (CHECKS, ACTIONS, AGGREGATORS) for name in registry.names()]


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the example package: a folder on the path, as ``pip install`` leaves one."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    forget()
    yield
    monkeypatch.undo()
    forget()


def forget() -> None:
    plugins.forget()
    tools.cache_clear()


@pytest.mark.parametrize(("registry", "name"), EVERY, ids=lambda item: item if isinstance(item, str) else "")
def test_ours_have_what_a_plugin_must_have(registry: Registry, name: str) -> None:
    plugin = registry.get(name)
    assert missing(plugin.module, registry.member) == []
    assert registry.wrong(plugin.module) == []
    assert plugin.help
    assert plugin.origin == "difyops"
    assert registry.spelled(plugin.module.__name__.rpartition(".")[2]) == name


async def test_a_package_of_others_adds_a_check_an_action_and_an_aggregator(example: None, tmp_path: Path) -> None:
    assert (tools("check")["acme.weather"].origin, tools("action")["acme.bell"].origin) == ("acme-difyops",) * 2
    text = """
    runbook: trial
    title: T
    why: W
    steps:
      - {id: warm, check: acme.weather, with: {degrees: 35}}
      - {id: ring, action: acme.bell, when: 'steps.warm.status == "fail"', with: {times: 2}}
    """
    async with resources_at(tmp_path) as resources:
        assert isinstance(await check(resources, "acme.weather"), Pass)
        record = await carried(from_text(inspect.cleandoc(text)), resources, allow=consent(act=True))
    assert results(record) == {"warm": "fail", "ring": "pass"}
    said = [
        AgentAnswer(target=text, context="emu", app_id="a", app="a", mode="chat", status="answered", text=text)
        for text in ("no", "maybe", "yes")
    ]
    combined = await parse("longest:at_least=3").combine(Answers(given=said, asked=3), question="?")
    assert (combined.how, combined.text) == ("longest", "maybe")


def test_what_lacks_something_is_left_out_and_told(example: None) -> None:
    assert [name for name in CHECKS.names() if name.startswith("acme.")] == ["acme.weather"]
    told = "\n".join(CHECKS.problems())
    for said in (
        "'disk' of acme-difyops is left out: that name is taken by difyops",
        "'acme.broken' of acme-difyops cannot be loaded: RuntimeError: no licence",
        "'acme.gone' of acme-difyops cannot be loaded: ModuleNotFoundError",
        "'acme.mute' of acme-difyops is left out: check has no docstring",
        "'acme.untyped' of acme-difyops is left out: the parameter apps has no annotation",
    ):
        assert said in told
    assert tools("check")["disk"].origin == "difyops"
    assert AGGREGATORS.get("vote").origin == "difyops"


def test_who_asks_for_one_that_is_left_out_hears_why(example: None) -> None:
    with pytest.raises(UsageError) as refused:
        CHECKS.get("acme.broken")
    assert "no licence" in str(refused.value.hint)
    _, problems = parse_runbook(
        b"runbook: trial\ntitle: T\nwhy: W\nsteps:\n  - {id: a, check: acme.mute}\n", Path("trial.yaml")
    )
    assert "has no docstring" in problems[0].text
    with pytest.raises(UsageError, match="is not an action"):
        ACTIONS.get("nothing")


def test_without_the_package_nothing_of_it_is_known() -> None:
    forget()
    assert not [name for name in (*CHECKS.names(), *ACTIONS.names()) if name.startswith("acme")]
    assert CHECKS.problems() == []


class Bird(Protocol):
    """What a bird must be able to do."""

    name: str

    def sing(self) -> str:
        """Sing."""
        ...


class Hen:
    name = "hen"
    sing = "cluck"


def test_what_a_protocol_asks_for_is_looked_for_at_run_time() -> None:
    class Lark:
        name = "lark"

        def sing(self) -> str:
            return "tirili"

    assert lacks(Bird, Lark()) == []
    assert lacks(Bird, Hen()) == ["sing"]
    assert lacks(Bird, object()) == ["name", "sing"]

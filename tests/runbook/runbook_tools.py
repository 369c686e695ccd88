"""What the runbook tests share: an emulated instance and resources for it, made-up steps, runbooks from text."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difyops.api.instance import ConnectOptions, connect
from difyops.clock import Clock, SystemClock
from difyops.config import Config, Context
from difyops.emulator import Emulator
from difyops.errors import DifyopsError, NeedsConfirmation
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.runbook.acting import Consent
from difyops.runbook.engine import RunbookOptions, run
from difyops.runbook.load import parse
from difyops.runbook.model import Runbook, Step
from difyops.runbook.parameters import parameters_of
from difyops.runbook.record import RunRecord
from difyops.runbook.registry import Tool, tools
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Fail, Inconclusive, Pass, Planned, Result, Undo, Value, Warn

ADMIN = "DIFYOPS_TEST_ADMIN_KEY"


@dataclass(slots=True)
class Stage:
    """An emulated instance that listens, and where difyops keeps its things."""

    emulator: Emulator
    url: str
    folder: Path

    @property
    def context(self) -> Context:
        os.environ[ADMIN] = str(self.emulator.admin_key)
        return Context(
            name="emu",
            url=self.url,
            admin_key=f"env:{ADMIN}",
            workspace_id=self.emulator.workspace_id,
            timeout=5.0,
        )

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DIFY_BASE_URL": self.url,
            "DIFYOPS_ADMIN_KEY": str(self.emulator.admin_key),
            "DIFYOPS_WORKSPACE_ID": self.emulator.workspace_id,
            "DIFYOPS_STATE": str(self.folder / "state"),
            "DIFYOPS_STORE": str(self.folder / "snapshots"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }

    @contextlib.asynccontextmanager
    async def resources(
        self, *, clock: Clock | None = None, context: Context | None = None, **options: Any
    ) -> AsyncIterator[Resources]:
        async with resources_at(self.folder, context or self.context, clock=clock, **options) as resources:
            yield resources


@contextlib.contextmanager
def staged(folder: Path, **settings: Any) -> Iterator[Stage]:
    emulator = Emulator(**settings)
    with emulator.listening() as url:
        yield Stage(emulator, url, folder)


def config_at(folder: Path, context: Context | None = None) -> Config:
    contexts = {context.name: context} if context else {}
    return Config(
        contexts=contexts,
        default_context=context.name if context else None,
        store=folder / "snapshots",
        state=folder / "state",
        user_file=folder / "config.yaml",
    )


@contextlib.asynccontextmanager
async def resources_at(
    folder: Path, context: Context | None = None, *, clock: Clock | None = None, ledger: bool = True, **options: Any
) -> AsyncIterator[Resources]:
    config = config_at(folder, context)
    opened: list[Any] = []

    async def open_instance() -> Any:
        assert context is not None
        instance = await connect(context, ConnectOptions(state=config.state))
        opened.append(instance)
        return instance

    with contextlib.ExitStack() as stack:
        book = stack.enter_context(Ledger.open(config.state / "ledger.sqlite3")) if ledger else None
        yield Resources(
            config=config,
            context=context,
            open_instance=open_instance,
            open_store=lambda: GitStore.open(config.store),
            make_store=lambda: GitStore.open(config.store, create=True),
            ledger=book,
            clock=clock or SystemClock(),
            **options,
        )
        for instance in opened:
            await instance.close()


def refuse(question: str, changes: str) -> None:
    raise NeedsConfirmation("There is no terminal to ask.", hint="Add --yes.")


def agree(question: str, changes: str) -> None:
    return None


def consent(**given: Any) -> Consent:
    return Consent(**{"agree": agree, "approve": refuse, **given})


async def check(resources: Resources, name: str, *, limit: float = 20.0, **parameters: Any) -> Result:
    """Run one check as a step of its own, as the engine does."""
    from difyops.runbook.attempts import once
    from difyops.runbook.parameters import read

    tool = tools("check")[name]
    values = {key: read(tool.parameters[key], value) for key, value in parameters.items()}
    return await once(lambda: tool.function(resources, **values), limit)


async def planned(resources: Resources, name: str, **parameters: Any) -> Planned:
    """Plan one action."""
    found = await tools("action")[name].function(resources, **parameters)
    assert isinstance(found, Planned)
    return found


def made_up(function: Callable[..., Awaitable[Any]], kind: Any = "check", name: str = "made.up") -> Tool:
    return Tool(name=name, kind=kind, help="Made up.", parameters=parameters_of(function), function=function)


def step(step_id: str, function: Callable[..., Awaitable[Any]], *, kind: Any = "check", **fields: Any) -> Step:
    return Step(id=step_id, title=step_id, tool=made_up(function, kind), **fields)


def book(*steps: Step, **fields: Any) -> Runbook:
    return Runbook(**{"name": "made-up", "title": "Made up", "why": "A test.", "steps": steps, **fields})


def from_text(text: str, name: str = "trial") -> Runbook:
    runbook, problems = parse(text.encode(), Path(f"{name}.yaml"))
    assert not problems, [item.text_with_place for item in problems]
    assert runbook is not None
    return runbook


async def carried(runbook: Runbook, resources: Resources, *, allow: Consent | None = None, **options: Any) -> RunRecord:
    return await run(runbook, resources, allow or consent(), RunbookOptions(**options))


def results(record: RunRecord) -> dict[str, str]:
    return {item.id: item.result for item in record.steps}


def add_run(stage: Stage, app: str, *, ago: float, status: str = "succeeded", seconds: float = 1.0, **more: Any) -> Any:
    """Put a run into the emulator's logs, ``ago`` seconds old."""
    from difyops.emulator.records import Run

    state = stage.emulator.app_named(app)
    instance = stage.emulator.instance
    created = int(instance.clock.now().timestamp() - ago)
    found = Run(
        **{
            "id": instance.new_id(), "task_id": instance.new_id(), "app_id": state.id, "workflow_id": "w",
            "version": "v1", "graph_text": "{}", "triggered_from": "app-run", "inputs": {}, "created_at": created,
            "started": 0.0, "status": status, "elapsed_time": 0.0 if status == "running" else seconds,
            "log_id": instance.new_id(), "logged_at": created, "error": "boom" if status == "failed" else None,
            **more,
        }
    )  # fmt: skip
    state.runs.append(found)
    return found


def add_message(
    stage: Stage, app: str, *, ago: float, conversation: str | None = None, status: str = "normal", answer: str = "hi",
    seconds: float = 1.0,
) -> str:  # fmt: skip
    """Put an answered message into a conversation (a new one without) and return the conversation's id."""
    from difyops.emulator.records import Conversation, Message

    state, instance = stage.emulator.app_named(app), stage.emulator.instance
    when = int(instance.clock.now().timestamp() - ago)
    found = state.conversations.get(conversation or "")
    if found is None:
        found = Conversation(
            id=instance.new_id(), app_id=state.id, name="talk", summary="", inputs={}, created_at=when, updated_at=when
        )
        state.conversations[found.id] = found
    message = Message(
        id=instance.new_id(), conversation_id=found.id, task_id="t", inputs={}, query="q", created_at=when,
        answer=answer, answer_tokens=len(answer), latency=seconds, status=status,
        error="refused" if status == "error" else None,
    )  # fmt: skip
    found.messages.append(message)
    found.updated_at = max(found.updated_at, when)
    return found.id


def change_live(stage: Stage, app: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Edit an app's graph and publish it, as somebody in the web page would."""
    import json

    from difyops.emulator import publishing

    state, instance = stage.emulator.app_named(app), stage.emulator.instance
    assert state.draft is not None
    graph = json.loads(state.draft.graph_text)
    change(graph)
    state.draft.store_graph(graph, state.draft.features)
    state.draft.updated_at = instance.now()
    publishing.publish(instance, state, instance.owner, "edited", "by hand")


KINDS: dict[str, type[Result]] = {"pass": Pass, "warn": Warn, "fail": Fail, "inconclusive": Inconclusive}


def says(*words: str, seconds: float = 0.0) -> Any:
    """Return a check that gives these results in turn, the last one for ever."""
    left = list(words)

    async def check(resources: Resources) -> Result:
        await asyncio.sleep(seconds)
        word = left.pop(0) if len(left) > 1 else left[0]
        return KINDS[word](text=f"said {word}", values=(Value(name="n", value=len(left)),))

    return check


def does(
    log: list[str], name: str, *, error: DifyopsError | None = None, undo: Undo | None = None, **planned: Any
) -> Any:
    """Return an action that notes its name when it is carried out."""

    async def plan(resources: Resources) -> Planned:
        async def apply() -> Acted:
            log.append(name)
            if error is not None:
                raise error
            return Acted(text=f"did {name}")

        return Planned(text=f"do {name}", apply=apply, undo=undo, **planned)

    return plan


async def applied(plan: Planned) -> str:
    assert plan.apply is not None, plan
    return (await plan.apply()).text


async def undone(resources: Resources, plan: Planned) -> str:
    assert plan.undo is not None
    assert plan.undo.action is not None
    return await applied(await planned(resources, plan.undo.action, **plan.undo.parameters))

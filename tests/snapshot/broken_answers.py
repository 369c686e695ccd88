"""The verbs run against damaged answers, and what must hold of each: a sample in the suite, all in ``make bench``.

A loss counts when it is *contradicted*: the damaged answer itself, or another answer of the same run, still names what
is gone. What no answer can contradict is listed in docs/answers.md and in ``MAY_DIFFER``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.api.keys import Keys
from difyops.config import Context
from difyops.dsl.diff import diff
from difyops.emulator import Emulator, agents
from difyops.errors import DifyopsError
from difyops.git_store import GitStore
from difyops.snapshot import take as taking
from difyops.snapshot.assembly import assemble
from difyops.snapshot.compare import with_live
from difyops.snapshot.drift import DriftOptions, drift
from difyops.snapshot.layout import Manifest, read_manifest
from difyops.snapshot.take import TakeOptions, take
from tests.api.frozen import FrozenClock
from tests.snapshot.damage import Case, Damaged, cases

# Nothing but the answer itself says these: another value of the same kind is believed.
MAY_DIFFER = frozenset({"updated_at", "icon", "site", "enable_api", "enable_site", "max_active_requests"})
SOUL: dict[str, Any] = {
    "prompt": {"system_prompt": "You are a helper."},
    "model": {"plugin_id": "langgenius/openai", "model_provider": "langgenius/openai/openai", "model": "gpt-4o-mini"},
    "env": {
        "variables": [{"name": "TONE", "value": "plain"}],
        "secret_refs": [{"name": "A", "value": "agent-canary-1"}],
    },
}
DSL_PARTS = (b"workflow:", b"model_config:", b"agent_packages:")
APPS = ("wf-llm", "wf-cron", "flow-chat", "chat-basic")


@dataclass(slots=True)
class Found:
    """What broke a promise: the case, the verb and the reason."""

    wrong: list[str] = field(default_factory=list)
    tried: int = 0


class Remembered:
    """A store that reads each thing once: it does not change here, and git would take most of the time."""

    def __init__(self, store: GitStore) -> None:
        self._store = store
        self._kept: dict[tuple[object, ...], Any] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def once(*words: Any, **more: Any) -> Any:
            key = (name, repr(words), repr(more))
            if key not in self._kept:
                self._kept[key] = found(*words, **more)
            return self._kept[key]

        return once


@dataclass(slots=True)
class Bench:
    """An emulator with a true snapshot, against which damaged runs are held."""

    emulator: Emulator
    state: Path
    store: GitStore
    manifest: Manifest
    commit: str
    seen: dict[str, Any]
    routes: dict[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    async def made(cls, folder: Path, version: str = "1.13.0") -> Bench:
        """Take the true snapshot and keep one answer of each route."""
        emulator = Emulator(version)
        store = GitStore.open(folder / "store", create=True)
        watching = Damaged(emulator)
        bench = cls(emulator, folder / "state", store, None, "", watching.seen)  # type: ignore[arg-type]
        instance = await bench.open(watching)
        async for app in instance.console.apps():
            if app.name not in APPS:
                await instance.console.delete_app(app.id)
        if emulator.instance.release.agents:
            helper = agents.new_agent(emulator.instance, emulator.instance.owner, name="helper", role="clerk")
            agents.save(emulator.instance, helper, SOUL)
            agents.publish(emulator.instance, helper, emulator.instance.owner, "first")
        watching.seen.clear()
        instance = await bench.open(watching)
        taken = await take(instance, store, TakeOptions(), clock=FrozenClock())
        assert taken.complete
        assert taken.commit
        bench.commit, bench.manifest = taken.commit, read_manifest(store, taken.commit)
        bench.store = Remembered(store)  # type: ignore[assignment]
        for name, run in VERBS.items():
            watching.seen = {}
            await run(bench, await bench.open(watching))
            bench.routes[name] = frozenset(watching.seen)
            bench.seen |= watching.seen
        await instance.close()
        return bench

    async def open(self, carrier: Damaged) -> Instance:
        """Connect in process with the admin key: no login, no socket."""
        import os

        os.environ["DAMAGE_KEY"] = self.emulator.admin_key or ""
        context = Context(
            name="t", url="http://emulator.test", admin_key="env:DAMAGE_KEY", workspace_id=self.emulator.workspace_id
        )
        return await connect(context, ConnectOptions(state=self.state, carrier=carrier, clock=FrozenClock()))

    def pairs(self) -> list[tuple[Case, str]]:
        """Return every damage with each verb that reads that answer."""
        return [(case, name) for case in cases(self.seen) for name in VERBS if case.route in self.routes[name]]

    async def check(self, case: Case, name: str, found: Found) -> None:
        """Run a verb with the damage and note what breaks a promise."""
        carrier = Damaged(self.emulator, case)
        try:
            instance = await self.open(carrier)
            try:
                complaint = await VERBS[name](self, instance)
            finally:
                await instance.close()
        except DifyopsError:
            complaint = None
        except Exception as error:
            complaint = f"traceback {type(error).__name__}: {error}"
        found.tried += carrier.hits > 0
        if complaint:
            found.wrong.append(f"{name}: {case}: {complaint}")


Verb = Callable[[Bench, Instance], Awaitable[str | None]]


async def _snapshot(bench: Bench, instance: Instance, *, full: bool, base: bool) -> str | None:
    kept: list[Any] = []

    def spy(*words: Any) -> Any:
        kept[:] = assemble(*words)
        return kept

    setattr(taking, "assemble", spy)  # noqa: B010 - the one place that hands over the manifest
    try:
        options = TakeOptions(full=full, dry_run=True)
        taken = await take(instance, bench.store if base else None, options, clock=FrozenClock())
    finally:
        setattr(taking, "assemble", assemble)  # noqa: B010
    files, manifest = kept
    return _judged(bench, files, manifest, has_base=base) or (
        "complete with failures" if taken.complete and taken.failed else None
    )


def _judged(bench: Bench, files: dict[str, bytes | None], manifest: Manifest, *, has_base: bool) -> str | None:
    if manifest.server_version != bench.manifest.server_version:
        return None
    for app_id, entry in bench.manifest.apps.items():
        now = manifest.apps.get(app_id)
        if now is None:
            if has_base or manifest.complete:
                return f"{entry.name} is lost"
            continue
        if now.state != "ok":
            if manifest.complete:
                return f"{entry.name} failed and the snapshot is complete"
            continue
        for path, digest in bench.manifest.files.items():
            if not path.startswith(f"apps/{app_id}/") or manifest.files.get(path) == digest:
                continue
            if path not in manifest.files:
                return f"{path} is lost"
            if reason := _differs(bench, path, files.get(path)):
                return f"{path}: {reason}"
    for path in bench.manifest.files:
        if path.startswith("workspace/") and path not in manifest.files and (has_base or manifest.complete):
            return f"{path} is lost"
    return None


def _differs(bench: Bench, path: str, content: bytes | None) -> str | None:
    """Return what a file has lost that the damaged run could have known, ``None`` when it lost nothing of the kind."""
    before = bench.store.read(bench.commit, path)
    if content is None:
        return "changed without content"
    if path.endswith(".yml"):
        return None if any(word in content for word in DSL_PARTS) else "no DSL any more"
    was, now = json.loads(before), json.loads(content)
    if path.endswith("app.json"):
        lost = [key for key, value in was.items() if value and not now.get(key) and key not in MAY_DIFFER]
        return f"lost {lost}" if lost else None
    if "agent_soul" in was and diff(was, now):  # of another store: the marks have another key
        return "another soul"
    for part in ("graph", "features"):
        if was.get(part) != now.get(part):
            return f"another {part}"
    for part in ("environment_variables", "conversation_variables"):
        if len(was.get(part) or ()) != len(now.get(part) or ()) and path.endswith("live.json"):
            return f"lost some {part}"
    config = now.get("model_config") or {}
    lost = [key for key, value in (was.get("model_config") or {}).items() if value and not config.get(key)]
    return f"lost {lost}" if lost else None


async def _first(bench: Bench, instance: Instance) -> str | None:
    return await _snapshot(bench, instance, full=False, base=False)


async def _again(bench: Bench, instance: Instance) -> str | None:
    return await _snapshot(bench, instance, full=False, base=True)


async def _full(bench: Bench, instance: Instance) -> str | None:
    return await _snapshot(bench, instance, full=True, base=True)


async def _drift(bench: Bench, instance: Instance) -> str | None:
    result = await drift(instance, bench.store, DriftOptions())
    gone = [item.name for item in result.apps if item.kind == "deleted"]
    return f"{gone} called deleted" if gone else None


async def _diff(bench: Bench, instance: Instance) -> str | None:
    result = await with_live(instance, bench.store, bench.commit, ["all"])
    gone = [item.name for item in result.apps if item.state == "removed"]
    return f"{gone} called removed" if gone else None


async def _list(bench: Bench, instance: Instance) -> str | None:
    listed = [app async for app in instance.console.apps()]
    short = len(listed) < len(bench.manifest.apps)
    return f"{len(listed)} apps listed" if short else None


async def _look(bench: Bench, instance: Instance) -> str | None:
    """What app show, secret list and doctor read."""
    await instance.workspace.identify()
    await instance.workspace.workspaces()
    for app_id in list(bench.manifest.apps)[:4]:
        await instance.console.app(app_id)
        await Keys.of_app(instance.console, app_id).list()  # nothing contradicts a list of keys that has lost one
    return None


VERBS: dict[str, Verb] = {
    "first": _first,
    "again": _again,
    "full": _full,
    "drift": _drift,
    "diff": _diff,
    "list": _list,
    "look": _look,
}

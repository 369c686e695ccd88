"""A drill, from the newest snapshot to the line in the ledger.

Data flow: lock -> what an earlier drill left is removed -> the snapshot is read again, every file hashed -> per app:
needs, restore under a scratch name, proof by reading back, smoke run, removal -> findings, RPO and RTO in the ledger.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.asking import Smoke, smoke_run
from difyops.changes import Change
from difyops.clock import iso
from difyops.drill import model
from difyops.drill.inputs import smoke_of
from difyops.drill.model import KIND, AppDrill, Drilled, DrillRequest, Finding, Word
from difyops.drill.recovery import Drills, scratches, unreachable
from difyops.errors import DifyopsError, Refused, StoreError
from difyops.fanout import Done, Failed, FanoutOptions, SkippedItem, fan_out
from difyops.git_store import GitStore
from difyops.ledger import Event
from difyops.requirements import Stock, missing, stock_of
from difyops.scratch import Scratches
from difyops.scratch.effects import cannot_run, effects_of
from difyops.sealing.store import Seal, seal_to_compare
from difyops.snapshot.check import verify
from difyops.snapshot.history import Kept, checked_at, kept_apps, load_app
from difyops.snapshot.layout import Manifest, read_manifest
from difyops.snapshot.restore import RestoreOptions, plan_restore, restore
from difyops.targets import select
from difyops.workspace import Workspace


@dataclass(frozen=True, slots=True)
class _Item:
    """One app to drill."""

    number: int
    id: str
    name: str
    mode: str


@dataclass(slots=True, kw_only=True)
class _Drill:
    """One drill under way."""

    workspace: Workspace
    store: GitStore
    request: DrillRequest
    change: Change
    commit: str
    manifest: Manifest
    seal: Seal
    stock: Stock
    findings: list[Finding] = field(default_factory=list)

    @property
    def scratches(self) -> Scratches:
        """Return the scratch apps of this drill."""
        return scratches(self.workspace.instance, self.change)

    def add(self, word: Word, kind: str, app: str, text: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(word=word, kind=kind, app=app, text=text.rstrip(".")))

    async def one(self, item: _Item) -> AppDrill:
        """Drill one app, whatever comes of it, and remove what was made."""
        try:
            found = await self._drilled(item)
        except asyncio.CancelledError:
            await self._removed(item)
            raise
        await self._removed(item)
        return found

    async def _drilled(self, item: _Item) -> AppDrill:
        clock = self.workspace.clock
        began = clock.monotonic()
        try:
            kept = load_app(self.store, self.commit, self.manifest, item.id)
            if kept.live is None:
                self.add("warn", model.NOT_RESTORED, item.name, "it was never published; there is nothing live of it")
                return self._app(item, smoke="nothing live", seconds=0.0)
            app_id = await self._restored(item, kept)
        except DifyopsError as error:
            kind = model.DIFFERS if "was restored, but" in error.message else model.NOT_RESTORED
            self.add("fail", model.DAMAGED if isinstance(error, StoreError) else kind, item.name, error.message)
            return self._app(item, seconds=clock.monotonic() - began)
        seconds = clock.monotonic() - began
        smoke = await self._smoke(item, app_id, kept.live) if self.request.smoke else "not run"
        return self._app(item, proven=True, smoke=smoke, seconds=seconds)

    async def _restored(self, item: _Item, kept: Kept) -> str:
        """Restore and prove one app; return its id."""
        instance = self.workspace.instance
        scratch = self.scratches.announce(item.number, item.name)
        record = dataclasses.replace(kept.record, tags=())
        kept = dataclasses.replace(kept, record=record)
        options = RestoreOptions(
            name=scratch, allow_missing=True, confirm_newer=True, checkpoint=self.request.checkpoint,
            seal=self.seal, access=self.workspace.access,
        )  # fmt: skip
        plan = await plan_restore(instance, kept, self.request.to, options)
        for text in plan.unresolved:
            self.add("warn" if text.startswith("secret ") else "fail", model.LACKS, item.name, text)
        for text in missing(kept.live or {}, self.stock):
            if not any(_same(text, known) for known in plan.unresolved):
                self.add("fail", model.LACKS, item.name, text)
        found = await restore(self.workspace, kept, self.request.to, options)
        self.scratches.made(item.number, scratch, found.app_id)
        for text in found.warnings:
            if "plugin" in text:
                self.add("fail", model.LACKS, item.name, text)
            elif text.startswith("run "):
                self.add("warn", model.CAME_IN, item.name, text)
        return found.app_id

    async def _smoke(self, item: _Item, app_id: str, document: Mapping[str, Any]) -> str:
        """Run one app and return what it came to, in a few words."""
        reason = cannot_run(document)
        effects = effects_of(document)
        if not reason and effects and not self.request.allow_effects:
            reason = f"it acts outside: {effects[0]} (--allow-effects runs it)"
        given = self.request.smokes.get(item.id) or self.request.smokes.get(item.name)
        smoke = smoke_of(document, given)
        if not reason and smoke is None:
            reason = "it requires a file"
        if reason or smoke is None:
            self.add("warn", model.SMOKE, item.name, f"not run: {reason}")
            return f"not run: {reason}"
        self.change.checkpoint(f"before smoke {item.number}")
        try:
            await self._ask(app_id, smoke)
        except DifyopsError as error:
            lacking = any(found.app == item.name and found.kind == model.LACKS for found in self.findings)
            word: Word = "inconclusive" if lacking else "fail"
            self.add(word, model.SMOKE, item.name, error.message + (" (it lacks things here)" if lacking else ""))
            return f"failed: {error.message}"
        return "passed"

    async def _ask(self, app_id: str, smoke: Smoke) -> None:
        """Run a scratch app once: its draft where it has one, else its API with a key that goes with the app."""
        instance, key = self.workspace.instance, None
        app = await instance.console.app(app_id)
        if not app.has_workflow:
            key = (await Keys.of_app(instance.console, app.id).create()).token
            await instance.console.set_api(app.id, enabled=True)
        await smoke_run(instance, app, smoke, key=key, user="difyops-drill")

    async def _removed(self, item: _Item) -> None:
        """Remove what was made of one app; an import that was cut off is left to the sweep at the end."""
        try:
            said = await self.scratches.remove(item.number)
        except DifyopsError as error:
            said = unreachable(error)
        if said is not None:
            self.add("fail", model.LEFT, item.name, said)

    def _app(
        self, item: _Item, *, proven: bool = False, smoke: str = "not run", seconds: float
    ) -> AppDrill:  # fmt: skip
        return AppDrill(
            id=item.id, name=item.name, mode=item.mode, proven=proven, smoke=smoke,
            seconds=round(seconds, 3),
        )  # fmt: skip


async def run(workspace: Workspace, store: GitStore, request: DrillRequest) -> Drilled:
    """Drill the snapshot of a context on the workspace's instance.

    Raises:
        StoreError: there is no snapshot. SelectorError: a selector means no app of it. LockHeld: another drill runs on
            this instance. DifyopsError: the instance cannot be read.
    """
    instance, journal = workspace.instance, workspace.journal
    subject = subject_of(instance)
    commit = store.resolve(request.to, branch=request.source)
    with journal.lock(subject, holding=f"a restore drill of {request.source!r} begun at {iso(workspace.clock.now())}"):
        swept = await Drills().sweep_earlier(instance, journal, KIND, subject)
        change = Change.begin(
            journal, KIND, subject=subject, label=f"drill of {request.source}", url=instance.context.url,
            facts={"source": request.source, "commit": commit}, checkpoint=request.checkpoint,
        )  # fmt: skip
        change.checkpoint("journal written")
        began = workspace.clock.now()
        files, findings = _read_again(store, request, commit)
        try:
            manifest = read_manifest(store, commit)
        except StoreError as error:
            change.close("done")
            findings.append(Finding(word="fail", kind=model.DAMAGED, app="", text=error.message))
            return _ended(workspace, store, request, change, began, [], findings, swept, files)
        drill = _Drill(
            workspace=workspace, store=store, request=request, change=change, commit=commit, manifest=manifest,
            seal=seal_to_compare(store, request.source, workspace.access), stock=await stock_of(instance),
            findings=findings,
        )  # fmt: skip
        apps = await _every(drill)
        rest = await drill.scratches.sweep()
        for text in rest.left:
            drill.add("fail", model.LEFT, "", text)
        result = _ended(workspace, store, request, drill.change, began, apps, drill.findings, swept, files)
        drill.change.close("done", apps=len(apps), verdict=result.verdict)
        return result


def subject_of(instance: Instance) -> str:
    """Return what a drill locks: the instance, under whatever context name."""
    return f"drill/{instance.context.url.partition('://')[2]}"


def refuse_production(source_url: str, into: Instance, source_workspace: str | None) -> None:
    """Refuse a scratch context that is the instance and workspace which the snapshot is of.

    Raises:
        Refused: it is.
    """
    same_place = source_url.rstrip("/") == into.context.url.rstrip("/")
    if same_place and (source_workspace in (None, into.context.workspace_id) or into.context.workspace_id is None):
        raise Refused(
            f"{into.name} is where the snapshot is from; a scratch context is another instance or workspace.",
            hint="Leave --into out: scratch apps of their own names are made, and removed.",
        )


def _read_again(store: GitStore, request: DrillRequest, commit: str) -> tuple[int, list[Finding]]:
    """Hash every file of the snapshot again."""
    try:
        checked = verify(store, request.source, revision=commit)
    except DifyopsError as error:
        return 0, [Finding(word="fail", kind=model.DAMAGED, app="", text=error.message)]
    found = [Finding(word="fail", kind=model.DAMAGED, app="", text=text) for text in checked.problems]
    if not checked.complete and not found:
        text = "the snapshot is of some apps only, or could not read all of them"
        found.append(Finding(word="warn", kind=model.DAMAGED, app="", text=text))
    return checked.files, found


async def _every(drill: _Drill) -> list[AppDrill]:
    known = kept_apps(drill.store, drill.commit, ("all",))
    chosen = select(known, drill.request.selectors, may_be_empty=True)
    items = [_Item(number, app.id, app.name, app.mode) for number, app in enumerate(chosen, 1)]
    found: list[AppDrill] = []
    if drill.request.at_once == 1:
        return [await drill.one(item) for item in items]
    async for result in fan_out(items, drill.one, FanoutOptions(limit=drill.request.at_once)):
        match result:
            case Done(value=value):
                found.append(value)
            case Failed(item=item, error=error):
                drill.add("fail", model.NOT_RESTORED, item.name, error.message)
            case SkippedItem(item=item, reason=reason):
                drill.add("inconclusive", model.NOT_RESTORED, item.name, reason)
    order = {item.id: item.number for item in items}
    return sorted(found, key=lambda app: order[app.id])


def _ended(
    workspace: Workspace, store: GitStore, request: DrillRequest, change: Change, began: datetime,
    apps: list[AppDrill], findings: list[Finding], swept: tuple[str, ...], files: int,
) -> Drilled:  # fmt: skip
    ended = workspace.clock.now()
    looked = checked_at(store, request.source)
    at = _moment(looked)
    result = Drilled(
        id=change.id, context=request.source, into=workspace.instance.name, commit=str(change.record.facts["commit"]),
        snapshot_at=at, began=began, ended=ended, rpo=max(0.0, (began - at).total_seconds()) if at else None,
        rto=round((ended - began).total_seconds(), 3), files=files, apps=tuple(apps),
        findings=tuple(sorted(findings, key=lambda item: (item.word != "fail", item.app, item.kind, item.text))),
        swept=swept,
    )  # fmt: skip
    workspace.ledger.append(
        Event(kind=model.EVENT, subject=request.source, when=ended, context=request.source, data=as_data(result))
    )
    return result


def as_data(result: Drilled) -> dict[str, Any]:
    """Return a drill as the ledger keeps it."""
    data = dataclasses.asdict(result)
    for name in ("snapshot_at", "began", "ended"):
        data[name] = iso(data[name]) if data[name] else None
    return {**data, "verdict": result.verdict}


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    """Say whether two sentences name the same thing that is missing: both name it, in other words."""
    words = {word.strip("'\"()") for word in one.split()} & {word.strip("'\"()") for word in other.split()}
    return any("/" in word or len(word) >= 16 for word in words)

"""Taking a snapshot: read what changed, write one commit with one manifest, or say what is missing.

Data flow: app list -> per app ``reading`` (bounded, side by side) -> files and records -> manifest -> one commit in
one transaction. A killed run leaves the last good state; a second writer makes this one read again on top of the new
state. Content that did not change makes no commit; a note in the store says when it was last checked.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import Clock, SystemClock, iso
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure, StoreError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.git_store import GitStore, StoreMoved
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, seal_to_compare, seal_to_write
from difyops.snapshot.agreement import is_gone, left_out
from difyops.snapshot.assembly import Assembling, Base, Files, GatheredApp, assemble, read_base, sealed_kinds
from difyops.snapshot.belonging import StorePlace, require_same
from difyops.snapshot.changelog import changelog
from difyops.snapshot.inventory import confirmed, read_inventory
from difyops.snapshot.layout import MANIFEST, Manifest
from difyops.snapshot.reading import AppReading, ReadOptions, read_app
from difyops.snapshot.second_pass import may_pass_later, second_pass
from difyops.snapshot.steps import Checkpoint, no_checkpoint
from difyops.targets import select

log = logging.getLogger("difyops.snapshot")
AUTHOR = "difyops <difyops@localhost>"
_TRIES = 5

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOptions:
    """What to take: selectors, a tag with its text, live versions only, everything anew, calls at once.

    ``aside``: kept under its tag only; the context's newest snapshot stays the one that it was. ``access``: what this
    machine has for sealed values. ``same_instance``: what stands in the store is of this instance, though its address
    or workspace was another one.
    """

    selectors: tuple[str, ...] = ("all",)
    tag: str | None = None
    message: str = ""
    live_only: bool = False
    full: bool = False
    dry_run: bool = False
    aside: bool = False
    limit: int = 4
    access: Access = field(default_factory=Access)
    same_instance: bool = False
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaintextSecret:
    """A place in an app that holds what looks like a secret, outside the places that are kept out of snapshots."""

    app: str
    app_id: str
    place: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The result. ``commit`` is the newest snapshot; ``changed`` is False when nothing differed from it.

    ``sealed``: how many values are marks, by the kind of place; ``recoverable``: whether the store holds them, for its
    recipients.
    """

    context: str
    commit: str | None
    changed: bool
    complete: bool
    state: str
    tag: str | None
    counts: Mapping[str, int]
    failed: tuple[Mapping[str, str], ...]
    changes: tuple[str, ...]
    plaintext_secrets: tuple[PlaintextSecret, ...]
    seconds: float
    warnings: tuple[str, ...] = ()
    sealed: Mapping[str, int] = field(default_factory=dict)
    recoverable: bool = False

    @property
    def error(self) -> DifyopsError | None:
        """Return the partial failure, ``None`` when everything asked for was read."""
        if not self.failed:
            return None
        named = ", ".join(item["name"] for item in self.failed[:5])
        more = f" and {len(self.failed) - 5} more" if len(self.failed) > 5 else ""
        return PartialFailure(
            f"{len(self.failed)} could not be read: {named}{more}.", hint="difyops snapshot show latest", retryable=True
        )


async def take(
    instance: Instance,
    store: GitStore | None,
    options: TakeOptions,
    *,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> Taken:
    """Take a snapshot of what ``options.selectors`` mean into the branch of the instance's context.

    Without a store (it does not exist yet) it is a dry run.

    Raises:
        SelectorError: a selector matches nothing. Refused: the branch holds another instance. TagExists: the tag is
        there already. StoreError: the store cannot
        be written (the last snapshot is intact). DifyopsError: the app list itself could not be read.
    """
    clock = clock or SystemClock()
    started = clock.monotonic()
    apps = [app async for app in instance.console.apps()]
    options.checkpoint("listed")
    chosen = select(apps, options.selectors, may_be_empty=True)
    whole = "all" in options.selectors
    writes = store is not None and not options.dry_run
    workspace = await instance.workspace.current()
    place = StorePlace.of(instance.context.url, str(workspace.get("id", "")))
    base = read_base(store, instance.name)
    if store is not None:
        held = base.manifest
        require_same(store, instance.name, held, place, same_instance=options.same_instance, writes=writes)
    inventory, inventory_failed = await read_inventory(instance) if whole else ({}, {})
    seal = (seal_to_write if writes else seal_to_compare)(store, instance.name, options.access)  # type: ignore[arg-type]
    resources = Assembling(
        instance=instance,
        apps=apps,
        workspace=workspace,
        inventory=inventory,
        inventory_failed=inventory_failed,
        selection=options.selectors,
        live_only=options.live_only,
        full=options.full,
        taken_at=iso(clock.now()),
        seal=seal,
    )
    for _ in range(_TRIES):
        gathered = await _gather(instance, chosen, base, options, seal, progress, clock)
        if whole:
            await _look_for_missing(instance, apps, base, gathered, options.limit)
            resources = replace(
                resources, **await confirmed(instance, store, base, resources.inventory, resources.inventory_failed)
            )
        files, manifest = assemble(resources, base, gathered)
        changes = changelog(store, base.commit, base.manifest, files, manifest)
        findings = _findings(gathered)
        seconds = clock.monotonic() - started
        if options.dry_run or store is None:
            return _taken(instance, base.commit, manifest, base, changes, findings, seconds, None)
        try:
            commit = _write(store, instance.name, base, files, manifest, changes, options, clock)
        except StoreMoved:
            log.info("another snapshot was written meanwhile; reading again on top of it")
            base = read_base(store, instance.name)
            require_same(store, instance.name, base.manifest, place)
            continue
        taken = _taken(instance, commit, manifest, base, changes, findings, seconds, options.tag)
        kinds, is_first = sealed_kinds(base, gathered), not any(before.sealed.places for before in base.apps.values())
        lost = _would_be_lost(sum(kinds.values())) if kinds and is_first and not seal.recipients else ()
        return replace(taken, warnings=(*seal.warnings, *lost), sealed=kinds, recoverable=bool(seal.recipients))
    raise StoreError("Other writers kept changing the store; gave up.", hint="Run this again.", retryable=True)


async def _gather(
    instance: Instance,
    chosen: Sequence[App],
    base: Base,
    options: TakeOptions,
    seal: Seal,
    progress: Progress | None,
    clock: Clock,
) -> GatheredApp:
    gathered = GatheredApp()
    how = ReadOptions(live_only=options.live_only, full=options.full, seal=seal)

    async def work(app: App) -> AppReading:
        return await read_app(instance, app, base.apps.get(app.id), how)

    fan = FanoutOptions(limit=options.limit)
    async for result in fan_out(chosen, work, fan):
        match result:
            case Done(item=app, value=reading):
                gathered.readings[app.id] = reading
            case Failed(item=app, error=error):
                gathered.failed[app.id] = error
        options.checkpoint("app read")
        if progress:
            progress(len(gathered.readings) + len(gathered.failed), len(chosen), app.name)
    again = {app_id: error for app_id, error in gathered.failed.items() if may_pass_later(error)}
    if again:
        log.info("%d apps could not be read; reading them again, slowly", len(again))
        read_now, still, gone = await second_pass(instance, again, work, clock)
        gathered.readings.update(read_now)
        gathered.failed = {key: error for key, error in gathered.failed.items() if key not in again} | still
        gathered.gone |= gone
    return gathered


async def _look_for_missing(
    instance: Instance, apps: Sequence[App], base: Base, gathered: GatheredApp, limit: int
) -> None:
    """Believe that an app of the last snapshot is gone only when its detail says what the list says."""
    listed = {app.id for app in apps}
    missing = [app_id for app_id in base.apps if app_id not in listed and app_id not in gathered.gone]

    async def look(app_id: str) -> bool:
        return await is_gone(instance.console, app_id)

    async for result in fan_out(missing, look, FanoutOptions(limit=limit)):
        match result:
            case Done(item=app_id, value=True):
                gathered.gone.add(app_id)
            case Done(item=app_id):
                gathered.failed[app_id] = left_out()
            case Failed(item=app_id, error=error):
                gathered.failed[app_id] = error


def _write(
    store: GitStore,
    branch: str,
    base: Base,
    files: Files,
    manifest: Manifest,
    changes: Sequence[str],
    options: TakeOptions,
    clock: Clock,
) -> str:
    same = manifest.same_content(base.manifest)
    text = _message(manifest, changes, options)
    tag = (options.tag, text) if options.tag else None
    note = None if options.aside else _note(store, branch, manifest)
    if same and note is not None and tag is None and base.commit is not None and not options.full:
        store.note(branch, note)
        return base.commit
    if not same:
        files = {**files, MANIFEST: manifest.encoded()}
    options.checkpoint("before commit")
    commit = store.commit(
        branch,
        {} if same and not options.full else files,
        base=base.commit,
        replace=False,
        message=text,
        author=AUTHOR,
        when=clock.now(),
        tag=tag,
        note=note,
        aside=options.aside,
    )
    options.checkpoint("after commit")
    store.tidy()
    return commit


def _note(store: GitStore, branch: str, manifest: Manifest) -> bytes:
    """Return the record of the last look; one at a few apps does not take the place of one at all of them."""
    former = None if manifest.complete else store.read_note(branch)
    return former or json.dumps({"checked_at": manifest.taken_at, "complete": manifest.complete}).encode()


def _message(manifest: Manifest, changes: Sequence[str], options: TakeOptions) -> str:
    title = options.message or (changes[0] if len(changes) == 1 else counted(len(changes), "change"))
    state = "" if manifest.complete else f" [partial: {', '.join(manifest.selection)}]"
    if manifest.failed:
        state = f" [partial: {len(manifest.failed)} failed]"
    body = "\n".join(f"- {line}" for line in changes)
    return f"{title}{state}\n\n{body}\n"


def _would_be_lost(number: int) -> tuple[str, ...]:
    """Say once what the loss of the instance would cost a store without recipients."""
    said = (
        f"The store holds only fingerprints of {number} secret value{'s' * (number != 1)}: what the instance loses is "
        "lost. To keep them, encrypted: difyops snapshot seal init"
    )
    return (said,)


def _findings(gathered: GatheredApp) -> tuple[PlaintextSecret, ...]:
    return tuple(
        PlaintextSecret(app=reading.record.name, app_id=app_id, place=finding.place, kind=finding.kind)
        for app_id, reading in sorted(gathered.readings.items())
        for finding in reading.findings
    )


def _taken(
    instance: Instance,
    commit: str | None,
    manifest: Manifest,
    base: Base,
    changes: Sequence[str],
    findings: tuple[PlaintextSecret, ...],
    seconds: float,
    tag: str | None,
) -> Taken:
    return Taken(
        context=instance.name,
        commit=commit,
        changed=not manifest.same_content(base.manifest),
        complete=manifest.complete,
        state=manifest.state,
        tag=tag,
        counts=manifest.counts,
        failed=manifest.failed,
        changes=tuple(changes),
        plaintext_secrets=findings,
        seconds=round(seconds, 3),
    )

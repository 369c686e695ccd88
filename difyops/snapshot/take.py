"""Taking a snapshot: read what changed, write one commit with one manifest, or say what is missing.

Data flow: app list -> per app ``reading`` (bounded, side by side) -> files and records -> manifest -> one commit in
one transaction. A killed run leaves the last good state; a second writer makes this one read again on top of the new
state. Content that did not change makes no commit; a note in the store says when it was last checked.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import Clock, SystemClock, iso
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure, StoreError
from difyops.git_store import GitStore, StoreMoved
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, seal_to_compare, seal_to_write
from difyops.snapshot.assembly import Assembling, Base, Files, GatheredApp, assemble, read_base, sealed_kinds
from difyops.snapshot.belonging import StorePlace, require_same
from difyops.snapshot.changelog import changelog
from difyops.snapshot.gathering import Gathering, Progress
from difyops.snapshot.inventory import confirmed, read_inventory
from difyops.snapshot.layout import MANIFEST, WHOLE, Manifest
from difyops.snapshot.reading import ReadOptions
from difyops.snapshot.steps import Checkpoint, no_checkpoint
from difyops.targets import select

log = logging.getLogger("difyops.snapshot")
AUTHOR = "difyops <difyops@localhost>"
_TRIES = 5


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
        there already. StoreError: the store cannot be written (the last snapshot is intact). DifyopsError: the app list
        itself could not be read.
    """
    clock = clock or SystemClock()
    started = clock.monotonic()
    work = _Work(instance, store, options, clock, progress)
    base, what, chosen = await _begun(work)
    for _ in range(_TRIES):
        found = await _read_all(work, base, what, chosen)
        seconds = clock.monotonic() - started
        if options.dry_run or store is None:
            return _taken(instance, found, base.commit, seconds, None)
        try:
            commit = _write(store, instance.name, found, options, clock)
        except StoreMoved:
            log.info("another snapshot was written meanwhile; reading again on top of it")
            base = read_base(store, instance.name)
            require_same(store, instance.name, base.manifest, _place(instance, what.workspace))
            continue
        return _sealed(_taken(instance, found, commit, seconds, options.tag), found, what.seal)
    raise StoreError("Other writers kept changing the store; gave up.", hint="Run this again.", retryable=True)


@dataclass(frozen=True, slots=True)
class _Work:
    """What every step of one snapshot needs."""

    instance: Instance
    store: GitStore | None
    options: TakeOptions
    clock: Clock
    progress: Progress | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One reading of all that was asked for, on top of the newest snapshot (``base``) as it was then."""

    base: Base
    gathered: GatheredApp
    files: Files
    manifest: Manifest
    changes: tuple[str, ...]


async def _begun(work: _Work) -> tuple[Base, Assembling, list[App]]:
    """Look at the instance and at the store: the newest snapshot, what holds for the whole new one, the apps it takes.

    Raises:
        SelectorError: a selector matches nothing. Refused: the branch holds another instance.
    """
    instance, store, options = work.instance, work.store, work.options
    apps = [app async for app in instance.console.apps()]
    options.checkpoint("listed")
    chosen = select(apps, options.selectors, may_be_empty=True)
    writes = store is not None and not options.dry_run
    workspace = await instance.workspace.current()
    base = read_base(store, instance.name)
    if store is not None:
        place, same = _place(instance, workspace), options.same_instance
        require_same(store, instance.name, base.manifest, place, same_instance=same, writes=writes)
    inventory, inventory_failed = await read_inventory(instance) if WHOLE in options.selectors else ({}, {})
    seal = (seal_to_write if writes else seal_to_compare)(store, instance.name, options.access)  # type: ignore[arg-type]
    what = Assembling(
        instance=instance,
        apps=apps,
        workspace=workspace,
        inventory=inventory,
        inventory_failed=inventory_failed,
        selection=options.selectors,
        live_only=options.live_only,
        full=options.full,
        taken_at=iso(work.clock.now()),
        seal=seal,
    )
    return base, what, chosen


async def _read_all(work: _Work, base: Base, what: Assembling, chosen: Sequence[App]) -> _Found:
    """Read the apps, and compare all with the newest snapshot; what is missing is believed only when looked for."""
    options = work.options
    gathering = Gathering(
        instance=work.instance,
        base=base,
        how=ReadOptions(live_only=options.live_only, full=options.full, seal=what.seal),
        limit=options.limit,
        clock=work.clock,
        checkpoint=options.checkpoint,
        progress=work.progress,
    )
    gathered = await gathering.read(chosen)
    if what.whole:
        await gathering.look_for_missing(what.apps, gathered)
        agreed = await confirmed(work.instance, work.store, base, what.inventory, what.inventory_failed)
        what = replace(what, **agreed)
    files, manifest = assemble(what, base, gathered)
    changes = changelog(work.store, base.commit, base.manifest, files, manifest)
    return _Found(base=base, gathered=gathered, files=files, manifest=manifest, changes=tuple(changes))


def _place(instance: Instance, workspace: Mapping[str, Any]) -> StorePlace:
    return StorePlace.of(instance.context.url, str(workspace.get("id", "")))


def _write(store: GitStore, branch: str, found: _Found, options: TakeOptions, clock: Clock) -> str:
    """Write one commit, or only a note where nothing differs; return the newest snapshot.

    Raises:
        StoreMoved: somebody wrote since the newest snapshot was read. TagExists, StoreError: nothing was written.
    """
    base, manifest, files = found.base, found.manifest, found.files
    same = manifest.same_content(base.manifest)
    text = _message(manifest, found.changes, options)
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


def _sealed(taken: Taken, found: _Found, seal: Seal) -> Taken:
    """Return the result with what it says of sealed values."""
    kinds = sealed_kinds(found.base, found.gathered)
    is_first = not any(before.sealed.places for before in found.base.apps.values())
    lost = _would_be_lost(sum(kinds.values())) if kinds and is_first and not seal.recipients else ()
    return replace(taken, warnings=(*seal.warnings, *lost), sealed=kinds, recoverable=bool(seal.recipients))


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


def _taken(instance: Instance, found: _Found, commit: str | None, seconds: float, tag: str | None) -> Taken:
    manifest = found.manifest
    return Taken(
        context=instance.name,
        commit=commit,
        changed=not manifest.same_content(found.base.manifest),
        complete=manifest.complete,
        state=manifest.state,
        tag=tag,
        counts=manifest.counts,
        failed=manifest.failed,
        changes=found.changes,
        plaintext_secrets=_findings(found.gathered),
        seconds=round(seconds, 3),
    )

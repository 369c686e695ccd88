"""Drift: does the instance still look like the last snapshot? Who changed what, and is it live or only drafted?

An app is read as a snapshot reads it: two or three calls, and what the manifest proves unchanged is not compared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, NotFound, PartialFailure, StoreError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.git_store import GitStore, ObjectReader
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, seal_to_compare
from difyops.snapshot.agreement import is_gone, left_out
from difyops.snapshot.app_drift import (
    DELETED,
    FLAGS,
    LIVE,
    SECRET,
    SETTINGS,
    TRIGGERS,
    UNREADABLE,
    AppDrift,
    HeldApp,
    app_drift,
    new_app,
)
from difyops.snapshot.app_texts import sealed_texts
from difyops.snapshot.assembly import Base, read_base
from difyops.snapshot.belonging import place_of, require_same
from difyops.snapshot.changelog import covers
from difyops.snapshot.history import apps_of, checked_at
from difyops.snapshot.layout import WHOLE, Manifest, app_file, read_json
from difyops.snapshot.reading import ReadOptions, read_app
from difyops.targets import select

Progress = Callable[[int, int, str], None]
_MOST_NAMED = 5
_PLAIN = re.compile(r"[\w.-]+")  # a name that is no glob, no tag: and needs no quotes
_KEEP = "Keep it: difyops snapshot create."
_BACK = {
    LIVE: "Undo it: difyops snapshot rollback APP --to latest",
    SECRET: "A rollback leaves secret variables as they are now: difyops secret list",
    FLAGS: "Switch back: difyops app enable APP (or disable)",
    SETTINGS: "A rollback --with-name brings name, description and icon back; the rest is set in the console",
    TRIGGERS: "Switch triggers back: difyops trigger enable APP (or disable)",
    DELETED: "Bring it back: difyops snapshot restore APP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftOptions:
    """What to compare, and how many apps at once. ``same_instance``: as in ``TakeOptions``; ``writes``: that may be
    kept in the store.
    """

    selectors: tuple[str, ...] = (WHOLE,)
    access: Access = field(default_factory=Access)
    limit: int = 4
    same_instance: bool = False
    writes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The verdict: drifted apps against snapshot ``commit``, how many were compared, how old the comparison base is.

    ``uncovered``: apps of the instance that no snapshot was ever asked for.
    """

    context: str
    commit: str
    taken_at: str
    checked_at: str | None
    compared: int
    apps: tuple[AppDrift, ...]
    uncovered: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """Return what can be done about the kinds of drift that were found."""
        kinds = {app.kind for app in self.apps}
        told = [f"{text.replace('APP', self._named(kind))}." for kind, text in _BACK.items() if kind in kinds]
        return " ".join([_KEEP, *told])

    def _named(self, kind: str) -> str:
        """Return the apps of one kind as a command takes them; ``APP`` where they are many."""
        apps = [app for app in self.apps if app.kind == kind]
        if len(apps) > _MOST_NAMED:
            return "APP"
        names = Counter(name for _, name in {(app.id, app.name) for app in self.apps})
        return " ".join(app.name if names[app.name] == 1 and _PLAIN.fullmatch(app.name) else app.id for app in apps)

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" when anything drifted (5), a partial failure when something could not be read (3)."""
        unreadable = sum(app.kind == "unreadable" for app in self.apps)
        drifted = len({app.id for app in self.apps if app.kind != "unreadable"})
        if drifted:
            more = f" {unreadable} could not be compared." if unreadable else ""
            return AnswerIsNo(
                f"{drifted} of {counted(self.compared, 'app')} drifted from snapshot {self.commit[:10]}.{more}",
                hint=self.hint,
            )
        if unreadable:
            return PartialFailure(
                f"{unreadable} of {counted(self.compared, 'app')} could not be compared.", retryable=True
            )
        return None


async def drift(
    instance: Instance, store: GitStore, options: DriftOptions, *, progress: Progress | None = None
) -> Drift:
    """Compare the instance with the newest snapshot of its context.

    Raises:
        StoreError: there is no snapshot yet. SelectorError: a selector matches nothing. Refused: the snapshots are of
        another instance.
    """
    base = read_base(store, instance.name)
    if base.commit is None or base.manifest is None:
        store.resolve("latest", branch=instance.name)  # says that there is none
        raise StoreError(f"There is no snapshot of {instance.name}.")
    manifest, place = base.manifest, await place_of(instance)
    require_same(store, instance.name, manifest, place, same_instance=options.same_instance, writes=options.writes)
    seal = seal_to_compare(store, instance.name, options.access)
    now = {app.id: app async for app in instance.console.apps()}
    kept = {app.id: app for app in apps_of(manifest)}
    uncovered = _uncovered(manifest, now, options.selectors)
    everything = [app for app in {**kept, **now}.values() if app.id not in uncovered]
    chosen = select(everything, options.selectors, may_be_empty=True)
    with store.at(base.commit) as files:
        looking = _Looking(instance=instance, base=base, manifest=manifest, files=files, seal=seal, now=now)
        found = await looking.all(chosen, options.limit, progress)
    told = f"the snapshots hold a selection ({', '.join(manifest.coverage)}): {len(uncovered)} other apps not compared"
    return Drift(
        context=instance.name,
        commit=base.commit,
        taken_at=manifest.taken_at,
        checked_at=checked_at(store, instance.name),
        compared=len(chosen),
        apps=tuple(sorted(found, key=lambda item: (item.name, item.id, item.kind))),
        uncovered=len(uncovered),
        warnings=(*seal.warnings, *((told,) if uncovered else ())),
    )


def _uncovered(manifest: Manifest, now: Mapping[str, App], selectors: Sequence[str]) -> set[str]:
    """Return the apps that nobody ever asked a snapshot of; one that is named now is asked for."""
    if manifest.covers_all or WHOLE not in selectors:
        return set()
    return {
        app.id for app in now.values() if app.id not in manifest.apps and not covers(manifest.coverage, app.id, app)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looking:
    """One comparison of many apps with one snapshot, whose tree is read once."""

    instance: Instance
    base: Base
    manifest: Manifest
    files: ObjectReader
    seal: Seal
    now: Mapping[str, App]

    async def all(self, chosen: Sequence[App], limit: int, progress: Progress | None) -> list[AppDrift]:
        """Compare the chosen apps."""
        found: list[AppDrift] = []
        done = 0
        async for result in fan_out(chosen, self.one, FanoutOptions(limit=limit)):
            match result:
                case Done(value=drifts):
                    found += drifts
                case Failed(item=app, error=NotFound()) if await _is_gone_now(self.instance, app):
                    found.append(AppDrift(id=app.id, name=app.name, kind=DELETED, what="deleted a moment ago"))
                case Failed(item=app, error=error):
                    found.append(AppDrift(id=app.id, name=app.name, kind=UNREADABLE, what=error.message))
            done += 1
            if progress:
                progress(done, len(chosen), result.item.name)
        return found

    async def one(self, app: App) -> list[AppDrift]:
        """Compare one app."""
        if app.id not in self.now:
            if not await is_gone(self.instance.console, app.id):
                raise left_out()
            return [AppDrift(id=app.id, name=app.name, kind=DELETED, what="deleted on the instance")]
        before = self.base.apps.get(app.id)
        if before is None:
            return [new_app(app)] if _is_new(app, self.manifest) else [_unread(app, self.manifest)]
        reading = await read_app(self.instance, app, before, ReadOptions(seal=self.seal))
        before = replace(before, record=sealed_texts(before.record, self.seal, is_marked=True)[0])
        held = HeldApp(before=before, document=lambda name: self._document(app.id, name))
        return app_drift(held, reading, live_only=self.manifest.live_only)

    def _document(self, app_id: str, name: str) -> dict[str, Any] | None:
        path = app_file(app_id, name)
        return read_json(self.files, path) if path in self.manifest.files else None


async def _is_gone_now(instance: Instance, row: App) -> bool:
    """Say whether an app that was not found is gone: a new list lacks it as well."""
    try:
        return row.id not in {app.id async for app in instance.console.apps()}
    except DifyopsError:
        return False


def _is_new(app: App, manifest: Manifest) -> bool:
    """Say whether the snapshot knew nothing of an app, because there was nothing and not because it failed to look."""
    failed = {str(item.get("id")) for item in manifest.failed}
    return app.id not in failed and app.id not in manifest.apps and not _is_blind(manifest)


def _is_blind(manifest: Manifest) -> bool:
    return bool(manifest.failed) and not any(path.endswith("/app.json") for path in manifest.files)


def _unread(app: App, manifest: Manifest) -> AppDrift:
    what = "the snapshot could not read it then; there is nothing to compare with"
    if _is_blind(manifest):
        what = "the snapshot could read no app; there is nothing to compare with"
    return AppDrift(id=app.id, name=app.name, kind=UNREADABLE, what=what)

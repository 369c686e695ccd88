"""Where a rollback goes to: what a snapshot holds of an app, or a version that the server itself kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import DifyopsError, NothingKept, SelectorError
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, seal_to_compare
from difyops.snapshot.belonging import place_of, require_same
from difyops.snapshot.former import former_ids
from difyops.snapshot.history import Kept, apps_of, load_app
from difyops.snapshot.layout import Manifest, read_manifest
from difyops.snapshot.server_versions import kept_version, means_version
from difyops.targets import matching, pick, select


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSnapshot:
    """Back to a snapshot. An app that was restored since goes back to what was kept of the one it came from."""

    store: GitStore
    branch: str
    commit: str
    manifest: Manifest
    seal: Seal
    word: str

    def chosen(self, live: Sequence[App], selector: str) -> list[App]:
        """Return the one live app that ``selector`` means, or the apps of the snapshot that a wider one means.

        Raises:
            SelectorError: no app is meant, or the snapshot alone has it: that is for a restore.
        """
        if not means_one(selector):
            return select(apps_of(self.manifest), (selector,), may_be_empty=True)
        try:
            return [pick(live, selector)]
        except SelectorError as error:
            if matching(live, selector):
                raise  # several apps of that name
            return [self._gone_or_renamed(live, selector, error)]

    def _gone_or_renamed(self, live: Sequence[App], selector: str, error: SelectorError) -> App:
        try:
            kept = pick(apps_of(self.manifest), selector)
        except DifyopsError:
            raise error from None
        if found := next((app for app in live if app.id == kept.id), None):
            return found
        hint = f"difyops snapshot restore {kept.id} --to {self.word}"
        raise SelectorError(f"{kept.name!r} does not exist any more; it can be restored.", hint=hint) from error

    async def kept(self, app: App) -> Kept:
        """Return what the snapshot holds of an app.

        Raises:
            SelectorError: nothing. StoreError: its files are damaged, or it could not be read then.
        """
        ids = [app.id, *former_ids(self.store, self.branch, app.id)]
        own = next((each for each in ids if each in self.manifest.apps), None)
        if own is None:
            raise SelectorError(
                f"Snapshot {self.commit[:10]} does not hold {app.name!r}.", hint=f"difyops snapshot log {app.id}"
            )
        return load_app(self.store, self.commit, self.manifest, own).as_app(app.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToVersion:
    """Back to a version that the server kept."""

    instance: Instance
    seal: Seal
    word: str
    store: GitStore | None = None

    def chosen(self, live: Sequence[App], selector: str) -> list[App]:
        """Return the apps that a selector means; of several, only those that have versions."""
        found = select(live, (selector,), may_be_empty=True)
        return found if len(found) == 1 else [app for app in found if app.has_workflow or app.is_agent]

    async def kept(self, app: App) -> Kept:
        """Return the version of an app."""
        return await kept_version(self.instance, await self.instance.console.app(app.id), self.word, self.seal)


WayBack = ToSnapshot | ToVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class WayBackRequest:
    """What was asked for: the word after ``--to``, what this machine has for sealed values, and whether a person said
    that the snapshots are of this instance (``belonging``); ``writes``: that may be kept in the store.
    """

    word: str
    access: Access = field(default_factory=Access)
    same_instance: bool = False
    writes: bool = True


async def find_way_back(instance: Instance, open_store: Callable[[], GitStore], asked: WayBackRequest) -> WayBack:
    """Return what a word means: a snapshot, or a version of the server, for which no store is needed.

    Raises:
        StoreError: there is no such snapshot. Refused: it is of another instance.
    """
    if means_version(asked.word):
        try:
            seal = seal_to_compare(open_store(), instance.name, asked.access)
        except NothingKept:
            seal = seal_to_compare(None, instance.name, asked.access)
        if seal.key is None:
            seal = seal_to_compare(None, instance.name, asked.access)  # a key of this run tells the values apart
        return ToVersion(instance=instance, seal=seal, word=asked.word)
    store, branch = open_store(), instance.name
    commit = store.resolve(asked.word, branch=branch)
    manifest, place = read_manifest(store, commit), await place_of(instance)
    require_same(store, branch, manifest, place, same_instance=asked.same_instance, writes=asked.writes)
    seal = seal_to_compare(store, branch, asked.access)
    return ToSnapshot(store=store, branch=branch, commit=commit, manifest=manifest, seal=seal, word=asked.word)


def means_one(selector: str) -> bool:
    """Say whether a selector can mean one app only."""
    is_wide = selector == "all" or selector.startswith(("tag:", "mode:", "@"))
    return not is_wide and not any(character in selector for character in "*?[")

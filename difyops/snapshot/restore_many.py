"""Bringing back several apps of one snapshot: which ones are meant, and how each ended."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from difyops.api.model import App
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure, SelectorError, UsageError
from difyops.snapshot.history import apps_of
from difyops.snapshot.layout import Manifest
from difyops.snapshot.restore import Restored, RestorePlan
from difyops.snapshot.way_back import means_one
from difyops.targets import select


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenApps:
    """The apps to bring back. ``is_one``: one was named. ``still_here``: names of those that exist here."""

    apps: tuple[App, ...]
    is_one: bool
    still_here: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class RestoredMany:
    """How it ended: the new apps (or, of a dry run, the plans), what failed by name, and what was left as it is."""

    is_one: bool
    still_here: tuple[str, ...] = ()
    apps: list[Restored] = field(default_factory=list)
    plans: list[RestorePlan] = field(default_factory=list)
    failed: dict[str, DifyopsError] = field(default_factory=dict)

    @property
    def error(self) -> DifyopsError | None:
        """Return a partial failure when some could not be restored, or the proof of one failed."""
        unproved = [item.plan.app_name for item in self.apps if item.error is not None]
        if not self.failed and not unproved:
            return None
        names = ", ".join([*self.failed, *unproved][:5])
        total = len(self.apps) + len(self.plans) + len(self.failed)
        return PartialFailure(f"{len(self.failed) + len(unproved)} of {counted(total, 'app')} failed: {names}.")


def beside(manifest: Manifest, origins: Mapping[str, Collection[str]], app_id: str) -> frozenset[str]:
    """Return the apps here that stood beside ``app_id`` in a snapshot; ``origins``: the ids that each has and had."""
    return frozenset(
        here for here, ids in origins.items() if app_id not in ids and any(each in manifest.apps for each in ids)
    )


def chosen_of(
    manifest: Manifest, selectors: Sequence[str], there: Collection[str], *, commit: str, renamed: bool
) -> ChosenApps:
    """Return the apps of a snapshot that ``selectors`` mean and that are not among ``there``: the ids of the apps that
    exist here, and of those that they were restored from.

    One that is named by itself is taken in any case: the restore says why it cannot be done.

    Raises:
        SelectorError: a selector means no app of the snapshot. UsageError: several apps cannot have one name.
    """
    try:
        apps = select(apps_of(manifest), selectors, may_be_empty=True)
    except SelectorError as error:
        raise SelectorError(f"Snapshot {commit[:10]}: {error.message}", hint=error.hint) from error
    if len(selectors) == 1 and means_one(selectors[0]):
        if len(apps) > 1:
            listed = "; ".join(f"{app.name} {app.id}" for app in apps)
            raise SelectorError(
                f"{selectors[0]!r} means {counted(len(apps), 'app')}; one is wanted.", hint=f"Use the id. {listed}"
            )
        return ChosenApps(apps=tuple(apps), is_one=True)
    if renamed and len(apps) != 1:
        raise UsageError(f"--name is of one app, and {len(apps)} are meant.")
    return ChosenApps(
        apps=tuple(app for app in apps if renamed or app.id not in there),
        is_one=False,
        still_here=tuple(app.name for app in apps if not renamed and app.id in there),
    )

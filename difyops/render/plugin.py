"""How plugins, their uses and upgrades look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure
from difyops.outcome import Facts, Outcome, Table
from difyops.plugins_of_dify.inventory import PluginInventory
from difyops.plugins_of_dify.plan import UpgradePlan
from difyops.plugins_of_dify.upgrade import Upgraded
from difyops.plugins_of_dify.uses import Uses


def listed(found: PluginInventory) -> Outcome:
    """Show the installed plugins."""
    rows = [(row.id, row.version, row.source, row.category or None, row.held) for row in found.rows]
    columns = ("plugin", "version", "from", "kind", "held because")
    return Outcome(
        kind="plugin.list",
        data=found.rows,
        blocks=[Table(columns=columns, rows=rows, empty="No plugins.")],
        summary=f"{counted(len(found.rows), 'plugin')}",
        names=[row.id for row in found.rows],
    )


def outdated(found: PluginInventory) -> Outcome:
    """Show which plugins are old; held and excluded ones are no finding."""
    shown = [row for row in found.rows if row.state not in ("current", "excluded")]
    rows = [(row.id, row.version, row.latest, row.state, row.held) for row in shown]
    columns = ("plugin", "installed", "newest", "state", "held because")
    old = sum(row.state == "outdated" for row in shown)
    return Outcome(
        kind="plugin.outdated",
        data=shown,
        blocks=[Table(columns=columns, rows=rows, empty="Every plugin is the newest.")],
        summary=f"{old} of {counted(len(found.rows), 'plugin')} {'is' if old == 1 else 'are'} outdated",
        names=[row.id for row in shown],
        error=found.error,
    )


def used(found: Uses) -> Outcome:
    """Show every place that names a plugin."""
    uses = [use for item in found.apps for use in item.uses]
    rows = [
        (use.app, use.where, use.title or None, use.place, use.identifier or use.name, "old" if use.is_old else None)
        for use in uses
    ]
    old = sum(use.is_old for use in uses)
    failed = [f"{name}: {error.message}" for name, error in found.failed]
    return Outcome(
        kind="plugin.uses",
        data=uses,
        blocks=[
            Table(
                columns=("app", "in", "node", "place", "names", "version"), rows=rows,
                empty=f"None of {counted(found.read, 'app')} names {found.plugin}.",
            )
        ],
        summary=f"{counted(len(uses), 'place')} in {len(found.apps)} of {counted(found.read, 'app')} name"
        f" {found.plugin}"
        + (f"; {old} name another version than {found.identifier}" if old else ""),
        names=[item.app.name for item in found.apps],
        warnings=failed,
        error=PartialFailure(f"{counted(len(failed), 'app')} could not be read: {failed[0]}") if failed else None,
    )  # fmt: skip


def planned(plan: UpgradePlan, *, file: str | None) -> Outcome:
    """Show what an upgrade would touch."""
    return Outcome(
        kind="plugin.plan",
        data=plan,
        blocks=[Facts(pairs=facts(plan)), _apps(plan)],
        summary=f"wrote {file}; difyops plugin upgrade {plan.plugin} --apply {file}" if file else "nothing was changed",
        names=[app.name for app in plan.apps],
    )


def upgraded(done: Upgraded, *, snapshot: str | None, warnings: Sequence[str], error: DifyopsError | None) -> Outcome:
    """Show an upgrade that is done."""
    pairs: list[tuple[str, object]] = [
        ("plugin", done.plugin), ("was", done.old), ("is", done.new), ("apps", len(done.apps)),
        ("snapshot before", snapshot), ("way back", f"difyops plugin upgrade {done.plugin} --to {done.old}"),
    ]  # fmt: skip
    return Outcome(
        kind="plugin.upgrade",
        data={**asdict(done), "snapshot": snapshot},
        blocks=[Facts(pairs=pairs)],
        summary=f"{done.plugin} is upgraded, and {counted(len(done.apps), 'app names', 'apps name')} the new version",
        names=list(done.apps),
        warnings=list(warnings),
        error=error,
    )


def facts(plan: UpgradePlan) -> list[tuple[str, object]]:
    """Return the head of a plan."""
    return [("plugin", plan.plugin), ("from", plan.source), ("is", plan.old), ("would be", plan.new)]


def lines(plan: UpgradePlan) -> list[str]:
    """Return a plan as lines before a question."""
    shown = [f"{plan.plugin}: {plan.old} -> {plan.new}"]
    shown += [
        f"  {app.name}: {counted(app.live_places, 'place')} live, {app.draft_places} in the draft"
        for app in plan.apps[:20]
    ]
    return [*shown, f"  ... and {counted(len(plan.apps) - 20, 'app')}"] if len(plan.apps) > 20 else shown


def _apps(plan: UpgradePlan) -> Table:
    rows = [(app.name, app.mode, app.live_places, app.draft_places) for app in plan.apps]
    return Table(
        columns=("app", "mode", "places live", "in the draft"), rows=rows, empty="No app names a version of it."
    )

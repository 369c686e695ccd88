"""``difyops fleet``: all instances at one look. Other commands do it with ``-c`` several times, or ``-c all``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import ConfigError, DifyopsError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.render.fleet_status import Cell, InstanceStatus
    from difyops.runbook.resources import Resources

noun = group("All instances at one look.")


@noun.callback()
def _fleet() -> None:
    """All instances at one look."""


@command(noun, "status", fleet=True, all_by_default=True)
def status(session: Session) -> Outcome:
    """One row an instance: version, apps, last snapshot, drift, overdue secrets, budget, goals. Default: -c all.

    Exit 0 whatever is found, 3 when an instance could not be asked. What each cell means is told by the commands
    snapshot drift, secret list --overdue, cost budget check, slo check; a dash is what nobody set up.

    Examples:
    difyops fleet status
    difyops fleet status -c prod -c staging -o json
    """
    from difyops.render import fleet_status as views

    try:
        context = session.config.context(session.one_context())
    except ConfigError as error:  # a row for what is written wrongly, too
        if len(session.contexts) != 1:
            raise
        return views.unreachable(session.contexts[0], "", error)
    try:
        return views.status(session.run(_asked(session, context.name)))
    except DifyopsError as error:
        return views.unreachable(context.name, context.url, error)


async def _asked(session: Session, name: str) -> InstanceStatus:
    from difyops.render.fleet_status import InstanceStatus

    async with session.instance() as instance:
        resources = _resources(session, instance)
        apps = len(await resources.apps())
        budgets, goals = _has_budget(session, name), _goals(session)
        return InstanceStatus(
            context=name,
            url=instance.context.url,
            version=instance.transport.server_version,
            apps=apps,
            snapshot=await _cell(resources, "snapshot.age", value="age") if session.config.store.exists() else None,
            drift=await _cell(resources, "snapshot.drift", value="drifted") if session.config.store.exists() else None,
            secrets=await _cell(resources, "secret.age", value="over"),
            budget=await _cell(resources, "cost.budget") if budgets else None,
            goals=await _cell(resources, "slo.goals", goals=goals, value="burning") if goals else None,
        )


async def _cell(resources: Resources, name: str, *, value: str | None = None, **parameters: Any) -> Cell:
    """Return what a check of runbooks says; one that cannot be carried out is a question mark with its reason."""
    from difyops.render.fleet_status import Cell
    from difyops.runbook.registry import tools

    try:
        result = await tools("check")[name].function(resources, **parameters)
    except DifyopsError as error:
        return Cell(word="inconclusive", text=error.message)
    measured = next((item.value for item in result.values if item.name == value), None)
    return Cell(word=result.word, text=result.text, value=measured if isinstance(measured, int | float) else None)


def _resources(session: Session, instance: Instance) -> Resources:
    from difyops.cli.stores import open_store
    from difyops.ledger import this_user
    from difyops.runbook.resources import Resources

    async def opened() -> Instance:
        return instance

    return Resources(
        config=session.config,
        context=instance.context,
        open_instance=opened,
        open_store=lambda: open_store(session),
        make_store=lambda: open_store(session),
        ledger=session.ledger if session.has_ledger else None,
        actor=this_user(),
        dry_run=True,
    )


def _has_budget(session: Session, name: str) -> bool:
    """Say whether somebody set up a budget of a context; of a file that cannot be read its check tells why."""
    from difyops.cost.budgets_file import FILE, read_budgets

    try:
        return any(budget.context == name for budget in read_budgets(session.config.user_file.with_name(FILE)))
    except DifyopsError:
        return True


def _goals(session: Session) -> str | None:
    from difyops.cli.slo import goals_file

    file = goals_file(session)
    return str(file) if file.is_file() else None

"""How incidents look: what changed beside what fails, the way back of each app, what was done, the report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.incident.model import CHANGED, FAILING, SUSPECT, UNREAD, WELL, Act, AppSeen, Incident, Picture, Way
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.render import going_back
from difyops.render.drill import length
from difyops.render.look import look_for
from difyops.render.terminal import as_terminal
from difyops.snapshot.plan import RollbackPlan

_COLUMNS = ("app", "verdict", "failed before", "failed now", "changed", "why")
_MOST_ACTS = 20


def looked(picture: Picture, offered: Sequence[Way], plans: Sequence[RollbackPlan]) -> Outcome:
    """Show a picture, the plan of each suspect's rollback, and the commands that would carry it out."""
    commands = [
        f"difyops snapshot rollback {shlex.quote(way.app_id)} --to {way.to} -c {shlex.quote(picture.context)}"
        for way in offered
    ]
    shown: list[Block] = [*blocks(picture)]
    for plan in plans:
        shown += going_back.plan(plan)
    none = [("✗", f"{way.app}: {way.text}") for way in offered if way.text]
    if commands:
        shown.append(Lines(title="The way back", lines=[*none, *(("", line) for line in commands)]))
    return Outcome(
        kind="incident",
        data={"picture": picture, "ways": list(offered), "plans": list(plans), "commands": commands},
        blocks=shown,
        names=[app.id for app in picture.apps if app.verdict in (SUSPECT, FAILING)],
        summary=_summary(picture),
        error=_error(picture),
    )


def done(found: Incident) -> Outcome:
    """Show an incident just after it."""
    back = sum(way.state == "rolled back" for way in found.ways)
    there = sum(way.state == "nothing to do" for way in found.ways)
    failed = len(found.ways) - back - there
    error: DifyopsError | None = None
    if failed:
        error = PartialFailure(
            f"{failed} of {counted(len(found.ways), 'app')} did not go back.",
            hint=f"difyops incident --show {found.id}",
        )
    return Outcome(
        kind="incident.show",
        data=found,
        blocks=[_ways(found), *blocks(found.picture)],
        names=[found.id],
        summary=f"{back} rolled back, {there} had that content already, {failed} failed; "
        f"on record: difyops incident --show {found.id} -o markdown",
        error=error,
    )


def shown(found: Incident) -> Outcome:
    """Show an incident on record; as Markdown it is the report."""
    facts = Facts(
        pairs=[
            ("incident", found.id), ("of", f"{found.picture.context} ({found.picture.url})"),
            ("looked at", f"{found.picture.since} to {found.picture.until}"), ("began", found.began),
            ("ended", found.ended or "not: it was cut off"), ("by", found.actor),
        ]
    )  # fmt: skip
    return Outcome(
        kind="incident.show", data=found, blocks=[facts, _ways(found), *blocks(found.picture)], names=[found.id],
    )  # fmt: skip


def listed(found: Sequence[Incident]) -> Outcome:
    """List the incidents on record, each once, as it ended."""
    rows = [
        (item.id, item.began, item.ended, item.actor, ", ".join(f"{way.app}: {way.state}" for way in item.ways))
        for item in found
    ]
    columns = ("incident", "began", "ended", "by", "apps")
    return Outcome(
        kind="incident.list", data=list(found), names=[item.id for item in found],
        blocks=[Table(columns=columns, rows=rows, empty="No incident is on record.")],
    )  # fmt: skip


def blocks(picture: Picture, *, numbered: bool = False) -> list[Block]:
    """Return what changed beside what fails, and what difyops changed; ``numbered`` for a choice."""
    apps = [app for app in picture.apps if app.verdict != WELL]
    rows: list[tuple[object, ...]] = []
    number = 0
    for app in apps:
        number += app.verdict != UNREAD  # what cannot be read cannot be chosen
        row = (app.name, app.verdict, app.before and str(app.before), _now(app), _changed(app, picture), _why(app))
        rows.append((number if app.verdict != UNREAD else None, *row) if numbered else row)
    columns = ("nr", *_COLUMNS) if numbered else _COLUMNS
    shown: list[Block] = [
        Table(columns=columns, rows=rows, empty="Of the apps looked at, none fails and none was changed.")
    ]
    if picture.acts:
        whole = _whole(picture.acts)
        acts = whole[-_MOST_ACTS:]
        lines = [(act.at, act.actor, act.action, _named(act.subject, picture), act.outcome) for act in acts]
        title = "Changed by difyops" + (f" (the last {_MOST_ACTS})" if len(whole) > len(acts) else "")
        shown.append(Table(title=title, columns=("when", "who", "what", "of", "outcome"), rows=lines))
    return shown


def _whole(acts: Sequence[Act]) -> list[Act]:
    """Return whole changes; of one that has ended its steps are left out."""
    ended = {(act.action, act.subject) for act in acts}
    return [act for act in acts if (act.action.rpartition(".")[0], act.subject) not in ended]


def _named(subject: str, picture: Picture) -> str:
    """Return a subject with the name of the app whose id it holds."""
    for app in picture.apps:
        if app.id in subject:
            return subject.replace(app.id, app.name)
    return subject


def as_asked(picture: Picture) -> str:
    """Return a picture as it is shown at a terminal before the question, its apps numbered."""
    return as_terminal(blocks(picture, numbered=True), look_for(None, [], quiet=False))


def _now(app: AppSeen) -> str:
    return str(app.now) + (f" (+{app.provider})" if app.provider else "")


def _changed(app: AppSeen, picture: Picture) -> str | None:
    if app.changed_at is None:
        return None
    ago = length((datetime.fromisoformat(picture.until) - datetime.fromisoformat(app.changed_at)).total_seconds())
    return f"{ago} ago" + (f" by {app.changed_by}" if app.changed_by else "")


def _why(app: AppSeen) -> str:
    """Return what the numbers beside it do not tell."""
    if app.verdict == SUSPECT:
        return app.error or app.why
    return f"{app.why}: {app.error}" if app.error and app.verdict == FAILING else app.why


def _ways(found: Incident) -> Table:
    rows = [(way.app, way.to, way.state, way.text or None) for way in found.ways]
    return Table(title="Done", columns=("app", "back to", "state", "proof"), rows=rows, empty="Nothing was chosen.")


def _summary(picture: Picture) -> str:
    counts = {word: len(picture.of(word)) for word in (SUSPECT, FAILING, UNREAD, CHANGED, WELL)}
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no apps"
    more = f"; {picture.not_looked_at} that nobody changed were not looked at (--most)" if picture.not_looked_at else ""
    return f"{said} since {picture.since}{more}"


def _error(picture: Picture) -> DifyopsError | None:
    bad = [app.name for app in picture.apps if app.verdict in (SUSPECT, FAILING)]
    if bad:
        return AnswerIsNo(
            f"{counted(len(bad), 'app fails', 'apps fail')}: {', '.join(bad[:5])}{', ...' * (len(bad) > 5)}"
        )
    unread = picture.of(UNREAD)
    if unread:
        return PartialFailure(f"{counted(len(unread), 'app')} could not be read: {unread[0].name}: {unread[0].why}")
    return None

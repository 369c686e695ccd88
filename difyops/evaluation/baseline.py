"""Baselines: a result kept in the snapshot store, bound to the app's content, its models and the cases.

A baseline is a tag of the context beside its snapshots: the newest snapshot's files and one more,
``evaluations/<app id>.json``. It is pushed with them, never moves, and no later snapshot takes it away. Verdicts,
scores, times and tokens are kept; questions, answers and what was said about them never enter git.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from difyops.clock import iso
from difyops.errors import NothingKept, StalePlan, UsageError
from difyops.evaluation.result import Bound, CaseRow, Evaluation, decode, encoded
from difyops.git_store import GitStore

PREFIX = "eval-"
_AUTHOR = "difyops <difyops@localhost>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A kept result: its tag, when it was kept, and what is in it."""

    tag: str
    commit: str
    kept: datetime
    result: Evaluation


def keep(store: GitStore, result: Evaluation, live: Bound, *, when: datetime) -> Baseline:
    """Keep a result as the app's newest baseline.

    Raises:
        StalePlan: what is live is no longer what was evaluated. UsageError: the result is of another app, of two
            versions, or ended early. NothingKept: the context has no snapshot yet.
    """
    bound = result.bound
    if bound.app_id != live.app_id or bound.context != live.context:
        raise UsageError(f"The result is of {bound.app} in {bound.context}, not of {live.app} in {live.context}.")
    if result.moved or result.ended != "all":
        why = "the app was published while it ran" if result.moved else f"it ended early ({result.ended})"
        raise UsageError(f"This result is no baseline: {why}.", hint=f"difyops eval run {bound.app!r} CASES --to FILE")
    if bound.content != live.content or bound.models != live.models:
        what = "its content" if bound.content != live.content else "the version of a model's plugin"
        raise StalePlan(
            f"What is live of {bound.app} is not what was evaluated: {what} has changed since.",
            hint=f"difyops eval run {bound.app!r} CASES --to FILE",
        )
    head = store.head(bound.context)
    if head is None:
        raise NothingKept(
            f"There is no snapshot of {bound.context} that a baseline could stand beside.",
            hint="difyops snapshot create",
        )
    kept = replace(result, rows=tuple(without_texts(row) for row in result.rows), warnings=())
    name = f"{_prefix(bound.app_id)}{when:%Y%m%dT%H%M%SZ}"
    commit = store.commit(
        bound.context, {_path(bound.app_id): encoded(kept)}, base=head, replace=False,
        message=f"Baseline of {bound.app}\n\n{iso(when)}", author=_AUTHOR, when=when,
        tag=(name, f"{bound.app}\n{bound.app_id}"), aside=True,
    )  # fmt: skip
    return Baseline(tag=name, commit=commit, kept=when, result=kept)


def baselines(store: GitStore, context: str, app: str) -> list[Baseline]:
    """Return the baselines of an app (id, or the name it had), newest first.

    Raises:
        NothingKept: there is none.
    """
    found = []
    for item in store.tags(context):
        lines = item.message.strip().splitlines()
        if item.name.startswith(PREFIX) and len(lines) >= 2 and app in (lines[0], lines[1]):
            content = store.read(item.commit, _path(lines[1]))
            result = decode(content, f"the baseline {item.name}")
            found.append(Baseline(tag=item.name, commit=item.commit, kept=item.when, result=result))
    if not found:
        raise NothingKept(
            f"There is no baseline of {app!r} in {context}.", hint=f"difyops eval baseline {app!r} RESULT"
        )
    return sorted(found, key=lambda item: item.tag, reverse=True)


def tagged(store: GitStore, context: str, tag: str) -> Baseline:
    """Return one baseline by its tag.

    Raises:
        NothingKept: there is none.
    """
    for item in store.tags(context):
        lines = item.message.strip().splitlines()
        if item.name == tag and len(lines) >= 2:
            content = store.read(item.commit, _path(lines[1]))
            return Baseline(tag=tag, commit=item.commit, kept=item.when, result=decode(content, f"the baseline {tag}"))
    raise NothingKept(f"There is no baseline {tag!r} in {context}.", hint="difyops eval baseline APP")


def without_texts(row: CaseRow) -> CaseRow:
    """Return a row without answers and what was said about them."""
    return replace(row, why="", answer="", checks=tuple(replace(item, why="") for item in row.checks))


def _prefix(app_id: str) -> str:
    return f"{PREFIX}{app_id[:8]}-"


def _path(app_id: str) -> str:
    return f"evaluations/{app_id}.json"

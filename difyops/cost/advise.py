"""Advice on what would cost less: the records of an app, put before every rule of ``cost/advice``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.cost.advice import RULES, AdviceNode, AppRecord, CostAdvice, NodeCall
from difyops.cost.knowledge import Retrieval
from difyops.cost.prices import Prices
from difyops.history import archive
from difyops.history.apps import ENDED, PRODUCTION, KeptApp
from difyops.history.store import History

_DAY = 86400
_MOST_CONTENTS = 500
_COLUMNS = (
    "run, node, type, title, provider, model, prompt_tokens, completion_tokens, prompt_size, output_size, prefix_hash,"
    " output_hash"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAdvised:
    """What was found in an app, the largest saving first. ``problems``: rules of other packages that are left out."""

    app: str
    runs: int
    days: float
    advice: tuple[CostAdvice, ...]
    rules: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=(), repr=False)


def advise(
    history: History, context: str, app: KeptApp, prices: Prices, *, since: float, until: float,
    retrievals: Mapping[str, Retrieval] | None = None,
) -> CostAdvised:  # fmt: skip
    """Put every rule to what is recorded of an app between two moments. ``retrievals``: settings by node, as they are
    on the server now.
    """
    record, read = app_record(history, context, app, prices, since=since, until=until)
    for node, settings in (retrievals or {}).items():
        if node in record.nodes:
            record = replace(record, nodes={**record.nodes, node: replace(record.nodes[node], retrieval=settings)})
    found = [item for plugin in RULES.all().values() for item in plugin.module.advise(record)]
    found.sort(key=lambda item: (-(item.saving.high if item.saving else -1), item.rule, item.node))
    warnings = list(RULES.problems())
    if not record.nodes:
        warnings.append("No run with its nodes is recorded in that time: difyops history sync --nodes 100%.")
    return CostAdvised(
        app=app.name, runs=read, days=record.days, advice=tuple(found), rules=tuple(RULES.names()),
        warnings=tuple(warnings),
    )  # fmt: skip


def has_retrieval(history: History, context: str, app: KeptApp) -> bool:
    """Say whether a retrieval node of an app is recorded."""
    found = history.one(
        "SELECT count(*) FROM node WHERE context = ? AND app = ? AND type = 'knowledge-retrieval'", [context, app.id]
    )
    return bool(found)


def app_record(
    history: History, context: str, app: KeptApp, prices: Prices, *, since: float, until: float
) -> tuple[AppRecord, int]:  # fmt: skip
    """Return what is recorded of an app's nodes, and how many runs were read."""
    place = archive.ArchivePlace(context=context, app=app.id, since=since, until=until)
    marks = f"source IN ({_marks(PRODUCTION)}) AND status IN ({_marks(ENDED)})"
    test = f"context = ? AND app = ? AND started >= ? AND started < ? AND {marks}"
    rows = archive.both(
        history, "run", "id, started, version", test, [context, app.id, since, until, *PRODUCTION, *ENDED], place
    )
    runs = {run: (started, version) for run, started, version in rows}
    chances = dict(history.all(
        "SELECT run, chance FROM sample WHERE context = ? AND app = ? AND chance > 0 AND reason <> 'gone'",
        [context, app.id],
    ))  # fmt: skip
    read = {run: 1 / min(1.0, chances[run]) for run in runs if run in chances}
    newest = max(runs.values(), default=(0.0, ""))[1]
    reads, day = _reads(history, context, app.id, newest), int(until // _DAY)
    nodes: dict[str, AdviceNode] = {}
    for node, (about, calls) in _calls(history, place, read).items():
        kind, title, provider, model = about
        slot = prices.slot(provider, model, round(sum(call.prompt for call in calls) / len(calls)), 0)
        nodes[node] = AdviceNode(
            id=node, title=title or node, type=kind, provider=provider, model=model, calls=calls,
            reads=reads.get(node, ()), rate=prices.rate(provider, model, day, slot) if model else None,
            contents=_contents(history, context, app.id, node) if kind == "knowledge-retrieval" else (),
        )  # fmt: skip
    days = (until - min((started for started, _ in runs.values()), default=until)) / _DAY
    return AppRecord(app=app.name, runs=sum(read.values()), days=days, nodes=nodes), len(read)


def _calls(
    history: History, place: archive.ArchivePlace, read: dict[str, float]
) -> dict[str, tuple[tuple[str, str, str, str], list[NodeCall]]]:  # fmt: skip
    """Return what each node is, and its calls; with several models over time, those of the last one."""
    about: dict[str, tuple[str, str, str, str]] = {}
    calls: dict[str, list[tuple[str, NodeCall]]] = defaultdict(list)
    test = "context = ? AND app = ? AND started >= ? AND started < ? AND attempt = 0 AND status <> 'failed'"
    given = [place.context, place.app, place.since - 1, place.until + _DAY]
    rows = archive.both(history, "node", f"started, {_COLUMNS}", test, given, place)
    for _, run, node, kind, title, provider, model, prompt, completion, size, out, prefix, output in sorted(rows):
        if run not in read:
            continue
        about[node] = (kind or "", title or "", provider or "", model or "")
        made = NodeCall(
            run=run, weight=read[run], prompt=prompt or 0, completion=completion or 0, prompt_size=size or 0,
            output_size=out or 0, prefix=prefix or "", output=output or "",
        )  # fmt: skip
        calls[node].append((model or "", made))
    return {node: (told, [made for model, made in calls[node] if model == told[3]]) for node, told in about.items()}


def _reads(history: History, context: str, app: str, version: str) -> dict[str, tuple[str, ...]]:
    """Return which nodes each node reads, of the newest version whose graph is kept."""
    rows = history.all(
        "SELECT version, shape FROM graph WHERE context = ? AND app = ? ORDER BY version", [context, app]
    )
    shapes = {name: json.loads(shape) for name, shape in rows}
    shape: dict[str, Any] = shapes.get(version) or (shapes[max(shapes)] if shapes else {})
    return {str(node["id"]): tuple(node.get("reads") or ()) for node in shape.get("nodes") or ()}


def _contents(history: History, context: str, app: str, node: str) -> tuple[str, ...]:
    """Return what a node put out, of the newest calls whose content is kept."""
    rows = history.all(
        "SELECT content.outputs FROM node JOIN content ON content.context = node.context AND content.app = node.app"
        " AND content.kind = 'node' AND content.id = node.id WHERE node.context = ? AND node.app = ? AND node.node = ?"
        " AND node.attempt = 0 ORDER BY node.started DESC LIMIT ?",
        [context, app, node, _MOST_CONTENTS],
    )
    return tuple(row[0] for row in rows if row[0])


def _marks(words: Iterable[str]) -> str:
    return ", ".join("?" for _ in words)

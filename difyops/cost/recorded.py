"""RecordedCalls calls of an app's nodes: tokens in and out, with the chance by which their run was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from difyops.history import archive
from difyops.history.apps import ENDED, PRODUCTION
from difyops.history.store import History

_HALF_HOUR, _DAY = 1800, 86400
CHAT_MODES = ("chat", "agent-chat", "completion")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call of a model. ``half_hour``: of its day, for prices that change with the time."""

    run: str
    prompt: int
    completion: int
    half_hour: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCalls:
    """What was recorded in ``days``: ``runs`` in all, the chance of each that was read, its calls by node, and the mean
    size in characters of what a node put out.
    """

    runs: int
    days: float
    chances: Mapping[str, float]
    calls: Mapping[str, Sequence[RecordedCall]]
    sizes: Mapping[str, float]


def recorded(history: History, context: str, app: str, mode: str, *, since: float, until: float) -> RecordedCalls:
    """Read the calls of an app between two moments."""
    place = archive.ArchivePlace(context=context, app=app, since=since, until=until)
    words = [*PRODUCTION, *ENDED]
    test = (
        "context = ? AND app = ? AND started >= ? AND started < ?"
        f" AND source IN ({', '.join('?' * len(PRODUCTION))}) AND status IN ({', '.join('?' * len(ENDED))})"
    )
    given = [context, app, since, until, *words]
    runs = {row[0]: row[1] for row in archive.both(history, "run", "id, started", test, given, place)}
    days = _days(runs.values(), until)
    if mode in CHAT_MODES:
        return _messages(history, place, runs, days)
    sampled = history.all(
        "SELECT run, chance FROM sample WHERE context = ? AND app = ? AND chance > 0 AND reason <> 'gone'",
        [context, app],
    )
    chances = {run: min(1.0, chance) for run, chance in sampled if run in runs}
    calls: dict[str, list[RecordedCall]] = defaultdict(list)
    sizes: dict[str, list[int]] = defaultdict(list)
    columns = "run, node, started, prompt_tokens, completion_tokens, output_size"
    test = "context = ? AND app = ? AND started >= ? AND started < ? AND attempt = 0"
    for run, node, started, prompt, completion, size in archive.both(
        history, "node", columns, test, [context, app, since - 1, until + _DAY], place
    ):
        if run not in chances:
            continue
        sizes[node].append(size or 0)
        if prompt or completion:
            calls[node].append(_call(run, started, prompt, completion))
    means = {node: sum(found) / len(found) for node, found in sizes.items()}
    return RecordedCalls(runs=len(runs), days=days, chances=chances, calls=calls, sizes=means)


def _messages(history: History, place: archive.ArchivePlace, runs: Mapping[str, float], days: float) -> RecordedCalls:
    test = "context = ? AND app = ? AND started >= ? AND started < ?"
    given = [place.context, place.app, place.since, place.until]
    columns = "id, started, prompt_tokens, answer_tokens"
    rows = archive.both(history, "message", columns, test, given, place)
    calls = [_call(run, started, prompt, answer) for run, started, prompt, answer in rows if prompt or answer]
    chances = {**dict.fromkeys(runs, 1.0), **{call.run: 1.0 for call in calls}}
    return RecordedCalls(runs=len(chances), days=days, chances=chances, calls={"chat": calls}, sizes={})


def _call(run: str, started: float, prompt: int | None, completion: int | None) -> RecordedCall:
    half_hour = int(started % _DAY // _HALF_HOUR)
    return RecordedCall(run=run, prompt=prompt or 0, completion=completion or 0, half_hour=half_hour)


def _days(starts: Iterable[float], until: float) -> float:
    found = list(starts)
    return max(0.0, (until - min(found)) / _DAY) if found else 0.0

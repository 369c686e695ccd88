"""Judging one app: its runs by the version that was live, and whether a change explains the failures.

A failure counts as ours unless the words of its run are a provider's (down, rate, quota) or the caller's (an input
that does not fit). The version that is live now is held against those before it: a change is suspect where at least two
runs failed since, and the share is at least twice what it was. That is a reason to look, no proof; numbers stand by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from difyops.api.run_faults import BAD_INPUT, PROVIDER_DOWN, PROVIDER_RATE, QUOTA, kind_of
from difyops.api.runs import DEAD, FAILED, PARTIAL, SUCCEEDED, Run
from difyops.counting import counted
from difyops.incident.model import CHANGED, FAILING, SUSPECT, WELL, Share
from difyops.secret_text import scrub

_PROVIDERS = (PROVIDER_DOWN, PROVIDER_RATE, QUOTA)
_FEWEST = 2  # failed runs: one alone says little
_RISE = 2.0
_LONGEST = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """One version that was live: from when (unix seconds), its id, what to say of it.

    ``went_back``: a change of ours went back with it.
    """

    at: float
    version: str
    by: str | None = None
    told: str = ""
    went_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedApp:
    """What the runs say. ``back_to``: the version that was live when it last went well (an id), blank if none did."""

    verdict: str
    why: str
    before: Share | None
    now: Share
    provider: int
    error: str
    back_to: str = ""


def judge(runs: Sequence[Run], versions: Sequence[Since]) -> JudgedApp:
    """Judge an app. ``versions``: newest first; the last is the one that was live when the window began, if known."""
    ended = [run for run in runs if run.status in (SUCCEEDED, PARTIAL, FAILED, DEAD)]
    bad = [run for run in ended if run.status in (FAILED, DEAD)]
    ours = {run.id for run in bad if _kind(run) not in (*_PROVIDERS, BAD_INPUT)}
    provider = sum(_kind(run) in _PROVIDERS for run in bad)
    shares = _by_version(ended, ours, versions)
    error = _commonest(bad)
    changed = len(versions) > 1
    now = shares[0] if changed else _share(ended, ours)
    if not changed:
        verdict = FAILING if now.failed or provider else WELL
        return JudgedApp(
            verdict=verdict, why=_unchanged(now, provider), before=None, now=now, provider=provider, error=error
        )
    place = next((place for place, item in enumerate(shares) if place and _rose(item, now)), None)
    before = _sum(shares[1:]) if place is None else shares[place]
    if place is not None:
        fewer = "" if before.runs else "; nothing ran before, so nothing was seen to go well"
        why = f"{now} runs fail since {versions[place - 1].told}; {before} before{fewer}"
        return JudgedApp(
            verdict=SUSPECT, why=why, before=before, now=now, provider=provider, error=error,
            back_to=versions[place].version,
        )  # fmt: skip
    if now.failed or provider:
        why = f"{before} runs failed before the change, too" if before.failed else _unchanged(now, provider)
        return JudgedApp(verdict=FAILING, why=why, before=before, now=now, provider=provider, error=error)
    said = f"{counted(now.runs, 'run')} since, none failed" if now.runs else "nothing ran since"
    said = f"rolled back; {said}" if versions[0].went_back else said
    return JudgedApp(verdict=CHANGED, why=said, before=before, now=now, provider=provider, error=error)


def _rose(before: Share, now: Share) -> bool:
    return now.failed >= _FEWEST and now.rate >= _RISE * before.rate


def _by_version(ended: Sequence[Run], ours: set[str], versions: Sequence[Since]) -> list[Share]:
    """Return the share of each version's time, as ``versions`` are ordered."""
    edges = [*(item.at for item in versions[:-1]), float("-inf")]
    ends = [float("inf"), *edges[:-1]]
    return [
        _share([run for run in ended if begin <= run.started < end], ours)
        for begin, end in zip(edges, ends, strict=True)
    ]


def _share(runs: Sequence[Run], ours: set[str]) -> Share:
    return Share(failed=sum(run.id in ours for run in runs), runs=len(runs))


def _sum(shares: Sequence[Share]) -> Share:
    return Share(failed=sum(item.failed for item in shares), runs=sum(item.runs for item in shares))


def _unchanged(now: Share, provider: int) -> str:
    if provider and provider >= now.failed:
        return f"+{provider}: a model provider failed, and a rollback does not help"
    if now.failed:
        return f"{now} runs failed, and no change of the app explains it"
    return f"{counted(now.runs, 'run')}, none failed" if now.runs else "nothing ran"


def _kind(run: Run) -> str:
    return kind_of("", run.error)


def _commonest(bad: Sequence[Run]) -> str:
    lines = Counter(scrub(run.error.strip().splitlines()[-1])[:_LONGEST] for run in bad if run.error.strip())
    return lines.most_common(1)[0][0] if lines else ""

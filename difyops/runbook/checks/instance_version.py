"""``instance.version``: which version answers, whether all replicas agree, and whether it is what it says."""

from __future__ import annotations

import re

from difyops.api.capabilities import NEWEST, parse
from difyops.api.instance import Instance
from difyops.api.setup_page import setup_page
from difyops.errors import DifyopsError
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn


async def check(
    resources: Resources,
    *,
    expected: str | None = None,
    at_least: str | None = None,
    below: str | None = None,
    samples: int = 3,
) -> Result:
    """Read the version from ``samples`` answers and hold it to what is expected; replicas that differ fail.

    A version that writes exports of another DSL version than it should is a warning: a build that lies about itself,
    or an upgrade that replaced only some containers (api, worker, plugin daemon). ``expected`` is exact, ``at_least``
    and ``below`` are ranges.
    """
    instance = await resources.instance()
    seen: dict[str, int] = {}
    for _ in range(max(1, samples)):
        answer = await setup_page(instance.transport, doing="read the version")
        version = answer.headers.get("x-version", "")
        seen[version] = seen.get(version, 0) + 1
    versions = sorted(seen)
    values: tuple[Value, ...] = (
        Value(name="version", value=", ".join(versions)),
        Value(name="replicas_differ", value=len(versions) > 1),
    )
    if versions == [""]:
        return Inconclusive(text="the server does not say its version (is a proxy removing X-Version?)")
    if len(versions) > 1:
        shown = ", ".join(f"{version or 'none'} ({count}x)" for version, count in sorted(seen.items()))
        return Fail(text=f"replicas answer with different versions: {shown}", values=values)
    version = versions[0]
    wrong = _wrong(version, expected, at_least, below)
    if wrong:
        return Fail(text=wrong, values=values)
    if instance.capabilities.can("openapi_catalog"):
        values = (*values, Value(name="openapi_catalog", value=bool(await instance.workspace.openapi_catalog())))
    if instance.capabilities.is_newer_than_known:
        known = ".".join(map(str, NEWEST))
        text = f"{version} answers, which is newer than the releases that this difyops knows (up to {known})"
        return Warn(text=text, values=values)
    odd = await _oddity(resources, instance)
    if odd:
        return Warn(text=f"{version} answers, but {odd}", values=values)
    return Pass(text=f"{version} answers", values=values)


def _wrong(version: str, expected: str | None, at_least: str | None, below: str | None) -> str | None:
    if expected and version != expected:
        return f"{version} answers, {expected} is expected"
    number = parse(version)
    for limit, word in ((at_least, "at least"), (below, "below")):
        bound = parse(limit) if limit else None
        if limit and (number is None or bound is None):
            return f"{version or 'an unknown version'} cannot be compared with {limit}"
        if number and bound and (number < bound if word == "at least" else number >= bound):
            return f"{version} answers, {word} {limit} is expected"
    return None


async def _oddity(resources: Resources, instance: Instance) -> str | None:
    """Compare the DSL version that the server writes with the one that its version should write."""
    try:
        app = next((app for app in await resources.apps() if app.live_version or not app.has_workflow), None)
        text = await instance.console.export(app.id) if app else ""
    except DifyopsError:
        return None  # not being allowed to export says nothing about the version
    found = re.search(r"^version:\s*['\"]?([\d.]+)", text, re.MULTILINE)
    should = instance.capabilities.dsl_version
    if found and _minor(found[1]) != _minor(should):
        return f"it writes DSL {found[1]}, which version {instance.capabilities.text or 'unknown'} does not ({should})"
    return None


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])

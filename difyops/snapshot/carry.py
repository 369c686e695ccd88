"""Values for the marks of a document: where they come from, and how they get back.

A sealed mark says which value stood there: it is looked for by its fingerprint in what is live now, in the draft, in
the old version on the server, last in the age file of the snapshot. Secret variables, and marks that say nothing, take
what stands at their place now: after a rotation the old secret must not come back. Values stay in memory;
``SecretText`` keeps them out of everything that is printed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.agents import Agents
from difyops.api.console import Console
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.dsl.load import load_dsl
from difyops.dsl.marks import MARKER, Mark, is_sealed, key_of, unknown
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.secrets import Location, marks_of, plain, redact, reinject
from difyops.errors import DifyopsError, NotFound, RequestRejected, ServerFault
from difyops.secret_text import SecretText
from difyops.snapshot.owners import owned, owner, owners

JsonObject = dict[str, Any]
Secrets = Mapping[Location, SecretText]
GIVEN, SEALED = "given", "the snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Values from one source, by owner or by exact location; ``name`` is the word for people ("live now", "given")."""

    name: str
    secrets: Secrets = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A document ready to be sent, where each secret came from, and the locations nobody had a value for."""

    document: JsonObject = field(repr=False)
    sources: Mapping[Location, str]
    missing: tuple[Location, ...]


async def secrets_of(
    console: Console, app_id: str, version_id: str | None, policy: SealPolicy = DEFAULT
) -> dict[Location, SecretText]:
    """Return the clear secrets of a published version (``None``: of the draft), read from an export.

    Raises:
        Forbidden: this role may not export. NotSupported: the server exports drafts only. NotFound: no such version.
    """
    try:
        text = await console.export(app_id, version_id=version_id, clear_secrets=True)
    except (RequestRejected, ServerFault) as error:
        if isinstance(error, NotFound) or version_id is None:
            raise
        # An unknown version is 400 or 500 by server version.
        raise NotFound(f"Version {version_id} cannot be exported: {error.message}", status=404) from error
    body = load_dsl(text)
    workflow = body.get("workflow")
    document = workflow if isinstance(workflow, dict) else {"model_config": body.get("model_config") or {}}
    return owned(document, redact(document, policy=policy).secrets)


async def old_secrets_of(
    console: Console, app_id: str, version_id: str | None, policy: SealPolicy = DEFAULT
) -> dict[Location, SecretText]:
    """Return the secrets of an old version of a workflow where the server still has it, else nothing.

    Nothing, too, where it cannot be exported: by this role, or before 1.8.1.
    """
    if version_id is None:
        return {}
    try:
        return await secrets_of(console, app_id, version_id, policy)
    except DifyopsError:
        return {}


async def old_soul_secrets(
    instance: Instance, app: App, version_id: str | None, policy: SealPolicy = DEFAULT
) -> dict[Location, SecretText]:
    """Return the secrets of an old version of an agent app where the server still has it, else nothing."""
    if version_id is None:
        return {}
    try:
        document = (await Agents(instance.console).version(app, version_id)).document
    except DifyopsError:
        return {}
    return owned(document, redact(document, policy=policy).secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """How marks are filled. ``key_id`` and ``mark``: the store key that is here; without one places decide.

    ``sealed``: values of the age file, by exact location. ``otherwise``: where no value has the fingerprint, the one
    that stands at the place now is taken all the same.
    """

    key_id: str | None = None
    mark: Mark = unknown
    sealed: Secrets = field(default_factory=dict, repr=False)
    otherwise: bool = False

    def tells(self, mark: str) -> bool:
        """Say whether a mark can be asked whether a value is the one."""
        return self.key_id is not None and key_of(mark) == self.key_id


def fill(document: JsonObject, pools: Sequence[Pool], how: Filling | None = None) -> Filled:
    """Put a value at every mark of ``document``; earlier pools win. Locations without a value become blank."""
    how = how or Filling()
    marked = marks_of(document)
    at_place = {location: _at_place(document, location, pools) for location, _ in marked}
    by_mark = {how.mark(value.reveal()): (pool.name, value) for pool in pools[::-1] for value in pool.secrets.values()}
    by_mark |= {mark: found for location, mark in marked[::-1] for found in at_place[location] if found[0] == GIVEN}
    sources: dict[Location, str] = {}
    values: dict[Location, SecretText] = {}
    for location, mark in marked:
        found = at_place[location]
        if how.tells(mark):
            same = [by_mark[mark]] if mark in by_mark else []
            given = [item for item in found if item[0] == GIVEN]
            sealed = [(SEALED, how.sealed[location])] if location in how.sealed else []
            rest = found if how.otherwise else []
            found = [*found, *same, *sealed] if is_variable(location) else [*given, *same, *sealed, *rest]
        elif location in how.sealed:
            found = [*found, (SEALED, how.sealed[location])]
        if found:
            sources[location], values[location] = found[0]
    filled, missing = reinject(document, values)
    filled, _ = reinject(filled, dict.fromkeys(missing, SecretText("")))
    return Filled(document=plain(filled), sources=sources, missing=tuple(missing))


def is_variable(location: Location) -> bool:
    """Say whether a secret is a variable: of a workflow, or a secret reference of an agent. It is kept as it is now."""
    return location.kind == "env" or "secret_refs" in location.place


def _at_place(document: JsonObject, location: Location, pools: Sequence[Pool]) -> list[tuple[str, SecretText]]:
    known = (location, owner(document, location))
    return [(pool.name, pool.secrets[key]) for pool in pools for key in known if key in pool.secrets]


def fill_config(
    target: JsonObject, current: JsonObject, given: Pool, *others: Pool, how: Filling | None = None
) -> Filled:
    """Fill a model config: ``given`` first, then what ``current`` shows at the same place, then the other pools.

    A mark that tells its value takes only that one.
    """
    how = how or Filling()
    places = {location: owner(target, location) for location, _ in marks_of(target)}
    keys = {location: location if location in given.secrets else place for location, place in places.items()}
    first = {location: given.secrets[key] for location, key in keys.items() if key in given.secrets}
    filled = fill(borrowed(reinject(target, first)[0], current, how), others, how)
    return replace(filled, sources={**filled.sources, **dict.fromkeys(first, given.name)})


def borrowed(target: Any, current: Any, how: Filling | None = None) -> Any:
    """Return ``target`` with each mark that tells nothing replaced by what ``current`` shows there, masked or not.

    For the chat modes: the server keeps a secret whose mask is sent back to it. Tools are found by name, not by number.
    """
    how = how or Filling()
    if target == MARKER or (isinstance(target, str) and is_sealed(target) and not how.tells(target)):
        return current if isinstance(current, str) and current else target
    if isinstance(target, dict) and isinstance(current, dict):
        return {key: borrowed(item, current.get(key), how) for key, item in target.items()}
    if isinstance(target, list) and isinstance(current, list):
        named = dict(zip(owners(current), current, strict=True))
        return [borrowed(item, named.get(name), how) for name, item in zip(owners(target), target, strict=True)]
    return target

"""Whose is this value? A leaked one is looked for in everything that the instance lets us read; it is never shown.

Service keys and variables are compared whole. Credentials of providers and tools are only ever shown masked, so a match
by their ends is a maybe. Texts of apps (live and draft) are searched for it: there it stands in clear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from difyops.api.credential_sets import ProviderCredentials
from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.api.model import App
from difyops.dsl.load import load_yaml
from difyops.dsl.model import DslError
from difyops.errors import Forbidden, NotSupported
from difyops.rotation.kinds import kinds
from difyops.rotation.reading import HeldSecret, WorkspaceReading, ref
from difyops.secret_text import SecretText

SHORTEST = 6  # a shorter value would be found everywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A place of the value. ``where`` is ``key``, ``variable``, ``credential`` or ``in clear``; ``is_certain`` says
    that the whole value was compared; ``ref`` repeats the words of ``secret rotate``.
    """

    where: str
    kind: str
    owner: str
    owner_id: str
    name: str
    users: tuple[str, ...] = ()
    ref: str = ""
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where a value is, and sentences about what could not be read."""

    matches: tuple[Match, ...]
    problems: tuple[str, ...]
    is_whole: bool


async def find(instance: Instance, reading: WorkspaceReading, value: SecretText) -> Search:
    """Look for a value in the service keys, variables, credentials and texts of the workspace.

    Keys and texts are compared to the letter. Stored credentials are never readable: of those the server shows the
    ends, and a match by its ends is one that may be. What this role may not read stands in ``problems``, and
    ``is_whole`` is false then.

    Raises:
        DifyopsError: the list of apps cannot be read.
    """
    wanted = value.reveal()
    matches: list[Match] = []
    for app_id, keys in (await reading.app_keys()).items():
        app = await reading.app(app_id)
        matches += [
            Match(where="key", kind="app-key", owner=app.name, owner_id=app.id, name=key.id, users=(app.name,),
                  ref=ref("app-key", app.name, credential=key.id if len(keys) > 1 else None))
            for key in keys if key.token.reveal() == wanted
        ]  # fmt: skip
    dataset_keys = await reading.quietly(Keys.of_datasets(instance.console).list(), (), "dataset keys")
    matches += [
        Match(where="key", kind="dataset-key", owner="workspace", owner_id="", name=key.id, ref=ref("dataset-key"))
        for key in dataset_keys if key.token.reveal() == wanted
    ]  # fmt: skip
    texts = await reading.each("texts", lambda app: _texts(instance, app))
    for app_id, documents in texts.items():
        app = await reading.app(app_id)
        for label, document in documents.items():
            matches += _in_document(app, label, document, wanted)
    matches += await _by_their_ends(instance, reading, wanted)
    return Search(matches=_once(matches), problems=tuple(reading.problems), is_whole=reading.is_whole)


def _once(matches: list[Match]) -> tuple[Match, ...]:
    """Leave out what stands in the draft where it stands live."""
    return tuple({(item.where, item.kind, item.owner_id, item.name): item for item in reversed(matches)}.values())[::-1]


async def _texts(instance: Instance, app: App) -> dict[str, Any]:
    """Return the documents of an app by what they are, secret variables in clear where the role may read them."""
    console = instance.console
    if app.is_agent:
        return {}
    if not app.has_workflow:
        return {"live": {"model_config": (await console.app(app.id)).model_config or {}}}
    found: dict[str, Any] = {"draft": await _exported(instance, app, None)}
    if app.live_version and console.capabilities.can("export_version"):
        found["live"] = await _exported(instance, app, app.live_version)
    elif app.live_version and (live := await console.published(app.id)) is not None:
        found["live"] = {"workflow": live.document}
    return found


async def _exported(instance: Instance, app: App, version: str | None) -> Any:
    try:
        text = await instance.console.export(app.id, version_id=version, clear_secrets=True)
    except (Forbidden, NotSupported):
        text = await instance.console.export(app.id, version_id=version)
    try:
        return load_yaml(text)
    except DslError:
        return {"export": text}


def _in_document(app: App, label: str, document: Any, wanted: str) -> Iterator[Match]:
    for path, text in _strings(document, ()):
        if wanted not in text:
            continue
        variable = _variable(document, path)
        if variable is not None and text == wanted:
            yield Match(
                where="variable", kind="env", owner=app.name, owner_id=app.id, name=variable, users=(app.name,),
                ref=ref("env", app.name, variable),
            )  # fmt: skip
        else:
            place = _place(document, path)
            name = place if label == "live" else f"{place} (draft)"
            yield Match(where="in clear", kind="text", owner=app.name, owner_id=app.id, name=name, users=(app.name,))


def _strings(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    match value:
        case str():
            yield path, value
        case dict():
            for key, item in value.items():
                yield from _strings(item, (*path, key))
        case list():
            for number, item in enumerate(value):
                yield from _strings(item, (*path, number))


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def _variable(document: Any, path: tuple[Any, ...]) -> str | None:
    """Return the name of the environment variable whose value stands at a path."""
    if len(path) >= 3 and path[-1] == "value" and path[-3] == "environment_variables":
        return str(_at(document, path[:-1]).get("name"))
    return None


def _place(document: Any, path: tuple[Any, ...]) -> str:
    """Return a place in words: the node by its title, else the path."""
    if "nodes" in path and len(path) > path.index("nodes") + 2:
        at = path.index("nodes") + 2
        data = _at(document, path[:at]).get("data") or {}
        rest = ".".join(str(step) for step in path[at:] if step != "data")
        return f'node "{data.get("title") or "?"}" {rest}'
    return ".".join(str(step) for step in path if step != "workflow")


async def _by_their_ends(instance: Instance, reading: WorkspaceReading, wanted: str) -> list[Match]:
    """Return the provider credentials whose masked values have the ends of the value."""
    held = [item for item in await kinds()["provider"].inventory(instance, reading) if item.kind == "provider"]
    found = []
    for provider in dict.fromkeys(item.owner for item in held):
        credentials = ProviderCredentials(instance.console, provider)
        for one in await reading.quietly(credentials.list(), (), f"credentials of {provider}"):
            shown = await reading.quietly(credentials.read(one.id), {}, f"credential {one.name} of {provider}")
            if any(fits_mask(text, wanted) for text in shown.values()):
                found.append(_maybe(next(item for item in held if (item.owner, item.name) == (provider, one.name))))
    return found


def fits_mask(masked: str, value: str) -> bool:
    """Say whether a masked text (``sk-goo************-1``) may be that of a value: both ends are there and agree."""
    ends = re.fullmatch(r"([^*]*)\*+([^*]*)", masked)
    if ends is None or len(ends[1]) + len(ends[2]) < 4:
        return False
    return value.startswith(ends[1]) and value.endswith(ends[2]) and len(value) >= len(ends[1]) + len(ends[2])


def _maybe(held: HeldSecret) -> Match:
    return Match(
        where="credential", kind=held.kind, owner=held.owner, owner_id="", name=held.name, users=held.users,
        ref=held.ref, is_certain=False,
    )  # fmt: skip

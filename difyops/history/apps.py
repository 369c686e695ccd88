"""Which apps and which runs a question about the history means: what every reader of it agrees on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from difyops.counting import counted
from difyops.errors import UsageError
from difyops.history.store import History
from difyops.targets import expanded

TIMED = ("succeeded", "partial-succeeded", "failed")
ENDED = (*TIMED, "stopped")
PRODUCTION = ("app-run", "web-app", "webhook", "schedule", "plugin", "chat")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptApp:
    """An app that the history knows; ``gone`` is when it was missed on the server (unix seconds)."""

    id: str
    name: str
    mode: str
    gone: float | None = None


def kept_apps(history: History, context: str) -> list[KeptApp]:
    """Return the apps of a context, by name."""
    rows = history.all("SELECT id, name, mode, gone FROM app WHERE context = ? ORDER BY name, id", [context])
    return [KeptApp(id=row[0], name=row[1], mode=row[2] or "", gone=row[3]) for row in rows]


def find_app(history: History, context: str, wanted: str) -> tuple[str, str]:
    """Return id and name of the app that ``wanted`` (id, its beginning, or the exact name) means.

    Raises:
        UsageError: it means none, or several.
    """
    found = _meant(kept_apps(history, context), context, wanted)
    return found.id, found.name


def find_apps(history: History, context: str, wanted: Sequence[str]) -> list[KeptApp]:
    """Return the apps that selectors mean (id, exact name, glob, ``mode:NAME``, ``@file``, ``all``); all without any.

    Raises:
        UsageError: a selector means none, or a name means several; the history does not know tags.
        SelectorError: a file of selectors cannot be read.
    """
    known = kept_apps(history, context)
    chosen: dict[str, KeptApp] = {}
    for text in expanded(wanted or ["all"]):
        if text == "all":
            found = known
        elif text.startswith("mode:"):
            found = [app for app in known if app.mode == text[5:]]
        elif text.startswith("tag:") and not any(app.name == text for app in known):
            raise UsageError(
                "The history does not keep tags.", hint="Name the apps, or a glob, mode:NAME, @file or all."
            )
        elif any(sign in text for sign in "*?[") and not any(app.name == text for app in known):
            found = [app for app in known if fnmatchcase(app.name, text)]
        else:
            found = [_meant(known, context, text)]
        if not found and text != "all":
            raise _no_app(known, context, text)
        chosen.update((app.id, app) for app in found)
    return list(chosen.values())


def _meant(known: Sequence[KeptApp], context: str, wanted: str) -> KeptApp:
    for found in (
        [app for app in known if app.id == wanted],
        [app for app in known if app.name == wanted],
        [app for app in known if len(wanted) >= 8 and app.id.startswith(wanted)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(app.id for app in found)
            raise UsageError(f"{wanted!r} means {counted(len(found), 'app')}; use the id.", hint=ids)
    raise _no_app(known, context, wanted)


def _no_app(known: Sequence[KeptApp], context: str, wanted: str) -> UsageError:
    names = ", ".join(app.name for app in known[:12])
    hint = f"There are: {names}." if known else "difyops history sync"
    return UsageError(f"{wanted!r} is no app of the history of {context}.", hint=hint)

"""Selectors: which apps a command means. The same everywhere.

    <app id> (or its first 8 characters)   <exact name>   <slug>   glob (support-*)
    tag:NAME   mode:workflow   @file (one selector a line)   all

A selector that matches nothing, or an exact name that several apps share, is an error that lists what there is.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from difyops.api.model import App
from difyops.counting import counted
from difyops.errors import SelectorError

_MOST_LISTED = 12
_ID_START = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}")


def select(apps: Sequence[App], selectors: Iterable[str], *, may_be_empty: bool = False) -> list[App]:
    """Return the apps that any of ``selectors`` means, each once, in the order of ``apps``.

    ``may_be_empty``: ``all`` of a workspace without apps is no error.

    Raises:
        SelectorError: a selector matches no app, or is the name of several (they are listed with their ids).
    """
    chosen: set[str] = set()
    for selector in expanded(selectors):
        matches = matching(apps, selector)
        if not matches and not (may_be_empty and selector == "all"):
            raise SelectorError(f"No app matches {selector!r}.", hint=_what_there_is(apps, selector))
        if len(matches) > 1 and all(selector in (app.name, slug(app.name)) for app in matches):
            raise _ambiguous(selector, matches)
        chosen.update(app.id for app in matches)
    return [app for app in apps if app.id in chosen]


def pick(apps: Sequence[App], selector: str) -> App:
    """Return the one app that ``selector`` means.

    Raises:
        SelectorError: it matches none, or several (they are listed with their ids).
    """
    matches = select(apps, [selector])
    if len(matches) > 1:
        raise _ambiguous(selector, matches)
    return matches[0]


def matching(apps: Sequence[App], selector: str) -> list[App]:
    """Return the apps that one selector means. Ids win over names, exact names over slugs, slugs over globs."""
    if selector == "all":
        return list(apps)
    kind, _, rest = selector.partition(":")
    if kind == "tag" and rest:
        return [app for app in apps if rest in app.tags]
    if kind == "mode" and rest:
        return [app for app in apps if app.mode == rest]
    for found in (
        [app for app in apps if app.id == selector],
        [app for app in apps if app.name == selector],
        [app for app in apps if slug(app.name) == selector],
        [app for app in apps if _ID_START.fullmatch(selector) and app.id.startswith(selector)],
    ):
        if found:
            return found
    if any(character in selector for character in "*?["):
        return [app for app in apps if fnmatch.fnmatchcase(app.name, selector)]
    return []


def slug(name: str) -> str:
    """Return the name in lower case with everything but letters and digits turned into single dashes."""
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-")


def _ambiguous(selector: str, matches: Sequence[App]) -> SelectorError:
    listed = "; ".join(f"{app.name} ({app.mode}) {app.id}" for app in matches[:_MOST_LISTED])
    return SelectorError(
        f"{selector!r} means {counted(len(matches), 'app')}; one is wanted.", hint=f"Use the id. {listed}"
    )


def expanded(selectors: Iterable[str]) -> list[str]:
    """Return the selectors with those of the files that they name.

    Raises:
        SelectorError: there is none, or a file cannot be read.
    """
    found: list[str] = []
    for selector in selectors:
        if selector.startswith("@"):
            found += _from_file(Path(selector[1:]))
        elif selector.strip():
            found.append(selector.strip())
    if not found:
        raise SelectorError("No selector was given.", hint="Name an app, a glob, tag:NAME, mode:NAME, @file or all.")
    return found


def _from_file(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SelectorError(f"The selector file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SelectorError(f"The selector file {path} is not UTF-8 text.") from error
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise SelectorError(f"The selector file {path} names no app.")
    nested = next((number for number, line in enumerate(lines, 1) if line.strip().startswith("@")), None)
    if nested is not None:
        raise SelectorError(f"{path}:{nested}: a selector file cannot name another one.")
    return found


def _what_there_is(apps: Sequence[App], selector: str) -> str:
    if not apps:
        return "The workspace has no apps."
    names = sorted({app.name for app in apps})
    close = difflib.get_close_matches(selector, names, n=3)
    if close:
        return f"Did you mean {' or '.join(map(repr, close))}?"
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return f"There are: {', '.join(names[:_MOST_LISTED])}{more}."

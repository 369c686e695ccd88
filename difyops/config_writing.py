"""Contexts added to a configuration file and removed from it, without losing what else stands there."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.config_file import OUR_OWN, Context, document_of
from difyops.dsl.model import DslError
from difyops.errors import ConfigError
from difyops.trust import Trust, TrustBook, TrustedParts


def save_context(path: Path, context: Context, *, make_default: bool, trust: TrustBook | None = None) -> None:
    """Add or replace a context in the file at ``path``. Other content is kept, with its comments.

    ``trust`` is given for a project file: its writer trusts it, with what stood there before, which must be trusted.

    Raises:
        ConfigError: the file that is there cannot be read. Refused: something in it was never trusted.
    """
    document = document_of(path) if path.is_file() else {}
    if trust is not None:
        _require_known(path, document, trust)
    document["contexts"] = {**(document.get("contexts") or {}), context.name: as_written(context)}
    if make_default or not document.get("default_context"):
        document["default_context"] = context.name
    _save(path, document)
    if trust is not None:
        trust.add(path, TrustedParts.of(document).digest)


def as_written(context: Context) -> dict[str, Any]:
    """Return what a file says of a context: its fields that differ from their defaults."""
    return {
        item.name: getattr(context, item.name)
        for item in fields(Context)
        if item.name not in OUR_OWN and getattr(context, item.name) not in (None, item.default)
    }


def written_context(path: Path, name: str) -> dict[str, Any] | None:
    """Return what the file at ``path`` says of a context, ``None`` when it does not define it.

    Raises:
        ConfigError: the file cannot be read.
    """
    contexts = document_of(path).get("contexts") if path.is_file() else None
    found = contexts.get(name) if isinstance(contexts, dict) else None
    return dict(found) if isinstance(found, dict) else None


def default_in(path: Path) -> str | None:
    """Return the context that the file at ``path`` makes the default, ``None`` when it names none.

    Raises:
        ConfigError: the file cannot be read.
    """
    found = document_of(path).get("default_context") if path.is_file() else None
    return found if isinstance(found, str) else None


def _require_known(path: Path, document: dict[str, Any], book: TrustBook) -> None:
    before = Trust(path=path, book=book)
    before.learn(document)
    before.require("be trusted as a whole after this change")


def choose_context(path: Path, name: str) -> None:
    """Make ``name`` the default in the file at ``path``."""
    document = document_of(path) if path.is_file() else {}
    document["default_context"] = name
    _save(path, document)


def remove_context(path: Path, name: str, *, dry_run: bool = False, trust: TrustBook | None = None) -> None:
    """Remove a context from the file at ``path``; nothing else (snapshots, stored secrets) is touched.

    ``trust``: a file that was trusted stays so, without that context.

    Raises:
        ConfigError: the file does not define it. With ``dry_run`` that is all that is looked at.
    """
    document = document_of(path) if path.is_file() else {}
    contexts = document.get("contexts")
    if not isinstance(contexts, dict) or name not in contexts:
        raise ConfigError(f"{path} defines no context {name!r}.", hint="difyops context list")
    was_trusted = trust is not None and trust.knows(path, TrustedParts.of(document).digest)
    del contexts[name]
    if document.get("default_context") == name:
        del document["default_context"]
    if not dry_run:
        _save(path, document)
        if trust is not None and was_trusted:
            trust.add(path, TrustedParts.of(document).digest)


def _save(path: Path, document: dict[str, Any]) -> None:
    from difyops.dsl.edit import edited
    from difyops.dsl.load import dump_yaml

    # resolved: people keep their configuration as links into a repository, and those stay links
    place = path.resolve()
    try:
        text = edited(place.read_text(encoding="utf-8-sig"), document) if place.is_file() else dump_yaml(document)
    except DslError as error:
        raise ConfigError(
            f"{path} was not changed: {error.message}.",
            hint="An anchor (&name, *name, <<) is in the way: change the file by hand.",
        ) from error
    atomic_file.write(place, text.encode(), mode=atomic_file.PRIVATE)

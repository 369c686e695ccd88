"""What a found project file may do: nothing, until its owner said that he knows what it would run and where it sends.

A file that the caller named (``--config``, ``DIFYOPS_CONFIG``, the user's own file) is trusted by being named. Of a
``difyops.yaml`` that was *found* by walking up, some parts say what runs, what is read, and where secrets go; they are
hashed together and remembered in ``trusted.json`` of the state folder. Another value in one of them asks again, any
other change does not. The question is asked where such a part is *used*; what only looks never asks.

    Parts      what of a file needs trust, and in plain words what it would do
    Trust      the standing of one file: ``require`` lets through, asks, or refuses
    Marked     a reference that knows from which file it came
    TrustBook  what was trusted, by the real path of the file
"""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.errors import CredentialError, Refused, StoreError

PROJECT_FILE = "difyops.yaml"
KINDS = ("keyring", "env", "file", "cmd")
_HARMLESS = frozenset({"email", "workspace_id", "timeout", "max_in_flight"})  # of a context; whatever is new counts
_WHOLE = ("deliver", "runbooks", "state", "store", "webhook")
_NAMES = frozenset({"deliver", "ca_file", "url"})
_BOOK = "trusted.json"

Ask = Callable[[str, list[str]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedParts:
    """What of a file needs trust: the place of each value (``contexts.prod.url``) and the value, sorted by place."""

    values: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, document: Mapping[Any, Any]) -> TrustedParts:
        """Collect them from a project file as it was read."""
        return cls(values=tuple(sorted(_collected(document), key=lambda pair: pair[0])))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of their canonical JSON."""
        text = json.dumps(self.values, ensure_ascii=True, separators=(",", ":"), sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()

    def explained(self) -> list[str]:
        """Say in plain words what each would do: programs first, then where secrets go, then the rest."""
        found = dict(self.values)
        lines = [_in_words(place, value, found) for place, value in self.values]
        order = ("run ", "send ", "hand ")
        first = [line for word in order for line in lines if line.startswith(word)]
        return [*first, *(line for line in lines if line not in first)]


def _collected(document: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if value is None or key == "default_context":
            continue
        if key == "contexts" and isinstance(value, Mapping):
            for name, body in value.items():
                yield from _of_context(f"contexts.{name}", body)
        elif key in _WHOLE:
            yield from _leaves(str(key), value)
        elif key != "panels":
            yield from _nested(str(key), value)


def _of_context(place: str, body: Any) -> Iterator[tuple[str, Any]]:
    for key, value in body.items() if isinstance(body, Mapping) else ():
        if key not in _HARMLESS and value is not None:
            yield f"{place}.{key}", value


def _nested(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the references of any other section, and what stands under a name that says where something goes."""
    match value:
        case dict():
            for key, item in value.items():
                inside = f"{place}.{key}"
                if key in _NAMES or str(key).endswith("_url"):
                    yield from _leaves(inside, item)
                else:
                    yield from _nested(inside, item)
        case list():
            for number, item in enumerate(value):
                yield from _nested(f"{place}[{number}]", item)
        case str() if is_reference(value):
            yield place, value


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(f"{place}.{key}", item)
        case list():
            for number, item in enumerate(value):
                yield from _leaves(f"{place}[{number}]", item)
        case _:
            yield place, value


def is_reference(text: str) -> bool:
    """Say whether a text is a reference to a secret."""
    kind, _, rest = text.partition(":")
    return kind in KINDS and bool(rest)


def _in_words(place: str, value: Any, all_of_them: Mapping[str, Any]) -> str:
    kind, _, rest = str(value).partition(":")
    name = place.rpartition(".")[2]
    url = all_of_them.get(f"{place.rpartition('.')[0]}.url", "")
    if kind == "cmd" and rest:
        return f"run {rest} ({place})"
    if place.startswith("deliver") or ".deliver" in place:
        return f"hand new secrets to {value} ({place})"
    if kind in KINDS and rest:
        return f"send {value} to {url} ({place})" if url else f"read {value} ({place})"
    if name == "url" or name.endswith("_url"):
        return f"connect to {value} ({place})"
    if name == "ca_file":
        return f"believe certificates by {value} ({place})"
    if place == "state":
        return f"keep journals, locks and the audit trail in {value} ({place})"
    if place == "store":
        return f"keep snapshots in {value} ({place})"
    return f"read runbooks in {value} ({place})" if place.startswith("runbooks") else f"use {value} ({place})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustBook:
    """What was trusted, by real path: ``trusted.json`` in the state folder, 0600."""

    state: Path

    @property
    def path(self) -> Path:
        """Return the file."""
        return self.state / _BOOK

    def entries(self) -> dict[str, str]:
        """Return real path -> SHA-256.

        Raises:
            StoreError: the file is damaged, or others may read or write it.
        """
        if not self.path.exists():
            return {}
        hint = f"Remove it, and trust again: rm {self.path}"
        try:
            found = json.loads(atomic_file.read_private(self.path))["files"]
            return {str(path): str(digest) for path, digest in found.items()}
        except CredentialError as error:
            raise StoreError(error.message, hint=error.hint or hint) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"{self.path} is damaged.", hint=hint) from error

    def knows(self, path: Path, digest: str) -> bool:
        """Say whether exactly this was trusted."""
        return self.entries().get(real(path)) == digest

    def add(self, path: Path, digest: str) -> None:
        """Remember it, in the place of what was trusted under this path before."""
        self._changed(lambda entries: entries | {real(path): digest})

    def remove(self, path: Path) -> bool:
        """Forget a path; say whether it was there."""
        was_there = real(path) in self.entries()
        if was_there:
            self._changed(lambda entries: {name: one for name, one in entries.items() if name != real(path)})
        return was_there

    def _changed(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        with atomic_file.lock(self.state / f"{_BOOK}.lock", wait=10.0, holding="the list of trusted files"):
            body = {"version": 1, "files": change(self.entries())}
            text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
            atomic_file.write(self.path, text.encode(), mode=atomic_file.PRIVATE)


def real(path: Path) -> str:
    """Return the path of a file by which it is remembered: its folder without links, and its own name.

    A file that is a link to another one is remembered by itself: paths in it are seen from its own folder.
    """
    return str(path.parent.resolve() / path.name)


@dataclass(slots=True, kw_only=True, eq=False)
class Trust:
    """The standing of one file. It was named, or has nothing to be trusted with, where there is no path or no digest.

    ``digest`` and ``would``: what is trusted, as a hash and in plain words. ``hint``: another way than to trust it.
    ``ask`` is ``None`` where nobody is there; ``remembers`` is off in a dry run, in which an answer holds for this run.
    """

    path: Path | None = None
    digest: str = ""
    would: tuple[str, ...] = ()
    hint: str = ""
    book: TrustBook | None = None
    ask: Ask | None = None
    remembers: bool = True
    _answer: bool | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_given(self) -> bool:
        """Say whether its parts may be used, without asking."""
        if self.path is None or self.book is None or not self.digest:
            return True
        return bool(self._answer) or self.book.knows(self.path, self.digest)

    def learn(self, document: Mapping[Any, Any]) -> None:
        """Take over what a project file says, as it was read."""
        parts = TrustedParts.of(document)
        self.digest = parts.digest if parts.values else ""
        self.would = tuple(parts.explained())

    def require(self, use: str) -> None:
        """Let ``use`` ("connect to https://...") through when the file is trusted, or a person at the terminal says so.

        Raises:
            Refused: it is not trusted, and nobody is there to ask, or said no.
        """
        with self._turn:
            if self.is_given:
                return
            assert self.path is not None  # noqa: S101 - a file without a path is given
            if self._answer is None and self.ask is not None and self.ask(str(self.path), list(self.would)):
                self.give()
                return
            self._answer = False
            raise Refused(
                f"{self.path} came with this folder and {self._standing()}; it would {use}.",
                hint=f"Look at it, then: difyops trust {shlex.quote(str(self._named))}{self.hint}",
            )

    def give(self) -> None:
        """Trust what the file says now."""
        self._answer = True
        if self.path is not None and self.book is not None and self.remembers:
            self.book.add(self.path, self.digest)

    @property
    def _named(self) -> Path | None:
        """Return what ``difyops trust`` takes: the folder of a project file, a runbook itself."""
        return self.path.parent if self.path is not None and self.path.name == PROJECT_FILE else self.path

    def _standing(self) -> str:
        assert self.book is not None  # noqa: S101 - the caller looked
        assert self.path is not None  # noqa: S101
        return "changed since it was trusted" if real(self.path) in self.book.entries() else "is not trusted"


NAMED = Trust()


class Marked(str):
    """A reference out of a file, which must be trusted before the reference is followed."""

    __slots__ = ("trust",)
    trust: Trust

    @classmethod
    def by(cls, text: str, trust: Trust) -> Marked:
        """Return ``text`` with the standing of the file that says it."""
        made = cls(text)
        made.trust = trust
        return made


def require_of(reference: str, use: str) -> None:
    """Require trust in the file that a reference came from; one that was typed needs none.

    Raises:
        Refused: as ``Trust.require``.
    """
    if isinstance(reference, Marked):
        reference.trust.require(use)

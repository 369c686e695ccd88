"""What a publication needs from the journal of the change it belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Keeper(Protocol):
    """The journal of one change: facts without secrets, private documents, and the only way to change anything."""

    @property
    def id(self) -> str:
        """Return the id of the change: twelve hex digits, part of each version's comment."""
        ...

    def memo(self, name: str) -> Any:
        """Return what was noted under ``name``, ``None`` when nothing was."""
        ...

    def note(self, **facts: Any) -> None:
        """Write facts without secrets to the journal; they are on disk when this returns."""
        ...

    def keep(self, name: str, document: dict[str, Any]) -> None:
        """Hold a document that may carry secrets in a private file, until the change is closed."""
        ...

    def kept(self, name: str) -> dict[str, Any] | None:
        """Return a held document, ``None`` when there is none."""
        ...

    def drop(self, name: str) -> None:
        """Let go of a held document."""
        ...

    def set_aside(self, name: str, title: str) -> None:
        """Move a held document to where it outlives the change, and tell its name and place in the result."""
        ...

    async def effect(self, name: str, work: Callable[[], Awaitable[T]], **facts: Any) -> T:
        """Change something outside: journal line before, audit line after; ``facts`` go into the audit line."""
        ...

    def say(self, text: str) -> None:
        """Tell the person who waits what is going on."""
        ...

"""What a check found and what an action would do: small frozen classes, matched with ``match``. No logic here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One measured value: ``unit`` is s, %, bytes, runs, ...; ``warn`` and ``fail`` are the limits it was held to: the
    most it may be, or with ``floor`` the least.
    """

    name: str
    value: Number | str | bool | None
    unit: str = ""
    warn: Number | None = None
    fail: Number | None = None
    floor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one step came to. ``text`` is one sentence; ``excerpt`` what the other side said; ``hint`` what to do."""

    word: ClassVar[str] = ""
    text: str
    values: tuple[Value, ...] = ()
    excerpt: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Result):
    """Measured, and inside its limits."""

    word: ClassVar[str] = "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn(Result):
    """Measured, and worth a look in daylight."""

    word: ClassVar[str] = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail(Result):
    """Measured, and outside its limits; or an action that did not come to its end."""

    word: ClassVar[str] = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconclusive(Result):
    """Not measured: the thing may be fine or not."""

    word: ClassVar[str] = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(Result):
    """Not tried: its condition was not met, what it needs did not pass, or nobody allowed it.

    ``refused`` marks the last: an action or approval that somebody would have had to agree to.
    """

    word: ClassVar[str] = "skipped"
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """How to take an action back: another action with its parameters, or a command for a person."""

    action: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None

    @property
    def text(self) -> str:
        """Return it in words."""
        if self.command:
            return self.command
        shown = ", ".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"{self.action} ({shown})" if shown else str(self.action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What an action did, read back."""

    text: str
    values: tuple[Value, ...] = ()
    undo: Undo | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What an action would do. ``apply`` does it; ``None`` when there is nothing to do.

    ``asks`` is False for what changes nothing that matters (waiting, notifying): it still needs ``--act``, but no yes.
    ``approval`` marks a question to a person: a yes given beforehand for everything does not answer it. ``changes`` is
    False for what leaves no trace (waiting): cut off, nothing is half done, so that is inconclusive and no failure.
    """

    text: str
    apply: Callable[[], Awaitable[Acted]] | None = None
    undo: Undo | None = None
    asks: bool = True
    approval: bool = False
    changes: bool = True


def held(
    value: Value, text: str, *, excerpt: str = "", hint: str | None = None, others: tuple[Value, ...] = ()
) -> Result:
    """Return pass, warn or fail for a value that must not be above its limits."""
    kind: type[Result] = Pass
    if isinstance(value.value, int | float):
        if value.fail is not None and value.value > value.fail:
            kind = Fail
        elif value.warn is not None and value.value > value.warn:
            kind = Warn
    return kind(text=text, values=(value, *others), excerpt=excerpt, hint=None if kind is Pass else hint)


def as_warning(result: Result, text: str | None = None) -> Result:
    """Return a failure as a warning; everything else as it is."""
    if not isinstance(result, Fail):
        return result
    return Warn(text=text or result.text, values=result.values, excerpt=result.excerpt, hint=result.hint)


def shortened(result: Result, most: int = 600) -> Result:
    """Return the result with an excerpt of at most ``most`` characters."""
    if len(result.excerpt) <= most:
        return result
    return replace(result, excerpt=result.excerpt[:most] + " ...")

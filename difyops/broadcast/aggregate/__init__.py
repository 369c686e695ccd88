"""Aggregators: many answers become one. One module each: list, first, concat, vote, merge, judge.

A module's file name is its name on the command line; its docstring is its help; the keyword-only annotated parameters
of its ``aggregate`` are its settings; ``ask`` and ``question`` are handed in to those that name them. An aggregator
sees the whole answers only; ``Answers.asked`` says how many were asked, so that each can say what a partial result
means.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from difyops.broadcast.answer import AgentAnswer
from difyops.errors import UsageError
from difyops.plugins import Registry

Ask = Callable[[str], Awaitable[AgentAnswer]]
_HANDED_IN = frozenset({"ask", "question"})
_WORDS = {"true": True, "yes": True, "false": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What an aggregator works on: the whole answers in plan order, and how many agents were asked."""

    given: Sequence[AgentAnswer]
    asked: int

    @property
    def missing(self) -> int:
        """Return how many agents gave no whole answer."""
        return self.asked - len(self.given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """One result from many answers.

    ``value`` is JSON; ``text`` shows it to people. ``used`` of ``asked`` answers went into it; ``decided`` is ``False``
    when the missing ones could have changed it, or there is no result. ``notes`` say what was left out or in conflict.
    """

    how: str
    value: Any
    text: str
    used: int
    asked: int
    decided: bool = True
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An aggregator with its settings, as ``parse`` read them."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def judge(self) -> str | None:
        """Return the selector of the app that is asked, when this aggregator asks one."""
        return str(self.settings["app"]) if "ask" in inspect.signature(self.function).parameters else None

    async def combine(self, answers: Answers, *, question: str, ask: Ask | None = None) -> Combined:
        """Make one result of ``answers``; an aggregator that asks an app gets ``ask``."""
        offered = {"question": question, "ask": ask}
        wanted = inspect.signature(self.function).parameters
        extra = {key: value for key, value in offered.items() if key in wanted}
        result = self.function(answers, **self.settings, **extra)
        if inspect.isawaitable(result):
            result = await result
        if not isinstance(result, Combined):
            raise TypeError(f"the aggregator {self.name} returned {type(result).__name__}")
        return result


AGGREGATORS = Registry(package=__name__, group="difyops.aggregators", member="aggregate", word="aggregator")


def names() -> list[str]:
    """Return the names of all aggregators: the modules of this package, and the entry points of others."""
    return AGGREGATORS.names()


def parse(text: str) -> Chosen:
    """Read ``vote``, ``judge:APP`` or ``vote:majority=0.6``; a bare value belongs to the first setting.

    Raises:
        UsageError: there is no such aggregator, or a setting is unknown, missing or has the wrong type.
    """
    name, _, rest = text.partition(":")
    if name not in names():
        broken = [problem for problem in AGGREGATORS.problems() if repr(name) in problem]
        raise UsageError(f"There is no aggregator {name!r}.", hint=(broken or [f"One of: {', '.join(names())}."])[0])
    function = AGGREGATORS.get(name).module.aggregate
    kinds = settings_of(function)
    given: dict[str, Any] = {}
    for part in filter(None, rest.split(",")) if _has_pairs(rest, kinds) else filter(None, [rest]):
        key, sign, value = part.partition("=")
        if not sign or key not in kinds:
            key, value = next(iter(kinds), ""), part
        if key not in kinds:
            raise UsageError(f"{name} has no setting {part!r}.")
        given[key] = _value(kinds[key], value, f"{name}:{key}")
    for key, parameter in inspect.signature(function).parameters.items():
        if key in kinds and key not in given and parameter.default is inspect.Parameter.empty:
            raise UsageError(f"{name} needs {key}.", hint=f"Example: {name}:{key.upper()}")
    return Chosen(name=name, function=function, settings=given)


def settings_of(function: Callable[..., Any]) -> dict[str, type]:
    """Return the settings of an aggregator: its keyword-only parameters with their types."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    own = [item.name for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY]
    return {name: hints[name] for name in own if name not in _HANDED_IN}


def _has_pairs(text: str, kinds: Mapping[str, type]) -> bool:
    return text.partition("=")[0] in kinds


def _value(kind: type, text: str, place: str) -> Any:
    if kind is bool:
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        raise UsageError(f"{place}: {text!r} is neither true nor false.")
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"{place}: {text!r} is not of type {kind.__name__}.") from error

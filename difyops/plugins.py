"""One file is one plugin: how every registry finds what it has, in its own folder and in packages of others.

A plugin is a module. Its file name is its name (in YAML or on the command line), the docstring its help, the
keyword-only annotated parameters of its one function its schema; everything that is special about it stands in it, so
adding one touches that file and one test. Packages of others name theirs as entry points; the value is the module:

    [project.entry-points."difyops.checks"]
    "mail.age" = "acme_difyops.mail_age"

A name that is ours cannot be taken. A foreign module that cannot be loaded, or lacks what a plugin must have, is left
out and told (``problems``): it must not take the others of a 2 AM run with it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from difyops.errors import UsageError

OURS = "difyops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One plugin: its name, the module that it is, and the distribution it comes from."""

    name: str
    module: ModuleType
    origin: str = OURS

    @property
    def help(self) -> str:
        """Return what its module says about it."""
        return inspect.getdoc(self.module) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The plugins of one kind. ``package`` is the folder of ours, ``group`` the entry points of others, ``member`` what
    each module must hold, ``word`` what one is called; ``spelled`` makes a name of a file's name; ``wrong`` says what
    else is missing in a module, one sentence each.
    """

    package: str
    group: str
    member: str
    word: str
    spelled: Callable[[str], str] = str
    wrong: Callable[[ModuleType], list[str]] = field(default=lambda module: [])

    def names(self) -> list[str]:
        """Return the names of ours without loading a module, and those of the others that can be used."""
        return sorted({*self._own_files(), *self._foreign[0]})

    def get(self, name: str) -> Plugin:
        """Return one plugin; of ours, only its module is loaded.

        Raises:
            UsageError: there is none of that name.
        """
        own = self._own_files()
        if name in own:
            return Plugin(name=name, module=importlib.import_module(f"{self.package}.{own[name]}"))
        foreign, problems = self._foreign
        if name in foreign:
            return foreign[name]
        broken = [problem for problem in problems if f"{name!r}" in problem]
        article = "an" if self.word[:1] in "aeiou" else "a"
        raise UsageError(
            f"{name!r} is not {article} {self.word}.", hint=next(iter(broken), f"One of: {', '.join(self.names())}.")
        )

    def all(self) -> Mapping[str, Plugin]:
        """Return all plugins by name."""
        return {name: self.get(name) for name in self.names()}

    def problems(self) -> list[str]:
        """Return one sentence for each plugin of another package that is left out."""
        return list(self._foreign[1])

    def _own_files(self) -> Mapping[str, str]:
        return _files(self.package, self.spelled)

    @property
    def _foreign(self) -> tuple[Mapping[str, Plugin], tuple[str, ...]]:
        return _foreign(self)

    def load(self, point: EntryPoint) -> Plugin | str:
        """Return a plugin of another package, or why it is left out."""
        origin = point.dist.name if point.dist else "another package"
        said = f"The {self.word} {point.name!r} of {origin}"
        if point.name in self._own_files():
            return f"{said} is left out: that name is taken by difyops."
        try:
            module = point.load()
        except Exception as error:  # whatever a foreign module raises when it is loaded, the others go on
            return f"{said} cannot be loaded: {type(error).__name__}: {error}"
        found = missing(module, self.member) if isinstance(module, ModuleType) else ["it is no module"]
        found += self.wrong(module) if not found else []
        if found:
            return f"{said} is left out: {found[0]}."
        return Plugin(name=point.name, module=module, origin=origin)

    def __hash__(self) -> int:
        """Hash by what it is the registry of."""
        return hash((self.package, self.group))


@functools.cache
def _files(package: str, spelled: Callable[[str], str]) -> Mapping[str, str]:
    path = importlib.import_module(package).__path__
    return {spelled(item.name): item.name for item in pkgutil.iter_modules(path) if not item.name.startswith("_")}


@functools.cache
def _foreign(registry: Registry) -> tuple[Mapping[str, Plugin], tuple[str, ...]]:
    found: dict[str, Plugin] = {}
    problems: list[str] = []
    for point in sorted(entry_points(group=registry.group), key=lambda item: (item.name, item.value)):
        loaded = registry.load(point)
        if isinstance(loaded, Plugin) and point.name in found:
            loaded = (
                f"The {registry.word} {point.name!r} of {loaded.origin} is left out: {found[point.name].origin} has it."
            )
        if isinstance(loaded, Plugin):
            found[point.name] = loaded
        else:
            problems.append(loaded)
    return found, tuple(problems)


def forget() -> None:
    """Look again at what is installed; for tests and for long-running programs."""
    _files.cache_clear()
    _foreign.cache_clear()


def missing(module: ModuleType, member: str) -> list[str]:
    """Say what a module lacks to be a plugin with the function ``member``: itself, help, or a type of a parameter."""
    function = getattr(module, member, None)
    if not callable(function):
        return [f"it has no {member}"]
    found = [] if inspect.getdoc(module) else ["the module has no docstring"]
    found += [] if inspect.getdoc(function) else [f"{member} has no docstring, which is its help"]
    for item in inspect.signature(function).parameters.values():
        if item.kind in (item.VAR_KEYWORD, item.VAR_POSITIONAL):
            found.append(f"{member} takes anything (*{item.name}), so it has no schema")
        elif item.kind is item.KEYWORD_ONLY and item.annotation is item.empty:
            found.append(f"the parameter {item.name} has no annotation")
    return found


def lacks(protocol: type, thing: object) -> list[str]:
    """Name what ``protocol`` (a ``typing.Protocol``) asks for and ``thing`` does not have; methods must be callable."""
    wanted = {name for name in dir(protocol) if not name.startswith("_")} | set(
        getattr(protocol, "__annotations__", {})
    )
    return sorted(
        name
        for name in wanted
        if not hasattr(thing, name) or (callable(getattr(protocol, name, None)) and not callable(getattr(thing, name)))
    )

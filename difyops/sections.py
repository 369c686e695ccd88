"""Reading settings field by field: one reader for sections of the configuration and the files beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from difyops.errors import ConfigError
from difyops.setting_values import duration, size
from difyops.settings import BadSetting
from difyops.settings import unknown_field as unknown_field
from difyops.trust import is_reference

T = TypeVar("T")


@dataclass(slots=True)
class Fields:
    """Reads one mapping field by field: every complaint names the place, and nothing unknown passes.

    ``place`` is where it stands (``webhook.sources.github``). ``done`` refuses what nobody asked for.
    """

    body: Any
    place: str
    asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.body is None:
            self.body = {}
        if not isinstance(self.body, dict):
            raise ConfigError(f"{self.place} must be a mapping.")

    def get(self, name: str, kind: type[T] | tuple[type[T], ...], default: T | None = None) -> T | None:
        """Return a value of this type, or the default where there is none."""
        self.asked.add(name)
        value = self.body.get(name)
        if value is None:
            return default
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kinds):
            self.fail(name, f"has the wrong type ({type(value).__name__})")
        return value

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        return self.get(name, str, default) or ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; one text stands for a list of it."""
        self.asked.add(name)
        value = self.body.get(name)
        items = [value] if isinstance(value, str) else value or []
        if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
            self.fail(name, "must be text, or a list of texts")
        return tuple(items)

    def references(self, name: str) -> tuple[str, ...]:
        """Return references to secrets."""
        found = self.texts(name)
        for item in found:
            if not is_reference(item):
                self.fail(name, "holds references to secrets (keyring:, env:, file: or cmd:), never secrets")
        return found

    def seconds(self, name: str, default: float, *, longest: float = 30 * 86400.0) -> float:
        """Return a duration."""
        return self._read(name, default, lambda value: duration(value, longest=longest))

    def bytes(self, name: str, default: int) -> int:
        """Return a size."""
        return self._read(name, default, size)

    def count(self, name: str, default: int, *, least: int = 1, most: int = 100_000) -> int:
        """Return a whole number within its limits."""
        value = self.get(name, int, default)
        if value is None or not least <= value <= most:
            self.fail(name, f"must be a whole number from {least} to {most}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return yes or no."""
        return bool(self.get(name, bool, default))

    def items(self, name: str) -> Iterator[tuple[str, Any]]:
        """Yield the entries of a list, each with its place."""
        self.asked.add(name)
        value = self.body.get(name)
        if value is not None and not isinstance(value, list):
            self.fail(name, "must be a list")
        for number, item in enumerate(value or ()):
            yield f"{self.place}.{name}[{number}]", item

    def mapping(self, name: str) -> dict[str, Any]:
        """Return a mapping of names that nobody knows beforehand; empty where there is none."""
        self.asked.add(name)
        return dict(Fields(self.body.get(name), f"{self.place}.{name}").body)

    def mappings(self, name: str) -> Iterator[tuple[str, Fields]]:
        """Yield the named mappings below."""
        self.asked.add(name)
        for key, value in Fields(self.body.get(name), f"{self.place}.{name}").body.items():
            yield str(key), Fields(value, f"{self.place}.{name}.{key}")

    def done(self) -> None:
        """Refuse fields that nobody asked for.

        Raises:
            ConfigError: names the first one, and the fields that there are.
        """
        for key in self.body:
            if key not in self.asked:
                raise ConfigError(f"{self.place}: {unknown_field(key, self.asked)}.")

    def fail(self, name: str, problem: str, hint: str | None = None) -> NoReturn:
        """Say what is wrong with a field.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.place}.{name} {problem}.", hint=hint)

    def _read(self, name: str, default: T, read: Callable[[object], T]) -> T:
        self.asked.add(name)
        value = self.body.get(name)
        if value is None:
            return default
        try:
            return read(value)
        except BadSetting as error:
            raise ConfigError(f"{self.place}.{name}: {error}.") from None

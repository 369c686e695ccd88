"""One way to be configured: a frozen dataclass says what may stand in a file, and one reader holds the file to it.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Smoke:
        inputs: Mapping[str, Any] = field(default_factory=dict)
        query: Text = "ping"
        within: Annotated[Duration | None, "how long the answer may take"] = None

A field without a default is required. Its type says what it takes: ``str``, ``int``, ``float``, ``bool``, ``Literal``,
``tuple[X, ...]`` (one X stands for a list of it), ``Mapping[str, X]``, another dataclass, ``Any``, ``X | None``, or a
``SettingType`` of ``setting_values``. ``Annotated`` adds what the field is for (a text), ``Named`` (its name in the
file), ``KEY`` (it is the name the mapping stands under), ``NOT_IN_FILE``, or ``LATER`` (its owner reads it). On the
class, ``SHORT`` names the field that a plain value stands for, and ``faults`` yields (path of a field, text) for what
several make wrong together. A field that is blank or nothing is as one that is not there.

Every complaint names file, line and field; all of them are told at once. Pure: files are read by ``settings_file``.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from difyops.setting_problems import (
    MOST_TOLD,
    NOWHERE,
    BadSetting,
    Path,
    Problem,
    Source,
    named,
    source_of,
    unknown_field,
)

T = TypeVar("T")
Fault = tuple[Path, str]
KEY, NOT_IN_FILE, LATER = object(), object(), object()
_WRONG: Any = object()
_PLAIN = {str: ("text", "string"), int: ("a whole number", "integer"), float: ("a number", "number")} | {
    bool: ("true or false", "boolean")
}


@dataclass(frozen=True, slots=True, eq=False)
class SettingType:
    """One kind of value: ``read`` returns what it means (raises ``BadSetting``), ``schema`` is its JSON Schema."""

    read: Callable[[Any], Any]
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Named:
    """The name that a field has in the file."""

    name: str


def read(kind: type[T], body: object, source: Source = NOWHERE, at: Path = ()) -> T:
    """Return what ``body`` says, which stands at ``at`` of the source; nothing at all is a mapping without fields.

    Raises:
        UsageError: something in it is wrong; of the class that the source names. Says all of it, up to a handful.
    """
    reader = Reader(source)
    found = reader.value(kind, {} if body is None else body, at)
    reader.finish()
    return found  # type: ignore[no-any-return]


def read_section(kind: type[T], sections: Mapping[str, Any], name: str) -> T:
    """Return what the section ``name`` says. Raises as ``read``."""
    return read(kind, sections.get(name), source_of(sections, name), (name,))


def read_names(hint: Any, sections: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the entries of a section of names that nobody knows beforehand, each of the type ``hint``."""
    return names_in(hint, sections.get(name), source_of(sections, name), (name,))


def names_in(hint: Any, body: object, source: Source = NOWHERE, at: Path = ()) -> dict[str, Any]:
    """Return the entries of a mapping of names, each of the type ``hint``. Raises as ``read``."""
    reader = Reader(source)
    found = reader.mapping(hint, body or {}, at)
    reader.finish()
    return found  # type: ignore[no-any-return]


def written(record: Any) -> dict[str, Any]:
    """Return a dataclass as a file says it, in JSON's types."""
    kind: Any = type(record)
    return {item.written: _as_json(getattr(record, item.name)) for item in shape_of(kind)}


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return written(value)
    return format(value, "f") if isinstance(value, Decimal) else value


@dataclass(slots=True)
class Reader:
    """Reads values and remembers what was wrong. A field that is wrong reads as if it were not there."""

    source: Source
    problems: list[Problem] = field(default_factory=list)
    hint: str | None = None

    @property
    def sorted(self) -> list[Problem]:
        """Return the problems by line."""
        return sorted(self.problems, key=lambda item: (item.line, item.field, item.text))

    def finish(self) -> None:
        """Raise what was wrong, if anything was. Raises as ``read``."""
        if not self.problems:
            return
        said = [item.text_with_place for item in self.sorted]
        more = [f"({len(said) - MOST_TOLD} more)"] if len(said) > MOST_TOLD else []
        raise self.source.error(
            " ".join(said[:MOST_TOLD] + more),
            hint=self.hint or self.source.hint,
            details={"problems": [dataclasses.asdict(item) for item in self.sorted]} if len(said) > 1 else None,
        )

    def add(self, path: Path, text: str, hint: str | None = None) -> Any:
        """Note a problem; return what stands for a value that is none."""
        self.problems.append(self.source.problem(path, text))
        self.hint = self.hint or hint
        return _WRONG

    def get(self, kind: type[T], body: object, at: Path = ()) -> T | None:
        """Return what ``body`` says, ``None`` when too much of it is wrong; what is wrong is noted."""
        found = self.value(kind, body, at)
        return None if found is _WRONG else found

    def value(self, hint: Any, value: Any, at: Path) -> Any:
        """Return what a value means by the type ``hint``."""
        plain, marks = _parts(hint)
        for mark in marks:
            if isinstance(mark, SettingType):
                return self._tried(mark, value, at)
        if get_origin(plain) in (Union, types.UnionType):
            inner = next(item for item in get_args(plain) if item is not types.NoneType)
            return None if value is None else self.value(inner, value, at)
        if plain is Any:
            return value
        if dataclasses.is_dataclass(plain):
            return self._record(plain, value, at)
        if get_origin(plain) is Literal:
            known = get_args(plain)
            return value if value in known else self.add(at, f"{named(value)} is none of {', '.join(map(str, known))}")
        if get_origin(plain) is tuple:
            return self._list(get_args(plain)[0], value, at)
        if get_origin(plain) is Mapping:
            return self.mapping(get_args(plain)[1], value, at)
        return self._plain(plain, value, at)

    def _tried(self, kind: SettingType, value: Any, at: Path) -> Any:
        try:
            return kind.read(value)
        except BadSetting as error:
            return self.add(at, str(error), error.hint)

    def _plain(self, kind: type, value: Any, at: Path) -> Any:
        takes = (int, float) if kind is float else kind
        is_one = isinstance(value, takes) and (kind is bool or not isinstance(value, bool))
        if is_one and (not isinstance(value, float) or math.isfinite(value)):
            return value
        return self.add(at, f"expected {_PLAIN[kind][0]}, found {named(value)}")

    def _list(self, hint: Any, value: Any, at: Path) -> Any:
        if not isinstance(value, list):
            if isinstance(value, dict) and not dataclasses.is_dataclass(_parts(hint)[0]):
                return self.add(at, f"expected a list, found {named(value)}")
            if self._is_no_item(hint, value):
                return self.add(at, f"expected a list, found {named(value)}")
            found = [self.value(hint, value, at)]
        else:
            found = [self.value(hint, item, (*at, number)) for number, item in enumerate(value)]
        return tuple(item for item in found if item is not _WRONG)

    @staticmethod
    def _is_no_item(hint: Any, value: Any) -> bool:
        """Return whether a value that stands for a list of it could not be one of its mappings either."""
        kind = _parts(hint)[0]
        return dataclasses.is_dataclass(kind) and not isinstance(value, Mapping) and not hasattr(kind, "SHORT")

    def mapping(self, hint: Any, value: Any, at: Path) -> Any:
        """Return a mapping of names whose values are of the type ``hint``."""
        if not isinstance(value, Mapping):
            return self.add(at, f"must be a mapping of names, found {named(value)}")
        is_record = dataclasses.is_dataclass(_parts(hint)[0])
        found = {
            str(key): self.value(hint, {} if item is None and is_record else item, (*at, str(key)))
            for key, item in value.items()
        }
        return {key: item for key, item in found.items() if item is not _WRONG}

    def _record(self, kind: Any, body: Any, at: Path) -> Any:
        before = len(self.problems)
        values = self.fields(kind, body, at)
        if any(item.required and item.name not in values for item in shape_of(kind) if not item.is_later):
            return _WRONG
        made = kind(**values)
        if len(self.problems) == before and (faults := getattr(made, "faults", None)) is not None:
            for name, text in faults():
                self.add((*at, *name), text)
        return made

    def fields(self, kind: Any, body: Any, at: Path) -> dict[str, Any]:
        """Return the fields of a dataclass that are there and right; what is wrong is noted."""
        shape, short = shape_of(kind), getattr(kind, "SHORT", None)
        is_short = short is not None and not isinstance(body, Mapping)
        if is_short:
            body = {short: body}
        known = [item.written for item in shape if not item.is_key]
        if not isinstance(body, Mapping):
            self.add(at, f"must be a mapping ({', '.join(known)}), found {named(body)}")
            return {}
        for key in body:
            if key not in known:
                self.add((*at, key), unknown_field(key, known))
        found = {item.name: self._field(item, body, at, is_short) for item in shape if not item.is_later}
        return {name: value for name, value in found.items() if value is not _WRONG}

    def _field(self, item: FieldShape, body: Mapping[str, Any], at: Path, is_short: bool) -> Any:
        if item.is_key:
            return self.value(item.hint, at[-1], at)
        value, place = body.get(item.written), at if is_short else (*at, item.written)
        if value is None or (value == "" and item.hint is not Any):
            why = f": {item.help}" if item.help else ""
            return self.add(place, f"this field is required{why}") if item.required else _WRONG
        return self.value(item.hint, value, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldShape:
    """One field of a dataclass as files have it."""

    name: str
    written: str
    hint: Any
    required: bool
    is_key: bool
    is_later: bool
    help: str


@lru_cache(maxsize=256)
def shape_of(kind: Any) -> tuple[FieldShape, ...]:
    """Return the fields of a dataclass that files have."""
    hints, found = get_type_hints(kind, include_extras=True), []
    for item in dataclasses.fields(kind):
        marks = _parts(hints[item.name])[1]
        if NOT_IN_FILE in marks:
            continue
        written = next((mark.name for mark in marks if isinstance(mark, Named)), item.name)
        has_default = item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
        help_text = next((mark for mark in marks if isinstance(mark, str)), "")
        is_key = KEY in marks
        found.append(
            FieldShape(name=item.name, written=written, hint=hints[item.name], required=not has_default,
                       is_key=is_key, is_later=LATER in marks, help=help_text)
        )  # fmt: skip
    return tuple(found)


def schema_of(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema of what a type takes."""
    plain, marks = _parts(hint)
    for mark in marks:
        if isinstance(mark, SettingType):
            return dict(mark.schema)
    arguments = get_args(plain)
    match get_origin(plain):
        case origin if origin in (Union, types.UnionType):
            return schema_of(next(item for item in arguments if item is not types.NoneType))
        case origin if origin is Literal:
            return {"enum": list(arguments)}
        case origin if origin is tuple:
            item = schema_of(arguments[0])
            return {"anyOf": [{"type": "array", "items": item}, item]}
        case origin if origin is Mapping:
            return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if not dataclasses.is_dataclass(plain):
        return {} if plain is Any else {"type": _PLAIN[plain][1]}
    return _object_schema(plain)


def _object_schema(kind: Any) -> dict[str, Any]:
    shape = [item for item in shape_of(kind) if not item.is_key]
    found = {
        "type": "object",
        "properties": {
            item.written: schema_of(item.hint) | ({"description": item.help} if item.help else {}) for item in shape
        },
        "required": [item.written for item in shape if item.required],
        "additionalProperties": False,
    }
    short = next((item for item in shape if item.written == getattr(kind, "SHORT", None)), None)
    return {"anyOf": [found, schema_of(short.hint)]} if short else found


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())

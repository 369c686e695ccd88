"""YAML in and out: the only home of PyYAML.

One pass over the parser's events builds plain JSON values and refuses what YAML makes dangerous: duplicate keys, alias
bombs, endless depth, foreign tags, merge keys. Mapping keys are always text. Scalars are read in one of two ways:

* ``load_yaml`` (our own configuration files): only JSON's types. ``no``, ``012``, ``1:30``, ``1e3``, ``0x10`` and
  dates are text; numbers are decimal; booleans are ``true`` and ``false``.
* ``load_dsl`` (exports of the platform, which PyYAML wrote and PyYAML will read): YAML 1.1 as PyYAML resolves it,
  except that dates stay text.

What the values mean is not known here.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from difyops.counting import counted
from difyops.dsl.model import DslError, JsonObject

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_TAG = "tag:yaml.org,2002:"
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """How much a text may ask for: bytes, nesting levels, and values that aliases repeat."""

    size: int = 10_000_000
    depth: int = 100
    repeats: int = 50_000


@dataclass(frozen=True, slots=True)
class SourceLines:
    """Where each field of a loaded text stands."""

    by_path: Mapping[Path, int] = field(repr=False)

    def at(self, path: Path) -> int:
        """Return the 1-based line of a field; of the nearest parent when the field itself is not there."""
        while path and path not in self.by_path:
            path = path[:-1]
        return self.by_path.get(path, 1)


DEFAULT_LIMITS = LoadLimits()


def load_yaml(text: str | bytes, *, what: str = "the file", limits: LoadLimits = DEFAULT_LIMITS) -> Any:
    """Return the JSON value of one YAML document, ``None`` when it is empty.

    Raises:
        DslError: not UTF-8, not YAML, a duplicate key, or more than ``limits`` allow; says line and column.
    """
    return _Builder(what=what, limits=limits, resolve=_strict).build(text)


def load_yaml_with_lines(text: str | bytes, *, what: str = "the file") -> tuple[Any, SourceLines]:
    """Return the value as ``load_yaml`` does, and the line of every field for messages about its content."""
    builder = _Builder(what=what, limits=DEFAULT_LIMITS, resolve=_strict, lines={})
    return builder.build(text), SourceLines(builder.lines or {})


_PACKAGE = b"PK\x03\x04"  # an app package is an archive


def load_dsl(text: str | bytes, *, what: str = "the DSL", limits: LoadLimits = DEFAULT_LIMITS) -> JsonObject:
    """Return the mapping that a DSL export holds.

    Raises:
        DslError: as ``load_yaml``, or the text is not a mapping.
    """
    if (text.encode("utf-8", "replace") if isinstance(text, str) else text).startswith(_PACKAGE):
        raise DslError(
            f"{what}: this is an app package (.ifpkg, the export of Dify 1.18 and newer), not a DSL.",
            hint="Export the app as YAML: the API still does, in the web page it is the other kind of export.",
        )
    value = _Builder(what=what, limits=limits, resolve=_yaml_1_1).build(text)
    if not isinstance(value, dict):
        raise DslError(f"{what}: line 1, column 1: expected a mapping with app and workflow or model_config.")
    return value


def dump_yaml(value: Any) -> str:
    """Return ``value`` as block style YAML, keys sorted, unicode kept, no aliases: as the platform writes it.

    Raises:
        DslError: the value is not made of JSON types.
    """
    try:
        text = _dumped(value, _FastDumper)
        return _dumped(value, _PlainDumper) if _needs_plain(text) else text
    except (yaml.YAMLError, TypeError, UnicodeError) as error:
        raise DslError(f"The value cannot be written as YAML: {error}") from error


def _needs_plain(text: str) -> bool:
    """Return whether libyaml had to escape emoji. PyYAML's own writer keeps them, but loses unusual line breaks."""
    return "\\U" in text and not any(mark in text for mark in ("\\N", "\\L", "\\P"))


def _dumped(value: Any, dumper: Any) -> str:
    text: str = yaml.dump(value, Dumper=dumper, sort_keys=True, allow_unicode=True, default_flow_style=False)
    return text


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


class _FastDumper(_DUMPER):  # type: ignore[misc]  # the base is chosen at import: libyaml or pure Python
    def ignore_aliases(self, data: object) -> bool:
        return True


@dataclass(slots=True)
class _Open:
    """A container that is being filled. ``weight`` counts its values, aliases written out."""

    value: Any
    is_mapping: bool
    anchor: str | None
    path: Path = ()
    key: str | None = None
    weight: int = 1


@dataclass(slots=True)
class _Builder:
    """Turns parser events into values. One builder reads one text."""

    what: str
    limits: LoadLimits
    resolve: Callable[[str], Any]
    lines: dict[Path, int] | None = None
    _open: list[_Open] = field(default_factory=list)
    _anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    _repeats: int = 0
    _documents: int = 0
    _result: Any = None

    def build(self, text: str | bytes) -> Any:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if len(data) > self.limits.size:
            raise DslError(f"{self.what}: larger than {self.limits.size} bytes; refused.")
        try:
            self._take_all(_PARSER(data.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise DslError(f"{self.what}: line {line}, column {column}: not valid UTF-8.") from error
        except yaml.MarkedYAMLError as error:
            raise self._fail(error.problem_mark, error.problem or "not valid YAML") from error
        except yaml.YAMLError as error:
            raise self._unmarked(data, error) from error
        return self._result

    def _take_all(self, parser: Any) -> None:
        """Take every event; the most frequent one of a fleet's exports, a scalar in a container, is taken here."""
        next_event, opened, resolve, has_lines = parser.get_event, self._open, self.resolve, self.lines is not None
        scalar, others = yaml.ScalarEvent, self._others()
        try:
            while (event := next_event()) is not None:
                kind = type(event)
                if kind is not scalar:
                    if kind in others:
                        others[kind](event)
                    continue
                if event.tag or event.anchor or has_lines or not opened:
                    self._scalar(event)
                    continue
                top, value = opened[-1], event.value
                if top.is_mapping and top.key is None:
                    if value == "<<" or value in top.value:
                        self._key(top, event)
                    else:
                        top.key = value
                    continue
                if event.implicit[0]:
                    value = resolve(value)
                if top.is_mapping:
                    top.value[top.key] = value
                    top.key = None
                else:
                    top.value.append(value)
                top.weight += 1
        finally:
            parser.dispose()

    def _others(self) -> Mapping[type, Callable[[Any], None]]:
        return {
            yaml.MappingStartEvent: self._enter,
            yaml.SequenceStartEvent: self._enter,
            yaml.MappingEndEvent: self._leave,
            yaml.SequenceEndEvent: self._leave,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._begin,
        }

    def _unmarked(self, data: bytes, error: yaml.YAMLError) -> DslError:
        position = getattr(error, "position", 0)
        before = data.decode("utf-8-sig", "replace")[: position if isinstance(position, int) else 0]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return DslError(f"{self.what}: line {line}, column {column}: a character that YAML does not allow.")

    def _fail(self, mark: Any, problem: str) -> DslError:
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return DslError(f"{self.what}: {place}{problem}.")

    def _begin(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise self._fail(event.start_mark, "a second document starts here; one is expected")

    def _scalar(self, event: Any) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and top.is_mapping and top.key is None:
            self._key(top, event)
            return
        value = event.value
        if event.tag:
            value = self._tagged(event)
        elif event.implicit[0]:
            value = self.resolve(value)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, 1, event)

    def _key(self, top: _Open, event: Any) -> None:
        key: str = event.value
        if key == "<<" and event.implicit[0]:
            raise self._fail(event.start_mark, "merge keys (<<) are not supported")
        if key in top.value:
            raise self._fail(event.start_mark, f"the key {key!r} is there twice")
        top.key = key
        if self.lines is not None:
            self.lines[(*top.path, key)] = event.start_mark.line + 1

    def _tagged(self, event: Any) -> Any:
        if event.tag in (_TAG + "str", "!"):
            return event.value
        kind = event.tag.removeprefix(_TAG)
        value = self.resolve(event.value)
        if kind in _TAGGED and type(value) in _TAGGED[kind]:
            return float(value) if kind == "float" else value
        raise self._fail(event.start_mark, f"the tag {event.tag} is not supported here")

    def _enter(self, event: Any) -> None:
        is_mapping = type(event) is yaml.MappingStartEvent
        if event.tag and event.tag not in ("!", _TAG + ("map" if is_mapping else "seq")):
            raise self._fail(event.start_mark, f"the tag {event.tag} is not supported here")
        opened = self._open
        if len(opened) >= self.limits.depth:
            raise self._fail(event.start_mark, f"nested deeper than {self.limits.depth} levels")
        if opened and opened[-1].key is None and opened[-1].is_mapping:
            raise self._fail(event.start_mark, "a key must be text")
        if event.anchor:
            self._anchors.pop(event.anchor, None)
        if self.lines is None:
            opened.append(_Open({} if is_mapping else [], is_mapping, event.anchor))
            return
        opened.append(_Open({} if is_mapping else [], is_mapping, event.anchor, self._path()))
        self.lines.setdefault(opened[-1].path, event.start_mark.line + 1)

    def _leave(self, event: Any) -> None:
        done = self._open.pop()
        if done.anchor:
            self._anchors[done.anchor] = (done.value, done.weight)
        self._add(done.value, done.weight, None)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise self._fail(event.start_mark, f"the alias *{event.anchor} has no anchor above, or holds itself")
        value, weight = self._anchors[event.anchor]
        self._repeats += weight
        if self._repeats > self.limits.repeats:
            raise self._fail(event.start_mark, f"aliases repeat more than {counted(self.limits.repeats, 'value')}")
        top = self._open[-1] if self._open else None
        if top and top.key is None and top.is_mapping:
            raise self._fail(event.start_mark, "a key must be text, not an alias")
        self._add(copy.deepcopy(value), weight, event)

    def _add(self, value: Any, weight: int, event: Any) -> None:
        """Put a value where it belongs; ``event`` says where it begins, ``None`` for what began before."""
        if not self._open:
            self._result = value
            return
        top = self._open[-1]
        if self.lines is not None and event is not None:
            self.lines.setdefault(self._path(), event.start_mark.line + 1)
        top.weight += weight
        if top.is_mapping:
            top.value[top.key] = value
            top.key = None
        else:
            top.value.append(value)

    def _path(self) -> Path:
        if not self._open:
            return ()
        top = self._open[-1]
        return (*top.path, top.key) if top.key is not None else (*top.path, len(top.value))


_TAGGED: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}


def _strict(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    return _finite(text, float(text)) if _FLOAT.fullmatch(text) else text


@lru_cache(maxsize=4096)
def _yaml_1_1(text: str) -> Any:
    """Resolve a plain scalar as PyYAML's safe loader does; dates, infinities and odd tags stay text.

    What exports are full of is told without the patterns of PyYAML.
    """
    if len(text) > _LONGEST_WORD and text[0].isalpha():
        return text
    if text in _WORDS_1_1:
        return _WORDS_1_1[text]
    if _PLAIN_NUMBER.fullmatch(text):
        return _finite(text, float(text)) if "." in text else _integer(text)
    for tag, pattern in Resolver.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return _constructed(tag.removeprefix(_TAG), text)
    return text


_WORDS_1_1: Mapping[str, Any] = {
    **dict.fromkeys(_NULLS),
    **{
        form: value
        for word, value in SafeConstructor.bool_values.items()
        for form in (word, word.capitalize(), word.upper())
    },
}
_LONGEST_WORD = max(map(len, _WORDS_1_1))
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def _constructed(kind: str, text: str) -> Any:
    node = yaml.ScalarNode(f"{_TAG}{kind}", text)
    match kind:
        case "int":
            try:
                return SafeConstructor().construct_yaml_int(node)
            except ValueError:
                return text
        case "float":
            return _finite(text, SafeConstructor().construct_yaml_float(node))
        case _:
            return text


def _integer(text: str) -> Any:
    """Return the number, or the text when it has more digits than Python converts (4300)."""
    try:
        return int(text)
    except ValueError:
        return text


def _finite(text: str, value: float) -> Any:
    return value if math.isfinite(value) else text

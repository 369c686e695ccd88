"""Cases: one JSON object a line. What is asked, what is expected of the answer, where it is from.

    {"id": "refund-1", "query": "Can I return it?", "inputs": {"tone": "formal"},
     "expect": [{"contains": "30 days"}, {"check": "number", "value": 30, "at": "result.days"}],
     "cluster": "conversation 7", "source": "run 5a7c…", "reference": "You can, within 30 days."}

A case without ``expect`` passes when the run succeeds with an answer that is not blank. ``{"NAME": value}`` is short
for the check NAME with its first parameter. Cases that hold a secret are refused, when they are written and when they
are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from difyops import atomic_file
from difyops.counting import counted
from difyops.dsl.canonical import canonical
from difyops.dsl.secret_places import found_in, found_in_text
from difyops.errors import Refused, UsageError
from difyops.evaluation.checks import fit
from difyops.secret_text import scrub
from difyops.setting_problems import BadSetting, Source
from difyops.setting_problems import Path as SettingPath
from difyops.settings import Fault, SettingType, read

_LARGEST = 64 * 1024 * 1024
_LONGEST_ID = 200
_EXAMPLE = '{"id": "one", "query": "Hello?", "expect": [{"contains": "hello"}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One check with its parameters; ``at`` is the place in the outputs that it looks at, blank for the answer."""

    check: str
    parameters: Mapping[str, Any]
    at: str = ""


def read_expectation(item: object) -> Expectation:
    """Read one check as a case has it.

    Raises:
        BadSetting: it is none.
    """
    if not isinstance(item, dict) or not item:
        raise BadSetting("a check is an object", '{"contains": "hello"}')
    rest = {key: value for key, value in item.items() if key not in ("check", "at")}
    name, at = item.get("check"), item.get("at", "")
    if "check" not in item:
        if len(rest) != 1:
            raise BadSetting("one check an object", '{"check": "number", "value": 3, "tolerance": 0.1}')
        ((name, value),) = rest.items()
        rest = {"": value}
    if not isinstance(name, str) or not isinstance(at, str):
        raise BadSetting("check and at must be texts")
    return Expectation(check=name, parameters=fit(name, rest), at=at)


def _id(value: object) -> str:
    if isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_ID:
        return value
    raise BadSetting(f"must be a text of 1 to {counted(_LONGEST_ID, 'character')}")


_EXPECTATION = SettingType(read_expectation, {"type": "object"})


@dataclass(frozen=True, slots=True)
class _Line:
    """A file of one line: all of its fields stand there."""

    number: int

    def at(self, path: SettingPath) -> int:
        return self.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. ``cluster``: cases of one conversation are not independent; blank stands alone. ``reference``: an
    answer that was given once, which judges may read.
    """

    id: Annotated[str, SettingType(_id)]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    expect: tuple[Annotated[Expectation, _EXPECTATION], ...] = ()
    cluster: Annotated[str, "cases of one conversation are not independent; blank stands alone"] = ""
    source: Annotated[str, "where it is from"] = ""
    reference: Annotated[str, "an answer that was given once, which judges may read"] = ""

    def faults(self) -> Iterator[Fault]:
        """Yield that nothing is asked."""
        if not self.inputs and not self.query:
            yield (), "a case asks something: query, or inputs"

    def as_record(self) -> dict[str, Any]:
        """Return the line of a file; what is blank is left out."""
        expect = [
            {"check": item.check, **item.parameters, **({"at": item.at} if item.at else {})} for item in self.expect
        ]
        record = {
            "id": self.id, "inputs": dict(self.inputs), "query": self.query, "expect": expect,
            "cluster": self.cluster, "source": self.source, "reference": self.reference,
        }  # fmt: skip
        return {name: value for name, value in record.items() if value not in ("", {}, [])}

    @property
    def hash(self) -> str:
        """Return what stands for what is asked and expected: a case that changed is another one."""
        record = self.as_record()
        return _hash({name: record.get(name) for name in ("inputs", "query", "expect", "reference")})

    def secret(self) -> str | None:
        """Return which kind of secret the case holds, ``None`` for none; never the secret."""
        record = self.as_record()
        for _, found in sorted(found_in(record).items(), key=str):
            return found[0].kind
        for text in _texts(record):
            if scrub(text) != text:
                return "known secret"
            if found := found_in_text(text):
                return found[0].kind
        return None


def hash_of(cases: Sequence[Case]) -> str:
    """Return what stands for a set of cases, whatever their order."""
    return _hash(sorted((case.id, case.hash) for case in cases))


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read a file of cases.

    Raises:
        UsageError: it cannot be read, or a line is no case; names file, line and field. Refused: a case holds a secret.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path} is larger than {_LARGEST // 1024 // 1024} MB.")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    found: dict[str, Case] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        case = read_case(line, str(path), number)
        if case.id in found:
            raise UsageError(f"{place}: id: {case.id!r} stands above already.")
        if kind := case.secret():
            raise Refused(
                f"{place}: the case {case.id!r} holds a secret ({kind}); it is not sent anywhere.",
                hint="Take it out of the case, and rotate it where it was real.",
            )
        found[case.id] = case
    if not found:
        raise UsageError(f"{path} holds no case.", hint=f"One JSON object a line: {_EXAMPLE}")
    return tuple(found.values())


def read_case(line: bytes, file: str, number: int = 1) -> Case:
    """Read one line of a file.

    Raises:
        UsageError: it is no case; names file, line and field.
    """
    source = Source(file=file, lines=_Line(number), error=UsageError, hint=_EXAMPLE)
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise source.raised((), f"this line is not JSON: {error}") from error
    return read(Case, body, source)


def write_cases(path: Path, cases: Sequence[Case], *, more: bool = False) -> None:
    """Write cases, readable by their owner only; ``more`` adds them to those that are there, a same id replacing.

    Raises:
        Refused: the file exists and ``more`` was not said. StoreError: it cannot be written.
    """
    kept: dict[str, Case] = {}
    if path.exists():
        if not more:
            raise Refused(f"{path} exists; it is not overwritten.", hint="--append adds to it, or another name.")
        kept = {case.id: case for case in read_cases(path)}
    kept |= {case.id: case for case in cases}
    lines = [json.dumps(case.as_record(), ensure_ascii=False) + "\n" for case in kept.values()]
    atomic_file.write(path, "".join(lines).encode("utf-8", "surrogatepass"), mode=atomic_file.PRIVATE)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _hash(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:32]

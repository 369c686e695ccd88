"""From YAML to a ``Runbook``, or to problems that name file, line and field. Nothing is run or resolved here."""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difyops.counting import counted
from difyops.dsl.load import load_yaml_with_lines
from difyops.dsl.model import DslError
from difyops.errors import UsageError
from difyops.runbook.fields import FieldReader, Problem
from difyops.runbook.graph import cycle
from difyops.runbook.model import INPUT_KINDS, Input, Runbook, Step
from difyops.runbook.parameters import Mismatch, Parameter
from difyops.runbook.parameters import read as read_value
from difyops.runbook.secrecy import find_secrets
from difyops.runbook.steps import read_step
from difyops.runbook.templates import has_names

MOST_STEPS = 500
_LARGEST = 512 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_FIELDS = {
    "runbook", "title", "why", "symptoms", "next", "owner", "escalation", "severity", "deadline", "parallel", "ping",
    "inputs", "steps",
}  # fmt: skip
_INPUT_FIELDS = {"type", "default", "help"}


class RunbookError(UsageError):
    """A runbook cannot be used; the message names file, line and field of the first problem and counts the others."""

    code = "runbook"


def load(path: Path) -> Runbook:
    """Read and check the runbook in ``path``.

    Raises:
        RunbookError: it cannot be read, or has problems (``lint`` lists them all).
    """
    return _sound(*lint(path), path)


def checked(content: bytes, path: Path) -> Runbook:
    """Check a runbook that was read already. Raises as ``load``."""
    return _sound(*parse(content, path), path)


def _sound(runbook: Runbook | None, problems: list[Problem], path: Path) -> Runbook:
    if runbook is None or problems:
        first = problems[0].text_with_place
        more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RunbookError(f"{first}{more}", hint=f"difyops runbook lint {path}")
    return runbook


def lint(path: Path) -> tuple[Runbook | None, list[Problem]]:
    """Return the runbook (``None`` when it is too broken to have one) and everything that is wrong with it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return None, [Problem(file=str(path), line=1, field="", text=f"cannot be read: {error.strerror}")]
    return parse(content, path)


def parse(content: bytes, path: Path) -> tuple[Runbook | None, list[Problem]]:
    """Read a runbook from bytes; ``path`` is what messages call it."""
    if len(content) > _LARGEST:
        return None, [Problem(file=str(path), line=1, field="", text="larger than a runbook can be (512 KB)")]
    try:
        body, lines = load_yaml_with_lines(content, what=path.name)
    except DslError as error:
        found = re.search(r"line (\d+)", error.message)
        said = error.message.removeprefix(f"{path.name}: ").rstrip(".")
        return None, [Problem(file=str(path), line=int(found[1]) if found else 1, field="", text=said)]
    reader = FieldReader(file=str(path), lines=lines)
    if not isinstance(body, dict):
        reader.add((), "a runbook is a mapping with runbook, title, why and steps")
        return None, reader.problems
    for place, text in find_secrets(body):
        reader.add(place, text)
    return _runbook(reader, body, path, hashlib.sha256(content).hexdigest()[:16]), reader.sorted


def _runbook(reader: FieldReader, body: Mapping[str, Any], path: Path, digest: str) -> Runbook | None:
    reader.known((), body, _FIELDS)
    name = reader.text((), body, "runbook", required=True)
    if name and (not _NAME.fullmatch(name) or (path.suffix in (".yaml", ".yml") and path.stem != name)):
        reader.add(("runbook",), f"{name!r} must be small letters, digits and dashes, and the name of the file")
    inputs = _inputs(reader, body.get("inputs"))
    steps = _steps(reader, body.get("steps"), inputs)
    runbook = Runbook(
        name=name,
        title=reader.text((), body, "title", required=True),
        why=reader.text((), body, "why", required=True),
        symptoms=reader.texts((), body, "symptoms"),
        next=reader.texts((), body, "next"),
        owner=reader.text((), body, "owner"),
        escalation=reader.text((), body, "escalation"),
        severity=reader.text((), body, "severity"),
        deadline=reader.duration((), body, "deadline", 600.0),
        parallel=reader.whole((), body, "parallel", 16, low=1, high=100),
        ping=reader.reference((), body, "ping"),
        inputs=inputs,
        steps=tuple(steps),
        path=path,
        digest=digest,
    )
    return runbook if name and steps else None


def _inputs(reader: FieldReader, body: Any) -> dict[str, Input]:
    if body is None:
        return {}
    if not isinstance(body, dict):
        reader.add(("inputs",), "expected a mapping of names")
        return {}
    return {str(name): _input(reader, str(name), item) for name, item in body.items()}


def _input(reader: FieldReader, name: str, body: Any) -> Input:
    place = ("inputs", name)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):  # inputs.from is no condition
        reader.add(place, f"{name!r} must be small letters, digits and underscores, and not a word such as if or from")
    if not isinstance(body, dict):
        body = {"default": body}
    reader.known(place, body, _INPUT_FIELDS)
    kind = reader.text(place, body, "type") or "text"
    if kind not in INPUT_KINDS:
        reader.add((*place, "type"), f"{kind!r} is not a type (known: {', '.join(INPUT_KINDS)})")
        kind = "text"
    default = body.get("default")
    if default is not None and not (kind == "reference" and default == ""):
        try:
            read_value(Parameter(name=name, kind=kind), default)
        except Mismatch as error:
            reader.add((*place, "default"), str(error))
    if has_names(default):
        reader.add((*place, "default"), "a default holds no references")
    return Input(name=name, kind=kind, default=default, help=reader.text(place, body, "help"))


def _steps(reader: FieldReader, body: Any, inputs: Mapping[str, Input]) -> list[Step]:
    if not isinstance(body, list) or not body:
        reader.add(("steps",), "expected a list of at least one step")
        return []
    if len(body) > MOST_STEPS:
        reader.add(("steps",), f"more than {counted(MOST_STEPS, 'step')}")
        return []
    found: list[Step] = []
    for number, item in enumerate(body):
        step = read_step(reader, ("steps", number), item, inputs)
        if step is None:
            continue
        if any(other.id == step.id for other in found):
            reader.add(("steps", number, "id"), f"the id {step.id!r} is there twice")
            continue
        found.append(step)
    _check_edges(reader, found, body)
    return found


def _check_edges(reader: FieldReader, steps: list[Step], body: list[Any]) -> None:
    ids = {step.id for step in steps}
    # Of an id that is there twice, the first one counts.
    places = {str(item.get("id")): ("steps", n) for n, item in reversed([*enumerate(body)]) if isinstance(item, dict)}
    for step in steps:
        for field, wanted in (
            ("needs", set(step.needs)),
            ("when", set(step.when.steps) if step.when else set()),
            ("with", set(step.uses)),
            ("verifies", set(step.verifies)),
        ):
            for missing in sorted(wanted - ids):
                reader.add((*places[step.id], field), f"there is no step {missing!r}")
    edges = {step.id: step.waits_for & ids for step in steps}
    while loop := cycle(edges):
        reader.add((*places[loop[0]], "needs"), f"steps wait for each other: {' -> '.join([*loop, loop[0]])}")
        edges = {name: before for name, before in edges.items() if name not in loop}

"""From YAML to a ``Runbook``, or to problems that name file, line and field. Nothing is run or resolved here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from difyops.counting import counted
from difyops.dsl.load import load_yaml_with_lines
from difyops.dsl.model import DslError
from difyops.errors import UsageError
from difyops.runbook.graph import cycle
from difyops.runbook.model import Input, Runbook, Step
from difyops.runbook.secrecy import find_secrets
from difyops.runbook.steps import read_step
from difyops.setting_problems import Problem, Source
from difyops.settings import Reader

MOST_STEPS = 500
_LARGEST = 512 * 1024


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
        said = re.sub(r"^line \d+, ", "", error.message.removeprefix(f"{path.name}: ")).rstrip(".")
        return None, [Problem(file=str(path), line=int(found[1]) if found else 1, field="", text=said)]
    reader = Reader(Source(file=str(path), lines=lines))
    if not isinstance(body, dict):
        reader.add((), "a runbook is a mapping with runbook, title, why and steps")
        return None, reader.problems
    for place, text in find_secrets(body):
        reader.add(place, text)
    return _runbook(reader, body, path, hashlib.sha256(content).hexdigest()[:16]), reader.sorted


def _runbook(reader: Reader, body: Mapping[str, Any], path: Path, digest: str) -> Runbook | None:
    values = reader.fields(Runbook, body, ())
    name = values.get("name", "")
    if name and path.suffix in (".yaml", ".yml") and path.stem != name:
        reader.add(("runbook",), f"{name!r} must be the name of the file")
    given, read = body.get("inputs"), values.get("inputs", {})
    # one that is wrong is there all the same
    inputs = {
        str(key): read.get(str(key)) or Input(name=str(key)) for key in (given if isinstance(given, dict) else ())
    }
    steps = _steps(reader, body.get("steps"), inputs)
    if not name or not steps:
        return None
    return Runbook(**{"title": "", "why": "", **values}, steps=tuple(steps), path=path, digest=digest)


def _steps(reader: Reader, body: Any, inputs: Mapping[str, Input]) -> list[Step]:
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


def _check_edges(reader: Reader, steps: list[Step], body: list[Any]) -> None:
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

"""Files of settings: read once, as YAML with the line of every field. JSON is YAML, too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

from difyops.dsl.load import DEFAULT_LIMITS, load_yaml_with_lines
from difyops.dsl.model import DslError
from difyops.errors import ConfigError, Refused, UsageError
from difyops.file_owner import open_once
from difyops.setting_problems import Source
from difyops.settings import read

T = TypeVar("T")
_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)  # JSON writes emoji so, YAML does not


def read_file(
    kind: type[T],
    path: Path,
    *,
    error: type[UsageError] = ConfigError,
    hint: str | None = None,
    may_run: bool = False,
) -> tuple[T, Source]:
    """Return what a file says, and where each field of it stands.

    Raises:
        UsageError: of class ``error``: it cannot be read, or something in it is wrong; names file, line and field.
    """
    body, source = load_file(path, error=error, hint=hint, may_run=may_run)
    return read(kind, body, source), source


def load_file(
    path: Path, *, error: type[UsageError] = ConfigError, hint: str | None = None, may_run: bool = False
) -> tuple[Any, Source]:
    """Return the plain value that a file holds, and its lines. ``may_run``: it may name programs, so it must be ours.

    Raises:
        UsageError: as ``read_file``. Refused: others can write it, and it may name programs.
    """
    try:
        content = _own_content(path) if may_run else _content(path)
        content = _PAIR.sub(lambda pair: str(json.loads(b'"%s"' % pair[0])).encode(), content)
        body, lines = load_yaml_with_lines(content, what=str(path))
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror or problem}.", hint=hint) from problem
    except DslError as problem:
        raise error(problem.message, hint=hint) from problem
    return body, Source(file=str(path), lines=lines, error=error, hint=hint)


def _content(path: Path) -> bytes:
    """Return a content, of one that is too large no more than shows it; ``/dev/stdin`` is as good as a file."""
    with path.open("rb") as file:
        return file.read(DEFAULT_LIMITS.size + 1)


def _own_content(path: Path) -> bytes:
    opened = open_once(path)
    if complaint := opened.complaint(strict=True):
        raise Refused(f"{path} says where secrets come from, but {complaint[0]}; refused.", hint=complaint[1])
    return opened.content

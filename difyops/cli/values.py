"""Values that options carry: JSON given inline or as ``@file``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from difyops.errors import UsageError

_EXAMPLE = """'{"text": "hello"}'"""


def json_object(text: str, option: str) -> dict[str, Any]:
    """Return the JSON object that an option gives, inline or as ``@file``.

    Raises:
        UsageError: the file cannot be read, or it is not a JSON object; names the place.
    """
    source = text
    if text.startswith("@"):
        try:
            source = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{option}: {text[1:]} cannot be read: {error}.") from error
    try:
        body = json.loads(source)
    except ValueError as error:
        raise UsageError(
            f"{option} is not JSON: {error}.", hint=f'Example: {option} \'{{"text": "hello"}}\''
        ) from error
    if not isinstance(body, dict):
        raise UsageError(f"{option} must be a JSON object.", hint=f'Example: {option} \'{{"text": "hello"}}\'')
    return body


def inputs_of(given: Sequence[str] | None) -> dict[str, Any]:
    """Return what ``--input`` gives: ``NAME=VALUE`` or ``@FILE`` with a JSON object, later ones winning.

    Raises:
        UsageError: neither, or the file cannot be read.
    """
    found: dict[str, Any] = {}
    for item in given or ():
        if item.startswith("@"):
            found |= json_object(item, "--input")
            continue
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise UsageError(f"--input {item!r} is not NAME=VALUE.", hint="Example: --input tone=formal")
        found[key] = value
    return found


def share(option: str, text: str) -> float:
    """Return the share that ``20%`` or ``0.2`` says.

    Raises:
        UsageError: it is none.
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 100:
        raise UsageError(f"{option} {text!r} is no share.", hint=f"{option} 20%")
    return value


def margin_of(text: str) -> float:
    """Return the share of the cases that ``--margin`` says may be lost.

    Raises:
        UsageError: it is none between 0 and 100 %.
    """
    found = share("--margin", text)
    if not 0 < found < 1:
        raise UsageError(f"--margin {text!r} is not between 0 and 100 %.", hint="--margin 2%")
    return found


@contextmanager
def as_given(app: str) -> Iterator[None]:
    """Say that the command line is wrong when what it gives does not fit the form of ``app``.

    Raises:
        UsageError: in the place of ``RunFailed`` of kind ``bad_input``; nothing was called.
    """
    from difyops.api.run_faults import BAD_INPUT, RunFailed

    try:
        yield
    except RunFailed as error:
        if error.kind != BAD_INPUT:
            raise
        hint = f"Give it with --input NAME=VALUE. The app's inputs: difyops app show {app!r}"
        raise UsageError(error.message, hint=hint) from error

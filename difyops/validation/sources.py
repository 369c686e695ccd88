"""Where answers come from: plain text, a chat answer or workflow run as JSON, a saved broadcast, lines of a batch.

Each becomes answers with an id; nothing is judged here. What a line or document cannot give is said as the code of a
failure, so that one bad line does not end a batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from difyops.validation.reading import strict
from difyops.validation.reading.model import RefusedText
from difyops.validation.verdict import EnforceOptions

_BROADCAST = "difyops.broadcast/v1"
_RUN = frozenset({"answer", "outputs", "target", "message_id", "workflow_run_id", "task_id"})
"""Members that only the result of a run has."""
_LINE_BYTES = 64 * 1024 * 1024
_LIMITS = EnforceOptions(max_chars=_LINE_BYTES, max_depth=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One answer to judge: its text, or the code of what is wrong with where it should be.

    ``id`` is the line's own, else the number of the line (from 1); ``line`` is that number in both cases.
    """

    id: object
    line: int
    text: str = ""
    error: str | None = None


def read_lines(stream: BinaryIO, limit: int = _LINE_BYTES) -> Iterator[bytes | None]:
    """Yield the lines of a stream in constant memory; ``None`` stands for one of more than ``limit`` bytes."""
    while line := stream.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(limit)) and not rest.endswith(b"\n"):
            pass
        yield None


def from_lines(lines: Iterable[bytes | str | None], *, field: str | None = None) -> Iterator[Given]:
    """Yield the answer of each line of a batch; blank lines are passed over.

    A line is a JSON string (the answer's text), or an object with ``answer`` and an optional ``id``; an object without
    any of that is the answer itself. The records of a saved broadcast and the results of runs (``outputs``) are
    understood, too. ``field`` names the output to take.
    """
    for number, line in enumerate(lines, 1):
        if line is None:
            yield Given(id=number, line=number, error="too_large")
        elif line.strip():
            given = _from_line(line, number, field)
            if given is not None:
                yield given


def from_document(document: object, *, field: str | None = None, number: int = 1) -> Given:
    """Return the answer in a document: a text, ``answer`` of a chat answer, ``outputs`` of a workflow run."""
    if isinstance(document, str):
        return Given(id=number, line=number, text=document)
    if not isinstance(document, dict):
        return Given(id=number, line=number, error="bad_line")
    ids = (document.get(key) for key in ("id", "target", "message_id", "workflow_run_id"))
    own = next((given for given in ids if given is not None), number)
    text = _text_in(document, field)
    if document.get("status") in ("failed", "refused", "stopped", "skipped") and (_RUN & document.keys() or text):
        return Given(id=own, line=number, error="no_answer")
    return Given(id=own, line=number, error="bad_line") if text is None else Given(id=own, line=number, text=text)


def _from_line(line: bytes | str, number: int, field: str | None) -> Given | None:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8") if isinstance(line, bytes) else line
        document = strict.loads(text, _LIMITS)
    except UnicodeDecodeError:
        return Given(id=number, line=number, error="not_text")
    except RefusedText as error:
        return Given(id=number, line=number, error=error.code)
    except ValueError:
        return Given(id=number, line=number, error="bad_line")
    if isinstance(document, dict) and document.get("format") == _BROADCAST:
        return None  # the head of a saved broadcast
    given = from_document(document, field=field, number=number)
    if given.error == "bad_line" and isinstance(document, dict) and not field and not _RUN & document.keys():
        return Given(id=number, line=number, text=text)  # the answer itself
    return given


def _text_in(document: dict[str, Any], field: str | None) -> str | None:
    if "answer" in document:
        return _as_text(document["answer"])
    data = document.get("data")
    outputs = document.get("outputs") or (data.get("outputs") if isinstance(data, dict) else None)
    if isinstance(outputs, dict) and outputs:
        return text_of_outputs(outputs, field)
    text = document.get("text")
    return text if isinstance(text, str) else None


def text_of_outputs(outputs: dict[str, Any], field: str | None = None) -> str | None:
    """Return what a workflow answered as one text: the field named, its only field, else all of them as JSON."""
    if field is not None:
        return _as_text(outputs[field]) if field in outputs else None
    if len(outputs) == 1:
        return _as_text(next(iter(outputs.values())))
    return _as_text(outputs)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Talk on stderr: log records as plain text or one JSON object a line, scrubbed of every known secret."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import sys
from datetime import UTC, datetime

from difyops.clock import iso
from difyops.render.safe import escaped, one_line
from difyops.secret_text import scrub

at_context: contextvars.ContextVar[str | None] = contextvars.ContextVar("at_context", default=None)
"""The context that a line of talk is about, where a command runs on several."""


def _message(record: logging.LogRecord) -> str:
    name = at_context.get()
    return f"{name}: {record.getMessage()}" if name else record.getMessage()


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return one_line(f"{record.levelname.lower()}: {_message(record)}")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        return as_json_line(record.levelname.lower(), record.name, _message(record), when=moment)


class _ToStderr(logging.Handler):
    """Writes to whatever stderr is at the moment; talk that nobody reads never stops the work."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(self.format(record) + "\n")


def handler(form: str) -> logging.Handler:
    """Return the stderr handler for ``text`` or ``json``."""
    stream = _ToStderr()
    stream.setFormatter(_Json() if form == "json" else _Text())
    return stream


def as_json_line(
    level: str, logger: str, message: str, *, hint: str | None = None, when: datetime | None = None
) -> str:
    """Return one record as one line of JSON: time, level, logger, message, and the hint where there is one."""
    body = {"time": iso(when or datetime.now(UTC)), "level": level, "logger": logger, "message": scrub(message)}
    if hint:
        body["hint"] = scrub(hint)
    return escaped(json.dumps(body, ensure_ascii=False))

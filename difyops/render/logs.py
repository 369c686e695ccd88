"""Talk on stderr: log records as plain text or one JSON object a line, scrubbed of every known secret."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from difyops.clock import iso
from difyops.secret_text import scrub


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return scrub(f"{record.levelname.lower()}: {record.getMessage()}")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        body = {
            "time": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        return json.dumps(body, ensure_ascii=False)


def handler(form: str) -> logging.Handler:
    """Return the stderr handler for ``text`` or ``json``."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_Json() if form == "json" else _Text())
    return stream

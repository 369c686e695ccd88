"""What lies in the folder of kept documents, opened with what is at hand."""

from __future__ import annotations

import json
from pathlib import Path

from difyops.sealing.access import access_of
from difyops.sealing.kept import opened_body


def kept_text(state: Path) -> str:
    """Return the text of everything that is kept."""
    found = [json.loads(path.read_text()) for path in sorted((state / "kept").glob("*.json"))]
    return "".join(json.dumps(opened_body(body, access_of({}, state))) for body in found)

"""Inputs for a smoke run that nobody thought of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.api.input_form import completed
from difyops.asking import Smoke
from difyops.scratch.effects import form as form_in

_TEXT = "difyops restore drill"


def smoke_of(document: Mapping[str, Any], given: Smoke | None) -> Smoke | None:
    """Return the smoke run: what is given, completed; ``None`` when a file is required that nobody gave."""
    form = form_in(document)
    wanted = given or Smoke(query=_TEXT)
    inputs = completed(form, wanted.inputs, _TEXT)
    if any(item.required and item.is_file and not inputs.get(item.name) for item in form):
        return None
    return Smoke(inputs=inputs, query=wanted.query, expect=wanted.expect)

"""The input form of an app, as ``GET /v1/parameters`` tells it, and the check of inputs against it.

The check comes before the call because the platform's own comes too late: a streaming run with invalid inputs stays
silent for five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.run_faults import BAD_INPUT, RunFailed
from difyops.api.shapes import whole

TEXT_KINDS = frozenset({"text-input", "paragraph"})
FILE_KINDS = frozenset({"file", "file-list"})
_FILLERS: Mapping[str, Any] = {"number": 1, "checkbox": False}
_SWITCH_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InputField:
    """One field of an app's input form. ``kind``: text-input, paragraph, select, number, checkbox, file, file-list."""

    name: str
    kind: str
    required: bool = False
    options: tuple[str, ...] = ()
    max_length: int | None = None
    default: Any = None

    @property
    def is_text(self) -> bool:
        """Say whether a question fits in."""
        return self.kind in TEXT_KINDS

    @property
    def is_file(self) -> bool:
        """Say whether it takes files."""
        return self.kind in FILE_KINDS


def form_of(body: Any) -> tuple[InputField, ...]:
    """Read the answer of ``GET /v1/parameters``; unknown rows are left out."""
    rows = body.get("user_input_form") if isinstance(body, dict) else None
    found = rows if isinstance(rows, list) else []
    return tuple(_field(row) for row in found if isinstance(row, dict) and row)


def check_inputs(form: tuple[InputField, ...], inputs: Mapping[str, Any]) -> None:
    """Check inputs against an app's form before the call.

    Raises:
        RunFailed: of kind ``bad_input``, naming the field.
    """
    for item in form:
        value = inputs.get(item.name)
        if value in (None, ""):
            if item.required and item.default in (None, ""):
                raise RunFailed(f"Input {item.name!r} is required.", kind=BAD_INPUT)
            continue
        if item.options and value not in item.options:
            raise RunFailed(f"Input {item.name!r} must be one of: {', '.join(item.options)}.", kind=BAD_INPUT)
        if item.max_length and isinstance(value, str) and len(value) > item.max_length:
            raise RunFailed(f"Input {item.name!r} is longer than {item.max_length} characters.", kind=BAD_INPUT)
        wanted = _wanted(item, value)
        if wanted is not None:
            raise RunFailed(f"Input {item.name!r} must be {wanted}.", kind=BAD_INPUT)
    unknown = sorted(set(inputs) - {item.name for item in form})
    if unknown:
        known = ", ".join(item.name for item in form) or "none"
        raise RunFailed(f"The app has no input {unknown[0]!r} (it has: {known}).", kind=BAD_INPUT)


def completed(form: tuple[InputField, ...], given: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return ``given`` with a value for every required field of the form that has none; files are not made up."""
    found = dict(given)
    for item in form:
        if not item.required or found.get(item.name) not in (None, "") or item.kind.startswith("file"):
            continue
        made_up = item.options[0] if item.options else _FILLERS.get(item.kind, text or "ping")
        filler = made_up if item.default in (None, "") else item.default
        found[item.name] = filler[: item.max_length] if isinstance(filler, str) and item.max_length else filler
    return found


def _field(row: Mapping[str, Any]) -> InputField:
    kind, body = next(iter(row.items()))
    body = body if isinstance(body, dict) else {}
    options = body.get("options")
    return InputField(
        name=str(body.get("variable") or ""),
        kind=str(body.get("type") or kind),
        required=bool(body.get("required")),
        options=tuple(str(item) for item in options) if isinstance(options, list) else (),
        max_length=whole(body.get("max_length")),
        default=body.get("default"),
    )


def _wanted(item: InputField, value: Any) -> str | None:
    """Return what the server would want instead of a value of this type, ``None`` when it takes it."""
    if item.is_text and not isinstance(value, str):
        return "text"
    if item.kind == "number" and not _is_number(value):
        return "a number"
    if item.kind == "checkbox" and str(value).strip().lower() not in _SWITCH_WORDS:
        return "true or false"
    if item.is_file and not isinstance(value, Mapping | list):
        return "a file"
    return None


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True

"""The question as one app wants it: a query for the chat modes, a named or the only fitting input for the others.

Pure: a form and a target in, what to send out. The check against the form is made here, before any run is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.api.input_form import InputField, check_inputs
from difyops.api.run_faults import BAD_INPUT, RunFailed
from difyops.broadcast.plan import Attachment, Target

_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_WITHOUT_QUERY = frozenset({"workflow", "completion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What one app is sent.

    ``placed`` says into which input each file goes (``None``: beside the question); ``unused`` names inputs that the
    app does not have.
    """

    query: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    placed: tuple[tuple[InputField | None, Attachment], ...] = ()
    unused: tuple[str, ...] = ()


def mapped(target: Target, form: Sequence[InputField], question: str, attachments: Sequence[Attachment] = ()) -> Mapped:
    """Fit the question, the target's inputs and the files into the app's form.

    Inputs that the app does not have are left out and named in ``unused``: one command asks many different apps.

    Raises:
        RunFailed: of kind ``bad_input``: no input takes the question, or a value does not fit; names the field.
    """
    fields = {item.name: item for item in form}
    inputs = {key: _typed(fields[key], value) for key, value in target.inputs.items() if key in fields}
    query = question
    if target.app.mode in _WITHOUT_QUERY and (question or target.question is None):
        taker = _taker(target, form, inputs)
        if taker is not None:
            inputs[taker] = question
            query = ""
    placed = tuple((_place(target, form, item), item) for item in attachments)
    _check(form, inputs, placed)
    return Mapped(
        query=query,
        inputs=inputs,
        placed=placed,
        unused=tuple(sorted(set(target.inputs) - set(fields))),
    )


def _typed(item: InputField, value: Any) -> Any:
    """Turn text from a command line into what the field holds; what cannot be turned is left for the check."""
    if not isinstance(value, str):
        return value
    if item.kind == "number":
        try:
            return int(value) if value.lstrip("+-").isdigit() else float(value)
        except ValueError:
            return value
    return _SWITCH.get(value.lower(), value) if item.kind == "checkbox" else value


def _taker(target: Target, form: Sequence[InputField], given: Mapping[str, Any]) -> str | None:
    """Return the input that takes the question; ``None`` for a completion app that takes a bare query."""
    wanted = target.question_as
    if wanted is not None:
        if wanted in {item.name for item in form}:
            return wanted
        raise _unfit(f"The app has no input {wanted!r} for the question", form)
    free = [item for item in form if item.is_text and item.name not in given]
    required = [item for item in free if item.required]
    for candidates in (required, free):
        if len(candidates) == 1:
            return candidates[0].name
    if target.app.mode == "completion":
        return "query" if any(item.name == "query" for item in free) else None
    if not free:
        raise _unfit("The app has no text input that could take the question", form)
    raise _unfit("Several inputs could take the question", form, hint="Name one: --question-as NAME.")


def _place(target: Target, form: Sequence[InputField], attachment: Attachment) -> InputField | None:
    fields = [item for item in form if item.is_file]
    if attachment.into is not None:
        named = next((item for item in fields if item.name == attachment.into), None)
        if named is None:
            raise _unfit(f"The app has no file input {attachment.into!r}", form)
        return named
    if len(fields) == 1:
        return fields[0]
    if target.app.mode == "workflow":
        raise _unfit("No single file input takes the file", form, hint="Name one: --file NAME=PATH.")
    return None


def _check(
    form: Sequence[InputField], inputs: Mapping[str, Any], placed: Sequence[tuple[InputField | None, Attachment]]
) -> None:
    files = {item.name: {"name": attachment.name} for item, attachment in placed if item is not None}
    singles = [item.name for item, _ in placed if item is not None and item.kind == "file"]
    twice = next((name for name in singles if singles.count(name) > 1), None)
    if twice is not None:
        raise RunFailed(f"Input {twice!r} takes one file.", kind=BAD_INPUT)
    check_inputs(tuple(form), {**inputs, **files})


def _unfit(problem: str, form: Sequence[InputField], hint: str | None = None) -> RunFailed:
    has = ", ".join(f"{item.name} ({item.kind})" for item in form) or "none"
    return RunFailed(f"{problem} (it has: {has}).", kind=BAD_INPUT, hint=hint)

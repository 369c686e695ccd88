"""The inputs of a run: given ones over defaults, read as their types, and no secret among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difyops.errors import UsageError
from difyops.runbook.model import Runbook
from difyops.runbook.parameters import Parameter, read
from difyops.runbook.secrecy import find_secrets
from difyops.setting_problems import BadSetting


def inputs_of(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all inputs with their defaults, read as their types.

    Raises:
        UsageError: one is missing, unknown, of the wrong type, or looks like a secret.
    """
    unknown = sorted(set(given) - set(runbook.inputs))
    if unknown:
        known = ", ".join(runbook.inputs) or "none"
        raise UsageError(f"{runbook.name} has no input {unknown[0]!r} (it has: {known}).")
    found: dict[str, Any] = {}
    for item in runbook.inputs.values():
        value = given.get(item.name, item.default)
        if value is None:
            raise UsageError(
                f"{runbook.name} needs the input {item.name!r}.", hint=f"--set {item.name}=...  {item.help}".strip()
            )
        try:
            parameter = Parameter(name=item.name, kind=item.kind, optional=item.kind == "reference")
            # Durations stay as they were written: a text that goes on into a parameter is read there.
            found[item.name] = value if item.kind == "duration" and read(parameter, value) else read(parameter, value)
        except BadSetting as error:
            raise UsageError(f"Input {item.name!r}: {error}.") from error
    _refuse_secrets(found)
    return found


def _refuse_secrets(inputs: Mapping[str, Any]) -> None:
    """Inputs are evidence: they are kept, shown and reported.

    Raises:
        UsageError: one looks like a secret; it is not repeated.
    """
    for place, text in find_secrets(dict(inputs), ("inputs",)):
        raise UsageError(f"Input {place[1]!r}: {text}.", hint="Inputs are kept in the evidence of the run.")

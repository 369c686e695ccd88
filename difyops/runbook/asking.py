"""Asking an app something through its own API, as checks do: with one of its keys, its required inputs filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.model import App
from difyops.api.service import Answer, InputField, Question, Service, app_key, check_inputs
from difyops.runbook.scene import Scene

_FILLERS: Mapping[str, Any] = {"number": 1, "checkbox": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to ask: inputs by name, a query for the chat modes; ``silence`` is seconds without a line."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = "ping"
    user: str = "difyops-runbook"
    silence: float = 30.0


async def ask(scene: Scene, app: App, what: Ask) -> Answer:
    """Run ``app`` once and return its answer. Required inputs that were not given are filled with the query, the
    first choice, or 1.

    Raises:
        CredentialError: the app has no key. RunFailed, TimedOut, Forbidden, NotAuthenticated: see ``Service.run``.
    """
    instance = await scene.instance()
    service = Service(instance.service_transport, await app_key(instance.console, app.id), app.mode)
    form = await service.form()
    inputs = completed(form, what.inputs, what.query)
    # A stream with inputs that do not fit stays silent for minutes on older servers: they are looked at first.
    check_inputs(form, inputs)
    question = Question(inputs=inputs, query=what.query, user=what.user)
    return await service.run(question, silence=what.silence)


def completed(form: tuple[InputField, ...], given: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return ``given`` with a value for every required field of the form that has none; files are not made up."""
    found = dict(given)
    for item in form:
        if not item.required or found.get(item.name) not in (None, "") or item.kind.startswith("file"):
            continue
        default = item.default if item.default not in (None, "") else _FILLERS.get(item.kind, text or "ping")
        filler = item.options[0] if item.options else default
        found[item.name] = filler[: item.max_length] if isinstance(filler, str) and item.max_length else filler
    return found

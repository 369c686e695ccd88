"""Asking an app something through its own API, as checks do: with one of its keys, its required inputs filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.input_form import completed
from difyops.api.model import App
from difyops.api.service import Answer, Question, Service, app_key, check_inputs
from difyops.runbook.scene import Scene


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

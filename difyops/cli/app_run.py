"""Running one app once: the part of ``app run`` that waits."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from difyops.api.model import AGENT_MODE
from difyops.api.run_answer import OnDelta
from difyops.api.run_transport import run_transport
from difyops.api.service import Answer, Question, Service, app_key, check_inputs
from difyops.cli.session import Session
from difyops.cli.values import as_given
from difyops.errors import UsageError
from difyops.targets import pick

_ASKED = frozenset({"chat", "agent-chat", "advanced-chat", AGENT_MODE})


async def run_once(
    session: Session, selector: str, query: str, inputs: Mapping[str, Any], on_delta: OnDelta | None = None
) -> Answer:
    """Run the app named by ``selector`` and return its answer; its inputs are checked before the call.

    Raises:
        UsageError: there is no question for an app that is asked one, or the inputs do not fit the app's form.
        SelectorError. CredentialError: it has no key.
        RunFailed: the app, its provider or its limits said no.
    """
    async with session.instance() as instance:
        app = pick([item async for item in instance.console.apps()], selector)
        if app.mode in _ASKED and not query.strip():
            raise UsageError(
                f"{app.name} is asked something, and there is no question.",
                hint=f'difyops app run {shlex.quote(app.name)} "QUESTION"',
            )
        key = await app_key(instance.console, app.id)
        transport = run_transport(instance.context, limit=2)
        try:
            service = Service(transport, key, app.mode, name=app.name)
            form = await service.form()
            with as_given(app.name):
                check_inputs(form, inputs)
            return await service.run(Question(inputs=inputs, query=query), on_delta=on_delta)
        finally:
            await transport.close()

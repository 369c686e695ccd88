"""A test run of the draft before it goes live: it must succeed, and give something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.api.sse import ServerEvent
from difyops.errors import DifyopsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """Inputs of the run, the question for chatflows, and text that the answer must contain."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = "ping"
    expect: str | None = None


class SmokeFailed(DifyopsError):
    """The draft did not pass its test run; nothing went live."""

    code = "smoke_failed"


async def run_smoke(instance: Instance, app_id: str, smoke: Smoke) -> str:
    """Run the draft and return its answer as text.

    Raises:
        SmokeFailed: it failed, gave nothing (a cut edge "succeeds" with empty outputs), or not what is expected.
    """
    app = await instance.console.app(app_id)
    final: ServerEvent | None = None
    answer: list[str] = []
    async with instance.console.draft_run(app, smoke.inputs, smoke.query) as events:
        async for event in events:
            if event.name == "message":
                answer.append(str(event.body.get("answer", "")))
            elif event.name == "error":
                raise SmokeFailed(f"The test run failed: {event.body.get('message')}.")
            elif event.name == "workflow_finished":
                final = event
                break
    if final is None:
        raise SmokeFailed("The test run ended without a result.")
    if final.data.get("status") != "succeeded":
        raise SmokeFailed(
            f"The test run ended as {final.data.get('status')}: {final.data.get('error') or 'no reason'}."
        )
    text = "".join(answer) or _text(final.data.get("outputs"))
    if not text:
        raise SmokeFailed("The test run succeeded with empty outputs: a cut edge looks like this.")
    if smoke.expect is not None and smoke.expect not in text:
        raise SmokeFailed(f"The test run's answer does not contain {smoke.expect!r}.")
    return text


def _text(outputs: Any) -> str:
    if not isinstance(outputs, dict):
        return ""
    return "\n".join(f"{key}: {value}" for key, value in outputs.items() if value not in (None, "", [], {}))

"""The smoke run of a scratch app: its draft where it has one, else its API with a key that goes with the app."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.api.keys import Keys
from difyops.api.model import App
from difyops.api.service import Question, Service
from difyops.snapshot.smoke import Smoke, SmokeFailed, run_smoke

_SILENCE = 60.0


async def ask(instance: Instance, app_id: str, smoke: Smoke) -> None:
    """Run the app once; it must succeed and give something.

    Raises:
        SmokeFailed: it gave nothing, or not what is expected. DifyopsError: it failed.
    """
    app = await instance.console.app(app_id)
    if app.has_workflow:
        await run_smoke(instance, app_id, smoke)
        return
    await _ask_by_key(instance, app, smoke)


async def _ask_by_key(instance: Instance, app: App, smoke: Smoke) -> None:
    key = await Keys.of_app(instance.console, app.id).create()
    await instance.console.set_api(app.id, enabled=True)
    service = Service(instance.service_transport, key.token, app.mode)
    query = "" if app.mode == "completion" else smoke.query
    question = Question(inputs=dict(smoke.inputs), query=query, user="difyops-drill")
    answer = await service.run(question, silence=_SILENCE)
    if not answer.text.strip():
        raise SmokeFailed("The run succeeded with an empty answer.")
    if smoke.expect is not None and smoke.expect not in answer.text:
        raise SmokeFailed(f"The answer does not contain {smoke.expect!r}.")

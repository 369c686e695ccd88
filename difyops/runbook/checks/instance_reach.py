"""``instance.reach``: does a Dify console answer at the context's address, and which version is it?"""

from __future__ import annotations

from difyops.errors import ServerFault, Unreachable
from difyops.runbook.parameters import Duration
from difyops.runbook.reaching import is_console, setup_page
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value
from difyops.runbook.scene import Scene


async def check(scene: Scene, *, patience: Duration = 10.0) -> Result:
    """Ask for the one page that needs no login. Nobody there, or a server's fault, is a failure; a refusal by something
    in front of the console, or a page that is none of Dify's, is inconclusive.
    """
    if scene.context is None:
        return Inconclusive(text="no instance is configured", hint="difyops context add")
    try:
        answer = await setup_page(scene, scene.context, patience)
    except (Unreachable, ServerFault) as error:
        return Fail(text=error.message, hint=error.hint)
    if not is_console(answer):
        return Inconclusive(text=f"something answers at {scene.context.url}, but not a Dify console")
    version = answer.headers.get("x-version") or "an unknown version"
    return Pass(text=f"{scene.context.url} answers as {version}", values=(Value(name="version", value=version),))

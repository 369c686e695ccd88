"""``instance.reach``: does a Dify console answer at the address, which version is it, and is /v1 there?"""

from __future__ import annotations

from difyops.errors import ServerFault, Unreachable
from difyops.runbook.parameters import Duration
from difyops.runbook.reaching import is_console, lacks_service, setup_page
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn


async def check(resources: Resources, *, patience: Duration = 10.0) -> Result:
    """Ask for the one page that needs no login. Nobody there, or a server's fault, is a failure; a refusal by something
    in front of the console, or a page that is none of Dify's, is inconclusive.
    A console without the service API (``/v1``) is a warning.
    """
    if resources.context is None:
        return Inconclusive(text="no instance is configured", hint="difyops context add NAME --url https://...")
    try:
        answer = await setup_page(resources, resources.context, patience)
    except (Unreachable, ServerFault) as error:
        return Fail(text=error.message, hint=error.hint)
    if not is_console(answer):
        return Inconclusive(text=f"something answers at {resources.context.url}, but not a Dify console")
    version = answer.headers.get("x-version") or "an unknown version"
    if await lacks_service(resources, resources.context, patience):
        return Warn(
            text=f"{resources.context.url} answers as {version}, and no service API (/v1): apps cannot be asked",
            hint="If another host serves /v1, set api_url in the context: difyops context check",
            values=(Value(name="version", value=version),),
        )
    return Pass(text=f"{resources.context.url} answers as {version}", values=(Value(name="version", value=version),))

"""``instance.login``: do our credentials work, and may they do what difyops does?"""

from __future__ import annotations

from difyops.errors import AuthError, ConfigError, CredentialError
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value

_ENOUGH = ("owner", "admin", "editor")


async def check(resources: Resources, *, roles: list[str] | None = None) -> Result:
    """Log in and name account, role and workspace. The role must be one of ``roles`` (owner, admin or editor).

    Refused or missing credentials fail; a server that cannot carry a login out says nothing about them.
    """
    if resources.context is None:
        return Inconclusive(text="no instance is configured", hint="difyops context add NAME --url https://...")
    try:
        info = await (await resources.instance()).workspace.identify()
    except (AuthError, ConfigError, CredentialError) as error:
        return Fail(text=error.message, hint=error.hint)
    text = f"{info.account}, {info.role or 'role unknown'} of {info.workspace_name} ({info.workspace_id})"
    values = (Value(name="role", value=info.role),)
    if info.role not in (roles or _ENOUGH):
        return Fail(text=text, values=values, hint="Snapshots with secrets kept need an editor or above.")
    return Pass(text=text, values=values)

"""``context``: does this run know which instance it is about, and can it get at the credentials?"""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result


async def check(resources: Resources, *, references: bool = True) -> Result:
    """Name the context and where it comes from. ``references`` resolves its admin key and password, too: what cannot be
    resolved is inconclusive; nothing of them is shown.
    """
    context = resources.context
    if context is None:
        error = resources.trouble
        return Fail(
            text=error.message if error else "no instance is configured",
            hint=(error.hint if error else None) or "difyops context add NAME --url https://...",
        )
    for reference in (context.admin_key, context.password) if references else ():
        if reference:
            await resources.secret(reference)
    return Pass(text=f"{context.name}: {context.url} ({context.source})")

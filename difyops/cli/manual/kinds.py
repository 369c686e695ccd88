"""Which kinds of JSON a command prints: by their names, and by a short list where a name does not say it."""

from __future__ import annotations

from collections.abc import Collection

ELSEWHERE: dict[str, tuple[str, ...]] = {
    "changes.ended": ("changes finish", "changes undo"),
    "cost.budget": ("cost budget status", "cost budget check"),
    "cost.prices": ("cost prices list",),
    "cost.tier": ("cost advise",),
    "drill.plan": ("drill run",),
    "eval.plan": ("eval run",),
    "plugin.plan": ("plugin upgrade",),
    "runbook.runs": ("runbook list", "runbook report"),
    "runbook.tools": ("runbook show",),
    "secret.plan": ("secret rotate", "secret retire"),
    "secret.steps": ("secret history",),
    "webhook.event": ("webhook show",),
    "webhook.message": ("webhook show",),
    "webhook.messages": ("webhook list",),
    "webhook.rules": ("webhook check",),
    "webhook.run": ("webhook show",),
}
OF_MANY = frozenset({"error", "fleet"})  # whatever fails; whatever runs once per context


def commands_of(kind: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the commands that print a kind: those listed, or the one whose words its name begins with."""
    if kind in ELSEWHERE:
        return ELSEWHERE[kind]
    words = kind.split(".")
    for length in range(len(words), 0, -1):
        if (name := " ".join(words[:length])) in names:
            return (name,)
    return ()

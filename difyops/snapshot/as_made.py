"""Whether a half-made app is still what the restore made of it: somebody may have found it, and work in it.

What was made is read right after the app was created and held privately. Only a draft that runs what was sent is taken
for ours, and from then on only while it is the same to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api.agents import Agents
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.changes import Change
from difyops.dsl.diff import diff
from difyops.dsl.secrets import redact
from difyops.publishing.content import Content, draft_content
from difyops.snapshot.reading import config_of

JsonObject = dict[str, Any]
MADE = "made"
_GIVEN = (
    ("prompt", "system_prompt"), ("tools", "dify_tools"), ("tools", "cli_tools"), ("knowledge", "sets"),
    ("env", "variables"), ("env", "secret_refs"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AsMade:
    """What one restore made, held for its change; ``sent``: the document that it was made of."""

    instance: Instance
    change: Change
    sent: JsonObject

    async def note(self, app: App) -> None:
        """Hold what was made, unless that was done; what runs something else than was sent is somebody's already."""
        if self.change.kept(MADE) is not None:
            return
        now = await self.now(app)
        if now is not None and self._runs_what_was_sent(app, now.document):
            self.change.keep(MADE, now.as_kept())

    async def is_untouched(self, app: App) -> bool:
        """Say whether draft, config or soul are what was made; a version that somebody published is another matter."""
        now, made = await self.now(app), self.change.kept(MADE)
        if now is None:
            return True
        if made is not None:
            return now.is_same(Content.read(made)) if app.has_workflow else now.document == made["document"]
        return self._runs_what_was_sent(app, now.document)

    async def now(self, app: App) -> Content | None:
        """Return the draft of a workflow or an agent, or the config of the other modes."""
        if app.has_workflow:
            return await draft_content(self.instance.console, app.id)
        if app.is_agent:
            return Content(document={"agent_soul": (await Agents(self.instance.console).state(app)).draft.soul})
        return Content(document=config_of(await self.instance.console.app(app.id)))

    def _runs_what_was_sent(self, app: App, now: JsonObject) -> bool:
        if app.is_agent:
            return _is_blank(now["agent_soul"])  # it is created empty, and gets its soul by our first write
        return not diff(redact(now).document, redact(self.sent).document)


def _is_blank(soul: Mapping[str, Any]) -> bool:
    """Say whether nobody gave an agent anything yet: no model, no prompt, no tool, no variable."""
    return not soul.get("model") and not any((soul.get(part) or {}).get(name) for part, name in _GIVEN)

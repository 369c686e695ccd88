"""The console's calls for plugins: which are installed, which is the newest, upgrading, and how the task stands.

No field anywhere tells which app uses a plugin; and an upgrade is the only way to another version (and back).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api import answers
from difyops.api.console import Console
from difyops.api.paths import part
from difyops.errors import NotFound, NotSupported, RequestRejected

_PLUGIN = "/workspaces/current/plugin"
_ENDS = {"success": True, "failed": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class DifyPlugin:
    """An installed plugin. ``id`` is ``org/name``, ``identifier`` ``org/name:version@checksum``.

    ``source``: marketplace, github, package or remote. ``meta`` is what the source needs to be named again.
    """

    id: str
    identifier: str
    version: str
    source: str
    category: str
    meta: dict[str, Any]

    @classmethod
    def of(cls, row: dict[str, Any]) -> DifyPlugin:
        """Read a row of the plugin list."""
        declaration, meta = row.get("declaration"), row.get("meta")
        kind = declaration.get("category") if isinstance(declaration, dict) else None
        return cls(
            id=str(row.get("plugin_id")),
            identifier=str(row.get("plugin_unique_identifier") or ""),
            version=str(row.get("version") or ""),
            source=str(row.get("source") or ""),
            category=str(kind or ""),
            meta=dict(meta) if isinstance(meta, dict) else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The newest version that the marketplace has; ``status`` is active or deleted."""

    version: str
    identifier: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An installation under way: ``None`` in ``ok`` while it runs."""

    id: str | None
    ok: bool | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class PluginCalls:
    """The plugin calls of one instance."""

    console: Console

    async def newest(self, ids: Sequence[str]) -> dict[str, Newest | None]:
        """Return the newest version of each plugin; ``None`` where the server does not know (no marketplace).

        Raises:
            NotSupported: the server has no such call (before 1.3).
        """
        body = {"plugin_ids": list(ids)}
        try:
            answer = await self.console.send(
                "POST", f"{_PLUGIN}/list/latest-versions", body, doing="ask for the newest versions",
                shape=answers.NEWEST_PLUGINS,
            )  # fmt: skip
        except NotFound as error:
            raise NotSupported(
                "This server does not tell the newest versions of plugins (1.3 and newer do)."
            ) from error
        return {name: _newest(answer["versions"].get(name)) for name in ids}

    async def fetch_package(self, identifier: str) -> bool:
        """Let the server hold a package, and say whether it does: what is held can be installed again."""
        for path in ("marketplace/pkg", "fetch-manifest"):
            try:
                await self.console.get(
                    f"{_PLUGIN}/{path}", doing="fetch the package", plugin_unique_identifier=identifier
                )
            except RequestRejected:
                continue
            return True
        return False

    async def upgrade(self, plugin: DifyPlugin, new: str) -> Task:
        """Ask for another version in place of the installed one; the answer comes before it is done.

        Raises:
            RequestRejected: no marketplace, or no such package. NotSupported: a plugin that was uploaded as a file.
        """
        body: dict[str, Any] = {
            "original_plugin_unique_identifier": plugin.identifier,
            "new_plugin_unique_identifier": new,
        }
        if plugin.source == "github":
            known = ("repo", "version", "package")
            if not all(plugin.meta.get(name) for name in known):
                raise NotSupported(f"The server does not tell from which repository {plugin.id} is.")
            body |= {name: plugin.meta[name] for name in known}
        elif plugin.source != "marketplace":
            raise NotSupported(
                f"{plugin.id} was installed from a {plugin.source or 'file'}; only plugins of the marketplace and of "
                "GitHub can be upgraded by a call.",
                hint="Upload the new package in the web page.",
            )
        path = f"{_PLUGIN}/upgrade/{plugin.source}"
        answer = await self.console.send("POST", path, body, doing="upgrade the plugin", shape=answers.PLUGIN_TASK)
        done = bool(answer.get("all_installed"))
        return Task(id=str(answer.get("task_id") or "") or None, ok=True if done else None)

    async def task(self, task_id: str) -> Task:
        """Return how an installation stands. One that the server no longer knows is told as running."""
        try:
            body = await self.console.mapping(
                f"{_PLUGIN}/tasks/{part(task_id)}", doing="look at the installation", shape=answers.PLUGIN_TASK_STATE
            )
        except RequestRejected:
            return Task(id=task_id, ok=None, message="the server does not know the task")
        task = body["task"]
        said = [str(item.get("message") or "") for item in task.get("plugins") or () if isinstance(item, dict)]
        return Task(id=task_id, ok=_ENDS.get(str(task["status"])), message="; ".join(text for text in said if text))


def _newest(row: Any) -> Newest | None:
    if not isinstance(row, dict) or not row.get("unique_identifier"):
        return None
    return Newest(
        version=str(row.get("version") or ""),
        identifier=str(row["unique_identifier"]),
        status=str(row.get("status") or "active"),
    )

"""The plugin daemon's book: what is installed, what the marketplace has, installations under way. No HTTP here.

As recorded: one installed plugin, no marketplace. ``offer`` opens a marketplace. An upgrade takes the installed row
over and touches nothing else: workflows go on naming the former version.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from difyops.emulator import shapes
from difyops.emulator.shapes import JsonDict


def identifier(plugin_id: str, version: str) -> str:
    """Return the identifier that a made-up package has."""
    return f"{plugin_id}:{version}@{hashlib.sha256(f'{plugin_id} {version}'.encode()).hexdigest()}"


@dataclass(slots=True, kw_only=True)
class Installation:
    """An installation under way; it ends after ``polls`` looks, well or badly."""

    id: str
    old: str
    new: str
    polls: int
    status: str = "running"


@dataclass(slots=True, kw_only=True)
class PluginDaemon:
    """``rows``: the plugin list. ``newest``: the marketplace's by plugin id; ``packages``: those that can be had.

    ``breaks``: new ones that do not install; ``polls``: how many looks an installation takes.
    """

    new_id: Callable[[], str]
    rows: list[JsonDict] = field(default_factory=list)
    newest: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    tasks: dict[str, Installation] = field(default_factory=dict)
    polls: int = 1

    def installed(self) -> list[JsonDict]:
        """Return the rows of the plugin list."""
        return self.rows

    @property
    def has_marketplace(self) -> bool:
        """Say whether there is a marketplace."""
        return bool(self.packages)

    def install(self, plugin_id: str, version: str) -> str:
        """Have a plugin installed, as if from a marketplace that has it; return its identifier."""
        named = identifier(plugin_id, version)
        row = copy.deepcopy(self.installed()[0])
        row |= {"id": self.new_id(), "plugin_id": plugin_id, "name": plugin_id.rpartition("/")[2]}
        self.rows.append(_as(row, named))
        self.packages.add(named)
        return named

    def offer(self, plugin_id: str, version: str) -> str:
        """Let the marketplace have a newest version; return its identifier."""
        named = identifier(plugin_id, version)
        self.newest[plugin_id] = named
        self.packages |= {named, *(row["plugin_unique_identifier"] for row in self.installed())}
        return named

    def find(self, named: str) -> JsonDict | None:
        """Return the installed plugin of that identifier."""
        return next((row for row in self.installed() if row["plugin_unique_identifier"] == named), None)

    def upgrade(self, old: str, new: str) -> JsonDict:
        """Begin an installation in place of another.

        Raises:
            Problem: 400; no marketplace, the same twice, no such package, or nothing to take the place of.
        """
        if not self.has_marketplace:
            raise shapes.invalid_param("marketplace is not enabled")
        if old == new:
            raise shapes.invalid_param("you should not upgrade plugin with the same plugin")
        if new not in self.packages:
            raise shapes.invalid_param("Reached maximum retries (3) for URL https://marketplace.dify.ai")
        if self.find(old) is None:
            raise shapes.invalid_param("PluginDaemonNotFoundError: plugin not found")
        task = Installation(id=self.new_id(), old=old, new=new, polls=self.polls)
        self.tasks[task.id] = task
        return {"all_installed": False, "task_id": task.id, "task": self._shown(task)}

    def look(self, task_id: str) -> JsonDict | None:
        """Return an installation as it stands, one step further each time."""
        task = self.tasks.get(task_id)
        if task is None:
            return None
        task.polls -= 1
        if task.polls < 0 and task.status == "running":
            task.status = "failed" if task.new in self.breaks else "success"
            row = self.find(task.old)
            if task.status == "success" and row is not None:
                _as(row, task.new)
        return self._shown(task)

    def _shown(self, task: Installation) -> JsonDict:
        is_bad = task.status == "failed"
        plugin = {
            "plugin_unique_identifier": task.new,
            "plugin_id": task.new.partition(":")[0],
            "status": task.status,
            "message": "failed to launch plugin: exit status 1" if is_bad else "",
        }
        return {
            "id": task.id, "status": task.status, "total_plugins": 1,
            "completed_plugins": int(task.status == "success"), "plugins": [plugin],
        }  # fmt: skip


def _as(row: JsonDict, named: str) -> JsonDict:
    version = named.partition(":")[2].partition("@")[0]
    row |= {"plugin_unique_identifier": named, "version": version, "checksum": named.partition("@")[2]}
    row["declaration"] = {**row["declaration"], "version": version}
    return row

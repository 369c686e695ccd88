"""An upgrade of a plugin as one change: the old package held first, the plugin, then every app that names it.

Data flow: plan -> old package held -> upgrade -> the task ends -> apps rewritten and published -> read back. What fails
on the way takes everything back; what is cut off is finished or undone by its journal. On disk: the plan as facts; what
was live and in drafts, privately, until the change is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.api.plugin_calls import DifyPlugin, PluginCalls, Task
from difyops.changes import Change, Ended, cut_off
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.changes.recovery import Recovery
from difyops.errors import DifyopsError, Interrupted, NotFound, Refused, ServerFault, TimedOut, Unreachable
from difyops.fanout import Failed, FanoutOptions, fan_out
from difyops.plugins_of_dify.inventory import installed
from difyops.plugins_of_dify.plan import UpgradePlan
from difyops.plugins_of_dify.touched import KIND as IDENTIFIERS
from difyops.plugins_of_dify.touched import Rewriting
from difyops.publishing.document_change import DocumentChanges
from difyops.publishing.publication import BeforePublish
from difyops.workspace import Workspace

KIND = "plugin.upgrade"
_FIRST_LOOK, _LONGEST = 0.2, 2.0  # seconds between two looks at an installation
Tests = Mapping[str, BeforePublish]
After = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeOptions:
    """``tests``: by app id, what a draft must pass before it goes live. ``wait``: seconds for the installation.

    ``watch``: looks at runs afterwards and raises when they fail; ``None``: nobody looks.
    """

    tests: Tests | None = None
    wait: float = 600.0
    watch: After | None = None
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """An upgrade that is done. ``apps``: names of those whose identifiers were rewritten."""

    change: str
    plugin: str
    old: str
    new: str
    apps: tuple[str, ...]


async def upgrade(workspace: Workspace, plan: UpgradePlan, options: UpgradeOptions) -> Upgraded:
    """Carry out a plan that was just made or checked.

    Raises:
        Refused: the old package cannot be had again, so there would be no way back; or another change is open.
        DifyopsError: something failed, and everything is what it was; the message says what is not.
    """
    instance, journal, subject = workspace.instance, workspace.journal, f"plugin/{plan.plugin}"
    with journal.lock(subject, holding=f"an upgrade of {plan.plugin}"):
        journal.refuse_open(subject)
        for app in plan.apps:
            journal.refuse_open(f"app/{app.id}")
        if plan.old != plan.new and not await PluginCalls(instance.console).fetch_package(plan.old):
            raise Refused(
                f"The server cannot get the package of {plan.old} again: there would be no way back.",
                hint="Is the marketplace switched on, and does it still have this version?",
            )
        facts = {
            "plugin": plan.plugin,
            "old": plan.old,
            "new": plan.new,
            "apps": [app.id for app in plan.apps],
            "wait": options.wait,
        }
        change = Change.begin(
            journal, KIND, subject=subject, label=plan.plugin, url=plan.url, facts=facts, checkpoint=options.checkpoint
        )
        work = _Work(workspace, change, options.tests or {})
        try:
            await work.forward()
            if options.watch is not None:
                await options.watch()
        except (Interrupted, Unreachable) as error:
            hint = f"difyops changes show {change.id} tells the state; finish or undo ends it."
            raise type(error)(f"{error.message} The upgrade of {plan.plugin} is not at its end.", hint=hint) from error
        except DifyopsError as error:
            raise await work.undone(error) from error
        change.close("done", old=plan.old, new=plan.new, apps=len(plan.apps))
    return Upgraded(
        change=change.id, plugin=plan.plugin, old=plan.old, new=plan.new,
        apps=tuple(app.name for app in plan.apps),
    )  # fmt: skip


class Upgrades:
    """The recovery of upgrades that were cut off."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on which version is installed and how many apps name another one."""
        work = _Work.of(instance, change)
        now = await work.installed()
        return f"{change.record.facts['plugin']} is {now.version if now else 'not installed'}"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Upgrade it, unless that was done, and rewrite the apps that are left."""
        work = _Work.of(instance, change)
        await work.end_cut_off("finish")
        await work.forward()
        return Ended(state="finished", text=f"{change.record.facts['new']} is installed, and every app names it")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put the former version and the former documents back."""
        work = _Work.of(instance, change)
        await work.end_cut_off("undo")
        said = await work.back()
        return Ended(state="undone", text="; ".join([f"{change.record.facts['old']} is installed again", *said]))


@dataclass(slots=True)
class _Work:
    workspace: Workspace
    change: Change
    tests: Tests

    @classmethod
    def of(cls, instance: Instance, change: Change) -> _Work:
        journal = change.journal
        workspace = Workspace(
            instance=instance, state=journal.state, ledger=journal.ledger, actor=journal.actor, clock=journal.clock
        )
        return cls(workspace, change, {})

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.change.record.facts

    async def installed(self) -> DifyPlugin | None:
        """Return the plugin as it is installed now."""
        plugins = await installed(self.workspace.instance)
        return next((item for item in plugins if item.id == self.facts["plugin"]), None)

    async def forward(self) -> None:
        """Bring the plugin and every app to the new version.

        Raises:
            ServerFault: the installation failed, or an app names another version afterwards.
        """
        await self._install("upgrade", self.facts["new"])
        await self._each(self.facts["apps"])

    async def back(self) -> list[str]:
        """Bring the plugin and every app to where they were; return what is not to the letter."""
        said: list[str] = []
        if self.facts["old"] != self.facts["new"]:
            await self._install("downgrade", self.facts["old"])
        for app_id in self.facts["apps"]:
            rewriting = self._rewriting(self.facts["new"])
            try:
                said += await rewriting.back(app_id, self.facts["old"])
            except NotFound:
                said.append(f"the app {app_id} was deleted meanwhile")
        return said

    async def undone(self, error: DifyopsError) -> DifyopsError:
        """Take everything back after a failure, and return the error to raise: it says what is there now."""
        hint = f"difyops changes show {self.change.id} tells the state; finish or undo ends it."
        if gone := cut_off(error, "The upgrade", hint):
            return gone
        try:
            said = await self.back()
        except DifyopsError as second:
            return DifyopsError(f"{error.message} It could not be taken back now ({second.message}).", hint=hint)
        self.change.close("undone", error=error.code)
        error.message = " ".join([error.message, f"{self.facts['old']} is installed again.", *said])
        error.args = (error.message,)
        return error

    async def end_cut_off(self, way: str) -> None:
        """End the publications of apps that were cut off with the upgrade."""
        journal, wanted = self.change.journal, {f"app/{app_id}" for app_id in self.facts["apps"]}
        recovery = Recovery(journal=journal, kinds={IDENTIFIERS: DocumentChanges()})
        for record in journal.open():
            if record.kind == IDENTIFIERS and record.subject in wanted:
                await (recovery.finish if way == "finish" else recovery.undo)(self.workspace.instance, record)

    async def _install(self, name: str, identifier: str) -> None:
        """Let the server install a version in place of the other, and wait until it is there."""
        now = await self.installed()
        if now is None:
            raise ServerFault(f"{self.facts['plugin']} is not installed any more.", hint="Install it in the web page.")
        if now.identifier == identifier:
            return
        calls = PluginCalls(self.workspace.instance.console)
        task = await self.change.effect(name, lambda: calls.upgrade(now, identifier), identifier=identifier)
        await self._wait(calls, task, identifier)

    async def _wait(self, calls: PluginCalls, task: Task, identifier: str) -> None:
        clock = self.workspace.clock
        end, pause = clock.monotonic() + float(self.facts["wait"]), _FIRST_LOOK
        while True:
            now = await self.installed()
            if now is not None and now.identifier == identifier:
                return
            if task.id and task.ok is None:
                task = await calls.task(task.id)
            if task.ok is False:
                raise ServerFault(f"{identifier} could not be installed: {task.message or 'no reason was given'}.")
            if clock.monotonic() >= end:
                raise TimedOut(f"{identifier} is not installed after {self.facts['wait']:g} s.")
            await clock.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    async def _each(self, app_ids: Sequence[str]) -> None:
        limit = self.workspace.instance.context.max_in_flight

        async def one(app_id: str) -> None:
            await self._rewriting(self.facts["new"], self.tests.get(app_id)).forward(app_id)

        failed = [
            item.error async for item in fan_out(app_ids, one, FanoutOptions(limit=limit)) if isinstance(item, Failed)
        ]
        gone = [error for error in failed if isinstance(error, NotFound)]
        for error in failed:
            if error not in gone:
                raise error

    def _rewriting(self, identifier: str, test: BeforePublish | None = None) -> Rewriting:
        return Rewriting(
            workspace=self.workspace, change=self.change, plugin=self.facts["plugin"], identifier=identifier, test=test
        )

"""The console surface for apps: list, read, edit, publish, export, import. One method, one call (or one paged list).

Paths are relative to ``/console/api``; shapes and traps as recorded (tests/recordings). Secrets in answers are
whatever the server sends; callers that ask for clear ones say so in the method's name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from difyops.api import answers, faults, pages
from difyops.api.capabilities import Capabilities
from difyops.api.messages import Auth
from difyops.api.model import App, Import, Trigger, Workflow
from difyops.api.paths import part
from difyops.api.shapes import Shape, anything, fit, rows, some_object
from difyops.api.sse import ServerEvent, events
from difyops.api.transport import Transport, json_of
from difyops.errors import NotFound, NotSupported, RequestRejected, UnreadableAnswer

BASE = "/console/api"
HIDDEN = "[__HIDDEN__]"
HASH_RULES = ("hash_of_graph_and_features", "hash_of_graph")


@dataclass(slots=True)
class Console:
    """The app calls of one instance, made as one account or with the admin key."""

    transport: Transport
    auth: Auth
    capabilities: Capabilities
    known_apps: tuple[App, ...] | None = field(default=None, init=False, repr=False)

    async def get(self, path: str, *, doing: str, shape: Shape = anything, **params: Any) -> Any:
        """GET a console path and return its JSON body, which has ``shape``; what has not is read once more.

        Raises:
            UnreadableAnswer: twice the answer was not JSON or had another shape.
        """
        try:
            return await self._got(path, doing, shape, params)
        except UnreadableAnswer:
            return await self._got(path, doing, shape, params)

    async def mapping(self, path: str, *, doing: str, shape: Shape = some_object, **params: Any) -> dict[str, Any]:
        """GET a console path whose answer is a JSON object.

        Raises:
            UnreadableAnswer: it is something else, twice.
        """
        body: dict[str, Any] = await self.get(path, doing=doing, shape=shape, **params)
        return body

    async def send(
        self, method: str, path: str, body: Any, *, doing: str, shape: Shape = anything, reads: bool = False
    ) -> Any:
        """Send a change and return its JSON body (``None`` for 204). Never repeated, unless it only ``reads``.

        Raises:
            UnreadableAnswer: the answer has not ``shape``; what was asked for may have been done.
        """
        response = await self.transport.request(
            method, BASE + path, doing=doing, auth=self.auth, json=body, repeatable=reads
        )
        try:
            answer = json_of(response, doing=doing) if response.content else None
            return fit(answer, shape, doing=doing, endpoint=path)
        except UnreadableAnswer as error:
            error.retryable = False  # it may have been done
            raise

    async def _got(self, path: str, doing: str, shape: Shape, params: Mapping[str, Any]) -> Any:
        response = await self.transport.request("GET", BASE + path, doing=doing, auth=self.auth, params=dict(params))
        return fit(json_of(response, doing=doing), shape, doing=doing, endpoint=path)

    async def apps(self, *, name: str | None = None) -> AsyncIterator[App]:
        """Yield all apps of the workspace, each once (``name`` is a substring match done by the server).

        The list leaves agent apps out unless they are asked for by their mode (1.15 and newer, recorded of 1.16.1).

        Raises:
            UnreadableAnswer: the two lists contradict each other.
        """
        query = {"name": name} if name else {}
        seen: dict[str, object] = {}
        listed: list[App] = []
        async for row in self._listed(query):
            seen[str(row["id"])] = row.get("mode")
            listed.append(App.of(row))
            yield listed[-1]
        if not self.capabilities.can("agent_apps"):
            self._keep(name, listed)
            return
        try:
            async for row in self._listed({**query, "mode": answers.AGENT_MODE}):
                if row["id"] not in seen:
                    listed.append(App.of(row))
                    yield listed[-1]
                elif seen[row["id"]] != row.get("mode"):
                    raise UnreadableAnswer(f"list apps: the app {row['id']} is of two modes.")
        except RequestRejected as error:
            if error.status not in (400, 422):
                raise
            self.capabilities.learn("agent_apps", False)  # a server that does not know this mode
        self._keep(name, listed)

    def _keep(self, name: str | None, listed: list[App]) -> None:
        if name is None:
            self.known_apps = tuple(listed)

    def _listed(self, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        async def fetch(params: Mapping[str, Any]) -> Any:
            return await self.get("/apps", doing="list apps", shape=answers.APPS, **params, **query)

        return pages.by_number(fetch)

    async def app(self, app_id: str) -> App:
        """Return one app with flags and, for chat modes, its model config.

        Raises:
            NotFound: no such app in this workspace.
        """
        path = f"/apps/{part(app_id)}"
        return App.of(await self.mapping(path, doing="read the app", shape=answers.app(app_id)))

    async def draft(self, app_id: str) -> Workflow | None:
        """Return the draft, ``None`` when the app has none yet."""
        try:
            path = f"/apps/{part(app_id)}/workflows/draft"
            return Workflow.of(await self.get(path, doing="read the draft", shape=self.checked_workflow))
        except NotFound as error:
            if error.server_code == "draft_workflow_not_exist":
                return None
            raise

    async def published(self, app_id: str) -> Workflow | None:
        """Return the live version, ``None`` when nothing was ever published."""
        path = f"/apps/{part(app_id)}/workflows/publish"
        return Workflow.of(await self.get(path, doing="read the live version", shape=self._checked_published))

    async def live_and_draft(self, app_id: str, live_id: str | None) -> tuple[Workflow | None, Workflow | None]:
        """Return live version and draft, in one call where the version list has both, else in two.

        The list starts with the draft and the newest version (which is the live one) and carries whole graphs.

        Raises:
            UnreadableAnswer: neither the list nor the call for it has the live version that ``live_id`` names.
        """
        path = f"/apps/{part(app_id)}/workflows"
        body = await self.get(path, doing="read the versions", shape=self._checked_versions, page=1, limit=2)
        found = [row for item in body["items"] if (row := Workflow.of(item)) is not None]
        draft = next((row for row in found if row.is_draft), None)
        live = next((row for row in found if row.id == live_id), None)
        if draft is None:
            draft = await self.draft(app_id)
        if live is None and live_id is not None:
            live = await self.published(app_id)
            if live is None:
                raise UnreadableAnswer("read the versions: the live version that the app names is not there.")
        return live, draft

    async def versions(self, app_id: str) -> AsyncIterator[Workflow]:
        """Yield the published versions, newest first, each with its whole graph; the draft is left out."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            path = f"/apps/{part(app_id)}/workflows"
            return await self.get(path, doing="list versions", shape=self._checked_versions, **params)

        async for row in pages.by_number(fetch, limit=10, rows_in="items"):
            workflow = Workflow.of(row)
            if workflow is not None and not workflow.is_draft:
                yield workflow

    async def sync_draft(self, app_id: str, document: Mapping[str, Any], *, expected_hash: str | None) -> str:
        """Replace the draft by ``document`` and return its new hash.

        All variables must be in ``document``: what is left out is deleted. A secret stays as it is when its value is
        ``HIDDEN`` and its ``id`` is that of the variable in the draft; the masking stars would become the secret.

        Raises:
            Conflict: the draft's graph or features moved since ``expected_hash`` was read.
        """
        body = {
            "graph": document["graph"],
            "features": document["features"],
            "environment_variables": list(document.get("environment_variables") or ()),
            "conversation_variables": list(document.get("conversation_variables") or ()),
        }
        if expected_hash is not None:
            body["hash"] = expected_hash
        path = f"/apps/{part(app_id)}/workflows/draft"
        answer = await self.send("POST", path, body, doing="write the draft", shape=answers.SYNCED)
        return str(answer["hash"])

    async def clear_environment(self, app_id: str) -> dict[str, Any]:
        """Return the draft's environment variables by name with secrets IN CLEAR (any editor may)."""
        self.capabilities.require("draft_environment_variables", "Reading environment variables")
        path = f"/apps/{part(app_id)}/workflows/draft/environment-variables"
        body = await self.get(path, doing="read the variables", shape=answers.ENVIRONMENT)
        return {item["name"]: item.get("value") for item in body["items"]}

    async def publish(self, app_id: str, *, name: str = "", comment: str = "") -> None:
        """Make the draft the live version. Its id is not in the answer: read ``published``.

        ``name`` holds at most 20 characters, ``comment`` 100; longer ones are cut.
        """
        body = {"marked_name": name[:20], "marked_comment": comment[:100]}
        await self.send("POST", f"/apps/{part(app_id)}/workflows/publish", body, doing="publish")

    async def export(self, app_id: str, *, version_id: str | None = None, clear_secrets: bool = False) -> str:
        """Return the DSL text of a version (default: the draft; chat modes: what is live).

        Raises:
            NotSupported: a version was asked for and the server exports drafts only (before 1.8.1).
        """
        params: dict[str, Any] = {"include_secret": "true" if clear_secrets else "false"}
        if version_id is not None:
            self.capabilities.require("export_version", "Exporting a published version")
            params["workflow_id"] = version_id
        path = f"/apps/{part(app_id)}/export"
        body = await self.get(path, doing="export the app", shape=answers.EXPORT, **params)
        return str(body["data"])

    async def import_dsl(self, text: str, *, app_id: str | None = None, **fields: str) -> Import:
        """Import DSL text as a new app (or over ``app_id``'s draft); failure comes back as an ``Import`` too.

        ``fields``: name, description, icon, ... override the DSL's own. Status ``pending`` waits for ``confirm``.
        """
        body = {"mode": "yaml-content", "yaml_content": text, **fields}
        if app_id is not None:
            body["app_id"] = app_id
        return await self._imported("/apps/imports", body)

    async def confirm_import(self, import_id: str) -> Import:
        """Carry out a pending import (a DSL newer than the server); works once, within ten minutes."""
        return await self._imported(f"/apps/imports/{part(import_id)}/confirm", {})

    async def missing_dependencies(self, app_id: str) -> list[str]:
        """Return plugin identifiers that the last import found missing. Empty may mean unknown."""
        path = f"/apps/imports/{part(app_id)}/check-dependencies"
        body = await self.get(path, doing="check dependencies", shape=answers.DEPENDENCIES)
        values = [row["value"] or {} for row in body["leaked_dependencies"]]
        known = "marketplace_plugin_unique_identifier"
        return [str((value.get(known) if isinstance(value, dict) else None) or value) for value in values]

    async def set_api(self, app_id: str, *, enabled: bool) -> None:
        """Switch the app's service API on or off."""
        await self.send(
            "POST", f"/apps/{part(app_id)}/api-enable", {"enable_api": enabled}, doing="switch the app's API"
        )

    async def set_site(self, app_id: str, *, enabled: bool) -> None:
        """Switch the app's web page on or off."""
        await self.send(
            "POST", f"/apps/{part(app_id)}/site-enable", {"enable_site": enabled}, doing="switch the app's site"
        )

    async def set_model_config(self, app_id: str, config: Mapping[str, Any]) -> None:
        """Replace the model config of a chat, agent or completion app; live at once, no draft, no way back."""
        await self.send("POST", f"/apps/{part(app_id)}/model-config", dict(config), doing="write the model config")

    async def update_app(self, app_id: str, body: Mapping[str, Any]) -> None:
        """Set name, description and icon. The call also sets ``max_active_requests``: hand in the current one."""
        await self.send("PUT", f"/apps/{part(app_id)}", dict(body), doing="write the app's name")

    async def delete_app(self, app_id: str) -> None:
        """Delete an app for good."""
        await self.send("DELETE", f"/apps/{part(app_id)}", None, doing="delete the app")

    async def triggers(self, app_id: str) -> list[Trigger]:
        """Return the triggers of the published workflow; ``[]`` for other modes and on servers without triggers.

        Raises:
            NotFound: there is no such app.
        """
        if not self.capabilities.can("triggers"):
            return []
        try:
            path = f"/apps/{part(app_id)}/triggers"
            body = await self.get(path, doing="list triggers", shape=answers.TRIGGERS)
        except NotFound as error:
            if "not in the supported list" in error.message:  # a chatflow; the code is that of a missing app (1.13.0)
                return []
            if error.server_code != faults.NO_ROUTE:
                raise
            self.capabilities.learn("triggers", False)
            return []
        return [Trigger.of(row) for row in body["data"]]

    async def set_trigger(self, app_id: str, trigger_id: str, *, enabled: bool) -> None:
        """Switch a trigger. Some servers answer 400 though the change was made: judged by reading back (1.15 §0)."""
        body = {"trigger_id": trigger_id, "enable_trigger": enabled}
        try:
            await self.send("POST", f"/apps/{part(app_id)}/trigger-enable", body, doing="switch the trigger")
        except RequestRejected:
            wanted = "enabled" if enabled else "disabled"
            if not any(item.id == trigger_id and item.status == wanted for item in await self.triggers(app_id)):
                raise

    async def restore_version(self, app_id: str, version_id: str) -> None:
        """Copy a version with its own secrets into the draft on the server; still to be published.

        Raises:
            NotSupported: the server has no such call (before 1.13.3).
        """
        self.capabilities.require("restore_version", "Restoring a version on the server")
        path = f"/apps/{part(app_id)}/workflows/{part(version_id)}/restore"
        try:
            await self.send("POST", path, {}, doing="restore the version")
        except NotFound as error:
            if error.server_code == faults.NO_ROUTE:
                self.capabilities.learn("restore_version", False)
                raise NotSupported("This server has no call to restore a version.") from error
            raise

    @asynccontextmanager
    async def draft_run(
        self, app: App, inputs: Mapping[str, Any], query: str = ""
    ) -> AsyncIterator[AsyncIterator[ServerEvent]]:
        """Run the draft and hand out its events."""
        chatflow = app.mode == "advanced-chat"
        path = f"/apps/{part(app.id)}/{'advanced-chat/' if chatflow else ''}workflows/draft/run"
        body = {"inputs": dict(inputs), "files": [], **({"query": query} if chatflow else {})}
        async with self.transport.stream(
            "POST", BASE + path, doing="run the draft", auth=self.auth, json=body
        ) as answer:
            yield events(answer)

    async def stop_run(self, app: App, task_id: str) -> None:
        """Ask the server to stop a run by its task id. It always says success, for unknown tasks too."""
        path = f"/apps/{part(app.id)}/chat-messages/{part(task_id)}/stop"
        if app.has_workflow:
            path = f"/apps/{part(app.id)}/workflow-runs/tasks/{part(task_id)}/stop"
        elif app.mode == "completion":
            path = f"/apps/{part(app.id)}/completion-messages/{part(task_id)}/stop"
        await self.send("POST", path, {}, doing="stop the run")

    async def bind_tag(self, app_id: str, tag_id: str) -> None:
        """Put a tag on an app; the call moved in 1.14 (``/tag-bindings``, before ``/tag-bindings/create``)."""
        body = {"tag_ids": [tag_id], "target_id": app_id, "type": "app"}
        try:
            await self.send("POST", "/tag-bindings", body, doing="tag the app")
        except NotFound as error:
            if error.server_code != faults.NO_ROUTE:
                raise
            await self.send("POST", "/tag-bindings/create", body, doing="tag the app")

    async def _imported(self, path: str, body: Mapping[str, Any]) -> Import:
        try:
            answer = await self.send("POST", path, body, doing="import the app")
        except RequestRejected as error:
            if not isinstance(error.body, dict) or "imported_dsl_version" not in error.body:
                raise
            answer = error.body
        return Import.of(fit(answer, answers.IMPORT, doing="import the app", endpoint=path))

    # The hash of a version is made of its graph (up to 1.13, of its features too), so that it tells whether that came
    # as the server has it. Whether, and how, this server makes it shows at the first version that fits.

    def checked_workflow(self, value: Any) -> str | None:
        """Take a workflow whose graph is the one that its own hash was made of."""
        if (complaint := answers.WORKFLOW(value)) is not None:
            return complaint
        learned = self.capabilities.learned
        known = [rule for rule in HASH_RULES if learned.get(rule)]
        for rule in known or HASH_RULES:
            if content_hash(value["graph"], value["features"], rule) == value["hash"]:
                self.capabilities.learn(rule, True)
                return None
        return ".graph: its own hash is of another one" if known else None

    def _checked_published(self, value: Any) -> str | None:
        complaint = answers.published(value)
        return complaint if complaint is not None or not Workflow.of(value) else self.checked_workflow(value)

    def _checked_versions(self, value: Any) -> str | None:
        complaint = answers.VERSIONS(value)
        return complaint if complaint is not None else rows(self.checked_workflow)(value["items"])


def content_hash(graph: Any, features: Any, rule: str) -> str:
    """Return the hash that the platform gives a workflow. Recorded: of 1.13 with features, of 1.15 and 1.16 without."""
    covered = {"graph": graph} if rule == "hash_of_graph" else {"graph": graph, "features": features}
    return hashlib.sha256(f"{json.dumps(covered, sort_keys=True)}None".encode()).hexdigest()

"""What rotation tests hold: an emulator with one secret of every kind, a workbench of its own, quick settings.

The same set-up serves the tests and the processes they kill (``kill_child``). All secrets are made up.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from difyops.api.instance import ConnectOptions, connect
from difyops.changes import Journal
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.clock import Clock, SystemClock
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.ledger import Ledger
from difyops.rotation.engine import Driven, Driver, begin
from difyops.rotation.job import Workbench
from difyops.rotation.journal import RotationJournal
from difyops.rotation.kinds import WantedSecret
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.rotation.record import PlannedRotation, RotationSettings
from difyops.secret_text import SecretText
from difyops.state_address import StateAddress

PROVIDER = "langgenius/openai/openai"
TOOL = "langgenius/google/google"
MODEL = "ft:canary"
ADMIN = "ROTATION_TEST_ADMIN_KEY"
SHARED_PASSWORD = "ROTATION_TEST_STATE_PASSWORD"
QUICK = RotationSettings(grace=0.1, settle=0.01, pause=0.01, handover=0.01, patience=4, refusal=20.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A secret of one kind: what follows ``secret rotate``, its value before and the value it gets."""

    kind: str
    arguments: tuple[str, ...] = ()
    old: str = ""
    new: str = ""

    @property
    def needs_value(self) -> bool:
        return bool(self.new)


CASES = {
    "app-key": Case(kind="app-key", arguments=("wf-echo",)),
    "dataset-key": Case(kind="dataset-key"),
    "env": Case(kind="env", arguments=("wf-llm", "API_TOKEN"), old="tok-canary-old-5511", new="tok-canary-new-7722"),
    "provider": Case(kind="provider", arguments=(PROVIDER,), old="sk-good-1", new="sk-good-canary-provider-31"),
    "tool": Case(kind="tool", arguments=(TOOL,), old="serp-canary-old-11", new="serp-canary-new-22"),
    "webhook-secret": Case(kind="webhook-secret", arguments=("file:~/callback.secret",)),
    "model": Case(kind="model", arguments=(PROVIDER, MODEL), old="sk-good-canary-m-1", new="sk-good-canary-m-2"),
}


class Later(SystemClock):
    """The same clock two hours later, after the grace period."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


@dataclass
class Rig:
    """One place to rotate from: state folder and address of an instance; ``shared``: the address of a shared state."""

    url: str
    workspace_id: str
    state: Path
    clock: Clock = field(default_factory=SystemClock)
    checkpoint: Checkpoint = no_checkpoint
    settings: RotationSettings = QUICK
    shared: str = ""

    def ledger(self) -> Ledger:
        """Open the ledger, in the state folder or shared with other machines."""
        if not self.shared:
            return Ledger.open(self.state / "ledger.sqlite3")
        from difyops.ledger.server import LedgerServer

        return Ledger(LedgerServer(StateAddress(self.shared, SecretText(os.environ[SHARED_PASSWORD])), self.state))

    @asynccontextmanager
    async def bench(self, checkpoint: Checkpoint | None = None) -> AsyncIterator[Workbench]:
        context = Context(
            name="prod", url=self.url, admin_key=f"env:{ADMIN}", workspace_id=self.workspace_id, max_in_flight=4
        )
        instance = await connect(context, ConnectOptions(state=self.state, clock=self.clock))
        ledger = self.ledger()
        clock = ledger.clock if self.shared else self.clock
        try:
            yield Workbench(
                instance=instance,
                journal=RotationJournal(
                    Journal(ledger=ledger, state=self.state, context="prod", clock=clock, actor="tester")
                ),
                checkpoint=checkpoint or self.checkpoint,
            )
        finally:
            ledger.close()
            await instance.close()

    async def plan(
        self, bench: Workbench, case: Case, asked: RotationRequest | None = None, **settings: Any
    ) -> PlannedRotation:
        planned = await prepare(
            bench,
            WorkspaceReading(bench.instance),
            (case.kind, WantedSecret(arguments=case.arguments)),
            dataclasses.replace(asked or RotationRequest(no_probe=True), by_hand=True),
            RotationPolicy(),
        )
        found = planned.settings
        kept = {"deliver": found.deliver, "probes": found.probes, "force": found.force, "value_from": found.value_from}
        return dataclasses.replace(planned, settings=dataclasses.replace(self.settings, **{**kept, **settings}))

    async def rotate(
        self,
        case: Case,
        asked: RotationRequest | None = None,
        *,
        wait: bool = True,
        checkpoint: Checkpoint | None = None,
        **settings: Any,
    ) -> Driven:
        async with self.bench(checkpoint) as bench:
            planned = await self.plan(bench, case, asked, **settings)
            rotation = await begin(bench, planned, SecretText(case.new) if case.needs_value else None)
            return await Driver(bench, wait=wait).drive(rotation)

    async def resume(self, *, wait: bool = True, checkpoint: Checkpoint | None = None) -> Driven | None:
        """Drive the only open rotation; ``None`` when there is none."""
        async with self.bench(checkpoint) as bench:
            found = bench.journal.open()
            return await Driver(bench, wait=wait).drive(found[0]) if found else None

    def texts(self) -> bytes:
        """Return every byte below the state folder that is not held for an open rotation."""
        held = self.held()
        return b"".join(path.read_bytes() for path in self.state.rglob("*") if path.is_file() and path not in held)

    def held(self) -> list[Path]:
        """Return the files in which values and documents of rotations are held."""
        return held_files(self.state)


def held_files(state: Path) -> list[Path]:
    """Return the files below a state folder in which values and documents of open rotations are held."""
    values, documents = (state / "rotation-secrets").rglob("*"), (state / "changes").glob("*/*.json")
    return [path for path in (*values, *documents) if path.is_file()]


class Console:
    """A colleague at the web page: plain HTTP, nothing of ours."""

    def __init__(self, url: str, workspace_id: str, admin_key: str) -> None:
        headers = {"Authorization": f"Bearer {admin_key}", "X-WORKSPACE-ID": workspace_id}
        self.url = url
        self.http = httpx.Client(base_url=f"{url}/console/api", headers=headers, timeout=30.0)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text[:300])
        return answer.json() if answer.content else None

    def app_id(self, name: str) -> str:
        return next(str(row["id"]) for row in self.call("GET", "/apps?limit=100")["data"] if row["name"] == name)

    def app_keys(self, name: str) -> list[str]:
        return [row["token"] for row in self.call("GET", f"/apps/{self.app_id(name)}/api-keys")["data"]]

    def dataset_keys(self) -> list[str]:
        return [row["token"] for row in self.call("GET", "/datasets/api-keys")["data"]]

    def status(self, key: str, path: str = "/v1/info") -> int:
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code

    def edit_draft(self, name: str, title: str) -> None:
        """Rename the first node in the draft, keeping every secret."""
        path = f"/apps/{self.app_id(name)}/workflows/draft"
        draft = self.call("GET", path)
        draft["graph"]["nodes"][0]["data"]["title"] = title
        for variable in draft["environment_variables"]:
            if variable["value_type"] == "secret":
                variable["value"] = "[__HIDDEN__]"
        parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
        self.call("POST", path, {part: draft[part] for part in parts})

    def set_secret(self, name: str, variable: str, value: str) -> None:
        """Set a variable and publish."""
        path = f"/apps/{self.app_id(name)}/workflows"
        draft = self.call("GET", f"{path}/draft")
        for item in draft["environment_variables"]:
            if item["name"] == variable:
                item["value"] = value
            elif item["value_type"] == "secret":
                item["value"] = "[__HIDDEN__]"
        parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
        self.call("POST", f"{path}/draft", {part: draft[part] for part in parts})
        self.call("POST", f"{path}/publish", {"marked_name": "", "marked_comment": ""})

    def set_secret_in_draft(self, name: str, variable: str, value: str) -> None:
        """Set a variable of the draft, and do not publish."""
        path = f"/apps/{self.app_id(name)}/workflows"
        draft = self.call("GET", f"{path}/draft")
        for item in draft["environment_variables"]:
            if item["name"] == variable:
                item["value"] = value
            elif item["value_type"] == "secret":
                item["value"] = "[__HIDDEN__]"
        parts = ("graph", "features", "environment_variables", "conversation_variables", "hash")
        self.call("POST", f"{path}/draft", {part: draft[part] for part in parts})

    def provider_credentials(self) -> list[str]:
        row = self.call("GET", "/workspaces/current/model-providers")["data"][0]["custom_configuration"]
        return [item["credential_name"] for item in row["available_credentials"]]


def furnish(emulator: Emulator, console: Console, kind: str | None = None) -> None:
    """Put one secret of every kind (or only of ``kind``) into the emulator.

    With the variable comes a colleague's unpublished edit in the draft of wf-llm.
    """
    if kind in (None, "dataset-key"):
        console.call("POST", "/datasets/api-keys")
    if kind in (None, "env"):
        console.set_secret("wf-llm", "API_TOKEN", CASES["env"].old)
        console.edit_draft("wf-llm", "a colleague's title")
    if kind in (None, "tool"):
        body = {"name": "search", "type": "api-key", "credentials": {"serpapi_api_key": CASES["tool"].old}}
        console.call("POST", f"/workspaces/current/tool-provider/builtin/{TOOL}/add", body)
    if kind in (None, "webhook-secret"):
        for place in Path.home().glob("callback.secret*"):
            place.unlink()
        (Path.home() / "callback.secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        (Path.home() / "callback.secret").chmod(0o600)
    if kind in (None, "model"):
        path = f"/workspaces/current/model-providers/{PROVIDER}/models/credentials"
        which = {"model": MODEL, "model_type": "llm", "name": "own"}
        console.call("POST", path, {**which, "credentials": {"openai_api_key": CASES["model"].old}})


def value_in_use(emulator: Emulator, kind: str) -> str:
    """Return the secret that a call through this kind uses now, as the server has it."""
    provider, tool = emulator.instance.provider, emulator.instance.tool
    match kind:
        case "app-key":
            return emulator.app_named("wf-echo").keys[0].token
        case "dataset-key":
            return next(key.token for key in emulator.instance.keys.values() if key.app_id is None)
        case "env":
            live = emulator.app_named("wf-llm").live
            return str(live.env["API_TOKEN"]) if live else ""
        case "provider":
            return (provider.cached or {}).get("openai_api_key", "")
        case "webhook-secret":
            return (Path.home() / "callback.secret").read_text().strip()
        case "tool":
            default = next((item for item in tool.credentials if item.is_default), None)
            return default.values["serpapi_api_key"] if default else ""
        case _:
            current = provider.custom[0].current
            return current.values["openai_api_key"] if current else ""


def count_of(emulator: Emulator, kind: str) -> int:
    """Return how many secrets of this kind there are: one when none is orphaned."""
    provider = emulator.instance.provider
    match kind:
        case "app-key":
            return len(emulator.app_named("wf-echo").keys)
        case "dataset-key":
            return sum(key.app_id is None for key in emulator.instance.keys.values())
        case "env":
            return 1
        case "provider":
            return len(provider.credentials)
        case "webhook-secret":
            return len(list(Path.home().glob("callback.secret*")))
        case "tool":
            return len(emulator.instance.tool.credentials)
        case _:
            return len(provider.custom[0].credentials)


def allow_admin(emulator: Emulator) -> None:
    """Give this process the admin key that the rig's context refers to."""
    os.environ[ADMIN] = str(emulator.admin_key)

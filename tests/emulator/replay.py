"""Replaying recorded exchanges against the emulator and comparing what matters: status, headers, shape.

Ids in a recorded request are translated to the emulator's: those of the known apps from a table, all others learned by
walking recorded and emulated answers side by side, so the order within a scenario counts.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import yaml

from difyops.emulator import Emulator

RECORDINGS = Path(__file__).parents[1] / "recordings"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HOOK = re.compile(r"(?<=/triggers/webhook/)[A-Za-z0-9]{24}")
_HEADERS = ("content-type", "x-version", "x-env", "www-authenticate", "retry-after", "allow")


class ShiftedClock:
    """A clock that starts on the day of the recordings and runs; tests move its offset."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._begin = time.monotonic()

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 6, 0, tzinfo=UTC) + timedelta(seconds=self.monotonic() - self._begin)

    def monotonic(self) -> float:
        return time.monotonic() + self.offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, min(seconds, 0.05)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One recording and how to send it.

    ``auth`` is a role (logs in), ``admin-key``, ``none``, or ``recorded`` (the recorded headers, fresh tokens);
    ``key`` is the app whose service key is used, or ``dataset``; ``current_hash`` sends the draft's own hash instead
    of the recorded one; ``loose`` are paths left out of the comparison.
    """

    name: str
    auth: str = "owner"
    key: str | None = None
    body: bytes | None = None
    content_type: str | None = None
    files: Any = None
    current_hash: bool = False
    loose: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Recordings of one version, in order, on one fresh emulator."""

    version: str
    folder: str
    name: str
    steps: tuple[Case | Callable[[Replay], Awaitable[None] | None], ...]
    apps: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


class Replay:
    """One emulator and what has been learned about its ids and tokens."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.clock = ShiftedClock()
        self.emulator = Emulator(scenario.version, clock=self.clock, speed=500.0, **scenario.settings)
        transport = httpx.ASGITransport(app=self.emulator.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self.ids: dict[str, str] = {}
        self.jars: dict[str, dict[str, str]] = {}
        self.keys: dict[str, str] = {}
        if scenario.settings.get("is_set_up", True) and scenario.settings.get("basics", True):
            self.ids |= {recorded: self.emulator.app_named(name).id for recorded, name in scenario.apps.items()}

    async def login(self, role: str) -> dict[str, str]:
        """Return the cookies of a fresh login."""
        account = self.emulator.account(role)
        body = {"email": account.email, "password": _encoded(self.emulator.password)}
        answer = await self.client.post("/console/api/login", json=body)
        assert answer.status_code == 200, answer.text
        jar = {name: answer.cookies[name] for name in ("access_token", "refresh_token", "csrf_token")}
        self.client.cookies.clear()
        self.jars[role] = jar
        return jar

    async def play(self, case: Case) -> list[str]:
        """Send a recorded request and return what differs."""
        recording = load(self.scenario.folder, case.name)
        request = recording["request"]
        headers = await self._headers(case, request)
        content, kind = self._content(case, request)
        if kind and not case.files:
            headers["content-type"] = kind
        answer = await self.client.request(
            request["method"], self.translated(request["path"]), headers=headers, content=content, files=case.files
        )
        self.client.cookies.clear()
        self._note_tokens(answer)
        return [f"{case.name}: {text}" for text in self._differences(case, recording["response"], answer)]

    def translated(self, text: str) -> str:
        """Return ``text`` with recorded ids replaced by the emulator's."""
        text = _UUID.sub(lambda found: self.ids.get(found.group(), found.group()), text)
        return _HOOK.sub(lambda found: self.ids.get(found.group(), found.group()), text)

    async def _headers(self, case: Case, request: dict[str, Any]) -> dict[str, str]:
        if case.auth == "recorded":
            return {name: self._filled(value) for name, value in request.get("headers", {}).items()}
        if case.key is not None:
            return {"authorization": f"Bearer {await self._key(case.key)}"}
        if case.auth == "none" or request["path"].startswith("/v1"):
            return {}
        if case.auth == "admin-key":
            return {
                "authorization": f"Bearer {self.emulator.admin_key}",
                "x-workspace-id": self.emulator.workspace_id,
            }
        jar = self.jars.get(case.auth) or await self.login(case.auth)
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        return {"cookie": cookies, "x-csrf-token": jar["csrf_token"]}

    def _filled(self, value: str) -> str:
        jar = self.jars.get("owner", {})
        for name in ("access_token", "refresh_token", "csrf_token"):
            for mark in ("<jwt>", "<opaque>"):
                value = value.replace(f"{name}={mark}", f"{name}={jar.get(name, '')}")
        value = value.replace("Bearer <jwt>", f"Bearer {jar.get('access_token', '')}")
        value = value.replace("<admin key>", self.emulator.admin_key or "")
        return self.translated(value.replace("<jwt>", jar.get("csrf_token", "")))

    async def _key(self, name: str) -> str:
        if name == "dataset" and name not in self.keys:
            await self.login("owner")
            headers = await self._headers(Case(name=""), {"path": "/console"})
            answer = await self.client.post("/console/api/datasets/api-keys", headers=headers)
            self.client.cookies.clear()
            self.keys[name] = answer.json()["token"]
        return self.keys.get(name) or self.emulator.app_named(name).key

    def _content(self, case: Case, request: dict[str, Any]) -> tuple[bytes | None, str | None]:
        if case.body is not None:
            return case.body, case.content_type or "application/json"
        if "json" not in request:
            return None, None
        payload = request["json"]
        if case.current_hash:
            app = self.emulator.instance.apps[self.translated(request["path"]).split("/")[4]]
            assert app.draft is not None
            payload = {**payload, "hash": app.draft.hash}
        text = self.translated(json.dumps(payload))
        encoded = _encoded(self.emulator.password) if "login" in request["path"] else self.emulator.password
        return text.replace("<password>", encoded).encode(), "application/json"

    def _note_tokens(self, answer: httpx.Response) -> None:
        for name in ("access_token", "refresh_token", "csrf_token"):
            if answer.cookies.get(name):
                self.jars.setdefault("owner", {})[name] = answer.cookies[name]

    def _differences(self, case: Case, recorded: dict[str, Any], answer: httpx.Response) -> list[str]:
        found = []
        if answer.status_code != recorded["status"]:
            return [f"status {answer.status_code}, recorded {recorded['status']}: {answer.text[:300]}"]
        for name in _HEADERS:
            mine, theirs = answer.headers.get(name), recorded["headers"].get(name)
            if name == "allow" or (mine == theirs):
                continue
            found.append(f"header {name} is {mine!r}, recorded {theirs!r}")
        cookies = [value.partition("=")[0] for value in answer.headers.get_list("set-cookie")]
        if cookies != recorded["headers"].get("set-cookie", []):
            found.append(f"cookies {cookies}, recorded {recorded['headers'].get('set-cookie')}")
        if "lines" in recorded and "event-stream" in recorded["headers"].get("content-type", ""):
            return found + self._stream(case, recorded["lines"], answer.text)
        return found + self._body(case, recorded, answer)

    def _body(self, case: Case, recorded: dict[str, Any], answer: httpx.Response) -> list[str]:
        kind = answer.headers.get("content-type", "")
        theirs = json.loads(recorded["lines"][0]) if "lines" in recorded else recorded.get("body")
        if not kind.startswith("application/json") or not answer.content:
            return [] if bool(answer.content) == bool(theirs) else [f"body {answer.text[:80]!r}, recorded {theirs!r}"]
        if theirs is None and answer.text != "null":
            return []
        mine = answer.json()
        self._learn(theirs, mine)
        return compare(theirs, mine, "", case.loose)

    def _stream(self, case: Case, lines: list[str], text: str) -> list[str]:
        theirs, mine = _events(lines), _events([line for line in text.splitlines() if line])
        for left, right in zip(theirs, mine, strict=False):
            self._learn(left, right)
        if _order(theirs) != _order(mine):
            return [f"events {_order(mine)}, recorded {_order(theirs)}"]
        found = []
        for name, event in _first(theirs).items():
            found += compare(event, _first(mine)[name], name, case.loose)
        return found

    def _learn(self, theirs: Any, mine: Any) -> None:
        if isinstance(theirs, dict) and isinstance(mine, dict):
            for name in theirs.keys() & mine.keys():
                self._learn(theirs[name], mine[name])
        elif isinstance(theirs, list) and isinstance(mine, list):
            for left, right in zip(theirs, mine, strict=False):
                self._learn(left, right)
        elif isinstance(theirs, str) and isinstance(mine, str) and _is_id(theirs) and _is_id(mine):
            self.ids.setdefault(theirs, mine)


def _is_id(text: str) -> bool:
    return bool(_UUID.fullmatch(text)) or bool(re.fullmatch(r"[A-Za-z0-9]{24}", text))


def _encoded(password: str) -> str:
    return base64.b64encode(password.encode()).decode()


def _events(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) if line.startswith("data: ") else {"event": "ping"} for line in lines]


def _order(events: list[dict[str, Any]]) -> list[str]:
    """Return the event names, repetitions and later pings left out."""
    names = [event["event"] for event in events]
    names = [name for at, name in enumerate(names) if name != "ping" or at == 0]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def _first(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        data = event.get("data") or {}
        found.setdefault(f"{event['event']}/{data.get('node_type', '')}", event)
    return found


def load(folder: str, name: str) -> dict[str, Any]:
    """Return a recording."""
    loaded: dict[str, Any] = json.loads((RECORDINGS / folder / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def compare(theirs: Any, mine: Any, path: str, loose: tuple[str, ...]) -> list[str]:
    """Return where the shapes differ: key sets and value types, lists by their first element, DSL text as YAML."""
    if any(re.fullmatch(pattern, path) for pattern in loose):
        return []
    if _kind(theirs) != _kind(mine):
        return [f"{path or '.'} is {_kind(mine)} {str(mine)[:60]!r}, recorded {_kind(theirs)} {str(theirs)[:60]!r}"]
    if isinstance(theirs, dict):
        return _compare_objects(theirs, mine, path, loose)
    if isinstance(theirs, list):
        if bool(theirs) != bool(mine):
            return [f"{path} has {len(mine)} elements, recorded {len(theirs)}"]
        return compare(theirs[0], mine[0], f"{path}[]", loose) if theirs else []
    if path == "/data" and isinstance(theirs, str) and "\n" in theirs:
        return compare(yaml.safe_load(theirs), yaml.safe_load(mine), "/dsl", loose)
    return []


def _compare_objects(theirs: dict[str, Any], mine: dict[str, Any], path: str, loose: tuple[str, ...]) -> list[str]:
    found = []
    missing, extra = sorted(theirs.keys() - mine.keys()), sorted(mine.keys() - theirs.keys())
    missing = [name for name in missing if not any(re.fullmatch(item, f"{path}/{name}") for item in loose)]
    extra = [name for name in extra if not any(re.fullmatch(item, f"{path}/{name}") for item in loose)]
    if missing or extra:
        found.append(f"{path or '.'} lacks {missing}, has {extra} too many")
    for name in theirs.keys() & mine.keys():
        found += compare(theirs[name], mine[name], f"{path}/{name}", loose)
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return type(value).__name__

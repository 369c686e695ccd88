"""Logging in, in its three generations; the admin key; who may do what."""

from __future__ import annotations

import base64

import httpx
import pytest

from difyops.emulator import Emulator
from tests.emulator.door import Door
from tests.emulator.replay import ShiftedClock

BASE64 = base64.b64encode(b"Passw0rd!1").decode()


async def login(door: Door, password: str) -> httpx.Response:
    body = {"email": door.emulator.email, "password": password}
    return await door.client.post("/console/api/login", json=body)


def cookie_header(tokens: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in tokens.items())


async def renew(door: Door, tokens: dict[str, str]) -> httpx.Response:
    """Refresh with these tokens, whatever the client holds."""
    door.client.cookies.clear()
    return await door.client.post("/console/api/refresh-token", headers={"cookie": cookie_header(tokens)})


async def test_1_9_1_takes_a_plain_password_and_answers_tokens_in_the_body():
    door = Door("1.9.1")
    tokens = (await login(door, "Passw0rd!1")).json()["data"]
    auth = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await door.client.get("/console/api/apps", headers=auth)).status_code == 200, "no CSRF there"
    renewed = await door.client.post("/console/api/refresh-token", json={"refresh_token": tokens["refresh_token"]})
    assert renewed.json()["data"]["refresh_token"] != tokens["refresh_token"]
    assert (await door.client.get("/console/api/logout", headers=auth)).status_code == 200
    assert (await door.client.post("/console/api/logout", headers=auth)).status_code == 405
    assert (await login(door, BASE64)).status_code == 401


@pytest.mark.parametrize("version", ["1.11.2", "1.13.0", "1.15"])
async def test_later_versions_want_base64_and_answer_cookies(version: str):
    door = Door(version)
    plain = await login(door, "Passw0rd!1")
    assert (plain.status_code, plain.json()["message"]) == (401, "Invalid encrypted data")
    answer = await login(door, BASE64)
    assert answer.json() == {"result": "success"}
    assert set(answer.cookies) == {"access_token", "refresh_token", "csrf_token"}
    csrf = {"x-csrf-token": answer.cookies["csrf_token"]}
    assert (await door.client.get("/console/api/apps")).status_code == 401
    assert (await door.client.get("/console/api/apps", headers=csrf)).status_code == 200


async def test_an_undecodable_password_does_not_count_towards_the_lock_and_a_wrong_one_does():
    door = Door()
    for _ in range(20):
        await login(door, "Passw0rd!1")
    assert (await login(door, BASE64)).status_code == 200
    for _ in range(6):
        assert (await login(door, base64.b64encode(b"wrong").decode())).status_code == 401
    assert (await login(door, BASE64)).status_code == 429


async def test_host_cookies_come_secure_and_are_wanted_back_under_that_name():
    emulator = Emulator(secure_cookies=True)
    transport = httpx.ASGITransport(app=emulator.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1") as client:
        answer = await client.post("/console/api/login", json={"email": emulator.email, "password": BASE64})
        assert all(value.startswith("__Host-") and "Secure" in value for value in answer.headers.get_list("set-cookie"))
        csrf = {"x-csrf-token": client.cookies["__Host-csrf_token"]}
        assert (await client.get("/console/api/apps", headers=csrf)).status_code == 200


async def test_the_refresh_token_rotates_and_the_old_access_token_lives_on():
    door = Door()
    first = await login(door, BASE64)
    tokens = dict(first.cookies)
    assert (await renew(door, tokens)).status_code == 200
    again = await renew(door, tokens)
    assert (again.status_code, again.json()) == (401, {"result": "fail", "message": "Invalid refresh token"})
    door.client.cookies.clear()
    csrf = {"x-csrf-token": tokens["csrf_token"], "cookie": cookie_header(tokens)}
    assert (await door.client.get("/console/api/apps", headers=csrf)).status_code == 200


async def test_access_tokens_live_as_long_as_told():
    clock = ShiftedClock()
    door = Door(access_seconds=60.0, clock=clock)
    answer = await login(door, BASE64)
    csrf = {"x-csrf-token": answer.cookies["csrf_token"]}
    assert (await door.client.get("/console/api/apps", headers=csrf)).status_code == 200
    clock.offset += 61
    expired = await door.client.get("/console/api/apps", headers=csrf)
    assert (expired.status_code, expired.json()["message"]) == (401, "Token has expired.")


async def test_saving_a_draft_needs_no_csrf_token():
    door = Door()
    answer = await login(door, BASE64)
    app = door.emulator.app_named("wf-llm")
    bare = {"authorization": f"Bearer {answer.cookies['access_token']}"}
    door.client.cookies.clear()
    assert (await door.client.get(f"/console/api/apps/{app.id}/workflows/draft", headers=bare)).status_code == 200
    assert (await door.client.get(f"/console/api/apps/{app.id}/workflows/publish", headers=bare)).status_code == 401


@pytest.mark.parametrize(
    ("key", "workspace", "status"),
    [("right", "right", 200), ("wrong", "right", 401), ("right", "", 401), ("right", "zzz", 500)],
)
async def test_the_admin_key_needs_its_workspace(key: str, workspace: str, status: int):
    door = Door()
    token = door.emulator.admin_key if key == "right" else "another-canary-key"
    space = door.emulator.workspace_id if workspace == "right" else workspace
    headers = {"authorization": f"Bearer {token}"} | ({"x-workspace-id": space} if space else {})
    assert (await door.client.get("/console/api/apps", headers=headers)).status_code == status


async def test_without_admin_key_there_is_none():
    door = Door(admin_key=None)
    headers = {"authorization": "Bearer None", "x-workspace-id": door.emulator.workspace_id}
    assert (await door.client.get("/console/api/apps", headers=headers)).status_code == 401


async def test_logging_out_with_the_admin_key_drops_the_owners_refresh_token():
    door = Door()
    await login(door, BASE64)
    cookies = dict(door.client.cookies)
    door.client.cookies.clear()
    await door.console("POST", "/logout")
    door.client.cookies.clear()
    assert (await renew(door, cookies)).status_code == 401


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("owner", (200, 200, 201, 204)),
        ("admin", (200, 200, 201, 204)),
        ("editor", (200, 200, 201, 403)),
        ("normal", (200, 403, 403, 403)),
        ("dataset_operator", (200, 403, 403, 403)),
    ],
)
async def test_what_each_role_may_do(role: str, may: tuple[int, ...]):
    door = Door()
    app = door.emulator.app_named("wf-llm")
    body = {"email": door.emulator.account(role).email, "password": BASE64}
    csrf = {"x-csrf-token": (await door.client.post("/console/api/login", json=body)).cookies["csrf_token"]}
    base = f"/console/api/apps/{app.id}"

    async def call(method: str, path: str) -> int:
        return (await door.client.request(method, f"{base}{path}", headers=csrf)).status_code

    statuses = (
        await call("GET", "/api-keys"),
        await call("GET", "/export?include_secret=true"),
        await call("POST", "/api-keys"),
        await call("DELETE", f"/api-keys/{app.keys[0].id}"),
    )
    assert statuses == may


async def test_a_build_can_lie_about_its_version_and_is_told_by_probing():
    door = Door("1.15", reported_version="1.14.2")
    answer = await door.client.get("/console/api/setup")
    assert (answer.headers["x-version"], answer.headers["x-env"]) == ("1.14.2", "PRODUCTION")
    assert (await door.client.get("/console/api/app-dsl-version")).json() == {"app_dsl_version": "0.6.0"}
    assert (await Door("1.13.3").client.get("/console/api/app-dsl-version")).status_code == 404

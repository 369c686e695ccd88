"""Logins against every emulated version: they renew themselves, never repeat a wrong password, and share peacefully."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.config import Context
from difyops.emulator import VERSIONS, Emulator
from difyops.errors import (
    AccountLocked,
    ConfigError,
    DifyopsError,
    NotAuthenticated,
    NotSupported,
    Refused,
    ServerFault,
)
from tests.processes import Process, run

LOGIN, REFRESH = "POST /console/api/login", "POST /console/api/refresh-token"
WORKSPACE = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHT", "Passw0rd!1")
    monkeypatch.setenv("WRONG", "not-the-passw0rd")
    monkeypatch.setenv("ADMIN", "admin-canary-key")


def context(url: str, **values: Any) -> Context:
    return Context(**({"name": "t", "url": url, "email": "admin@example.com", "password": "env:RIGHT"} | values))


@asynccontextmanager
async def opened(where: Context, state: Path, **options: Any) -> AsyncIterator[Instance]:
    instance = await connect(where, ConnectOptions(state=state, **options))
    try:
        yield instance
    finally:
        await instance.close()


async def names(instance: Instance) -> list[str]:
    return [app.name async for app in instance.console.apps()]


def routes(emulator: Emulator) -> dict[str, int]:
    found: Any = emulator.control.counts()["routes"]
    return dict(found)


@contextmanager
def running(*arguments: Any, **settings: Any) -> Iterator[tuple[Emulator, str]]:
    emulator = Emulator(*arguments, **settings)
    with emulator.listening() as url:
        yield emulator, url


def session_file(state: Path) -> Path:
    (found,) = (state / "sessions").glob("*.json")
    return found


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_lets_a_login_in_and_knows_who_it_is(version: str, tmp_path: Path) -> None:
    with running(version) as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            info = await instance.workspace.identify()
            assert (info.account, info.role, info.workspace_id) == (
                "admin@example.com",
                "owner",
                emulator.workspace_id,
            )
            assert "wf-echo" in await names(instance)
        assert routes(emulator)[LOGIN] == 2  # the probe with nobody's address, and the login


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_lets_the_admin_key_in_without_a_login(version: str, tmp_path: Path) -> None:
    with running(version, workspace_id=WORKSPACE) as (emulator, url):
        where = context(url, email=None, password=None, admin_key="env:ADMIN", workspace_id=WORKSPACE)
        async with opened(where, tmp_path) as instance:
            info = await instance.workspace.identify()
            assert (info.role, info.workspace_id) == ("owner", WORKSPACE)
        assert LOGIN not in routes(emulator)
    assert not (tmp_path / "sessions").exists()


@pytest.mark.parametrize(
    ("is_really", "says"), [("1.9.1", "1.15.0"), ("1.15", "1.9.1"), ("1.11.2", "main"), ("1.13.0", "")]
)
async def test_a_build_that_lies_about_its_version_is_found_out(is_really: str, says: str, tmp_path: Path) -> None:
    with running(is_really, reported_version=says) as (_, url):
        async with opened(context(url), tmp_path) as instance:
            assert (await instance.workspace.identify()).role == "owner"
            assert "wf-echo" in await names(instance)


async def test_cookies_with_the_host_prefix_are_understood(tmp_path: Path) -> None:
    with running(secure_cookies=True) as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            await names(instance)
            emulator.control.mood("expired_session")
            await names(instance)
        assert json.loads(session_file(tmp_path).read_text())["tokens"]["prefix"] == "__Host-"
        assert routes(emulator)[LOGIN] == 2


async def test_the_next_process_uses_the_stored_session(tmp_path: Path) -> None:
    with running() as (emulator, url):
        for _ in range(3):
            async with opened(context(url), tmp_path) as instance:
                await names(instance)
        assert routes(emulator)[LOGIN] == 2


async def test_a_stored_session_is_for_its_owner_only(tmp_path: Path) -> None:
    with running() as (emulator, url):
        async with opened(context(url), tmp_path / "state") as instance:
            await names(instance)
        stored = session_file(tmp_path / "state")
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600
        assert stat.S_IMODE(stored.parent.stat().st_mode) == 0o700
        assert emulator.password not in stored.read_text()
        assert "admin" not in stored.name


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"tokens": 7}', '{"tokens": {"access": "a"}}', "\x00\xff", "[" * 100_000]
)
async def test_a_stored_session_that_is_broken_means_a_new_login(content: str, tmp_path: Path) -> None:
    with running() as (_, url):
        async with opened(context(url), tmp_path) as instance:
            await names(instance)
        session_file(tmp_path).write_text(content)
        async with opened(context(url), tmp_path) as instance:
            assert await names(instance)


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
async def test_an_expired_session_is_renewed_once_in_the_middle_of_a_fleet(version: str, tmp_path: Path) -> None:
    with running(version) as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            ids = [app.id async for app in instance.console.apps()]
            emulator.control.reset_counts()
            emulator.control.mood("expired_session")
            details = await asyncio.gather(*(instance.console.app(item) for item in ids * 5))
            assert len(details) == 5 * len(ids)
        assert routes(emulator)[REFRESH] == 1
        assert LOGIN not in routes(emulator)


async def test_a_dead_session_means_one_new_login_for_a_whole_fleet(tmp_path: Path) -> None:
    with running() as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            ids = [app.id async for app in instance.console.apps()]
            emulator.control.reset_counts()
            emulator.control.mood("dead_session")
            await asyncio.gather(*(instance.console.app(item) for item in ids * 3))
        assert routes(emulator)[LOGIN] == 1
        assert routes(emulator)[REFRESH] == 1


async def test_a_session_expires_again_and_again_and_the_work_goes_on(tmp_path: Path) -> None:
    with running() as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            for _ in range(5):
                emulator.control.mood("expired_session")
                assert await names(instance)
        assert routes(emulator)[LOGIN] == 2


def test_two_processes_at_once_never_log_each_other_out(tmp_path: Path) -> None:
    """Six real processes over one stored session that has just expired: one refresh in all, and no second login."""
    with running() as (emulator, url):
        environment = {
            **os.environ,
            "DIFY_BASE_URL": url,
            "DIFY_EMAIL": emulator.email,
            "DIFY_PASSWORD": emulator.password,
            "DIFYOPS_STATE": str(tmp_path / "shared"),
        }
        words = [sys.executable, "-m", "difyops", "app", "list", "-o", "name"]
        run(words, env=environment, check=True, capture_output=True)
        for _ in range(2):
            emulator.control.reset_counts()
            emulator.control.mood("expired_session")
            children = [Process(words, env=environment, stdout=subprocess.PIPE) for _ in range(6)]
            outputs = {child.communicate(timeout=60)[0] for child in children}
            assert [child.returncode for child in children] == [0] * 6
            assert len(outputs) == 1
            assert routes(emulator)[REFRESH] == 1
            assert LOGIN not in routes(emulator)


async def test_a_wrong_password_is_sent_once_and_remembered(tmp_path: Path) -> None:
    with running() as (emulator, url):
        for _ in range(4):
            async with opened(context(url, password="env:WRONG"), tmp_path) as instance:
                with pytest.raises(NotAuthenticated) as caught:
                    await asyncio.gather(*(names(instance) for _ in range(4)))
                assert "refused" in caught.value.message
                assert caught.value.hint
        assert emulator.account("owner").failures == 1
        stored = session_file(tmp_path).read_text()
        assert "not-the-passw0rd" not in stored
        assert "not-the" not in str(caught.value)


async def test_a_corrected_password_is_tried(tmp_path: Path) -> None:
    with running() as (_, url):
        async with opened(context(url, password="env:WRONG"), tmp_path) as instance:
            with pytest.raises(NotAuthenticated):
                await names(instance)
        async with opened(context(url), tmp_path) as instance:
            assert await names(instance)


async def test_a_refused_password_is_sent_again_only_when_asked_to(tmp_path: Path) -> None:
    with running(password="not-the-passw0rd-yet") as (emulator, url):
        where = context(url, password="env:WRONG")
        async with opened(where, tmp_path) as instance:
            with pytest.raises(NotAuthenticated):
                await names(instance)
        emulator.account("owner").password = "not-the-passw0rd"
        async with opened(where, tmp_path) as instance:
            with pytest.raises(NotAuthenticated, match="not sent again"):
                await names(instance)
        async with opened(where, tmp_path, login_again=True) as instance:
            assert await names(instance)


async def test_a_locked_account_is_named_as_such(tmp_path: Path) -> None:
    with running() as (emulator, url):
        emulator.account("owner").failures = 6
        async with opened(context(url), tmp_path) as instance:
            with pytest.raises(AccountLocked) as caught:
                await names(instance)
        assert caught.value.exit_code == 4
        assert routes(emulator)[LOGIN] == 2
        emulator.account("owner").failures = 0
        emulator.account("owner").locked_until = 0.0
        async with opened(context(url), tmp_path) as instance:
            assert await names(instance)  # the lock was not taken for a wrong password


async def test_redis_being_down_is_not_a_dead_session(tmp_path: Path) -> None:
    with running() as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            await names(instance)
            before = session_file(tmp_path).read_text()
            emulator.control.mood("expired_session")
            emulator.control.mood("redis_down")
            with pytest.raises(ServerFault, match="renew the login"):
                await names(instance)
            assert routes(emulator)[LOGIN] == 2
            assert session_file(tmp_path).read_text() == before
            emulator.control.mood("redis_down", on=False)
            assert await names(instance)
        assert routes(emulator)[LOGIN] == 2


async def test_redis_being_down_at_the_login_does_not_discredit_the_password(tmp_path: Path) -> None:
    with running() as (emulator, url):
        emulator.control.mood("redis_down")
        async with opened(context(url), tmp_path) as instance:
            with pytest.raises(DifyopsError):
                await names(instance)
            emulator.control.mood("redis_down", on=False)
            assert await names(instance)


@pytest.mark.parametrize("how", ["status:502", "status:429", "status:500", "status:404", "reset", "garbage"])
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_login_that_meets_a_fault_does_not_cost_the_account(how: str, nth: int, tmp_path: Path) -> None:
    """The probe or the login itself fails: the right password is never taken for a wrong one, nor counted as one."""
    with running() as (emulator, url):
        emulator.control.fail(method="POST", path="login$", nth=nth, how=how)
        async with opened(context(url), tmp_path) as instance:
            for _ in range(2):
                try:
                    found = await names(instance)
                except DifyopsError:
                    found = []
            assert found
        assert emulator.account("owner").failures == 0


async def test_a_wrong_password_is_not_counted_twice_when_the_answer_is_lost(tmp_path: Path) -> None:
    with running() as (emulator, url):
        emulator.control.fail(method="POST", path="login$", nth=2, times=10, how="lost")
        async with opened(context(url, password="env:WRONG"), tmp_path) as instance:
            with pytest.raises(DifyopsError):
                await names(instance)
        assert emulator.account("owner").failures == 1


@pytest.mark.parametrize("how", ["reset", "status:502", "status:429", "hang"])
async def test_a_refresh_that_meets_a_fault_is_not_a_dead_session(how: str, tmp_path: Path) -> None:
    with running() as (emulator, url):
        where = context(url, timeout=1.0)
        async with opened(where, tmp_path) as instance:
            await names(instance)
            emulator.control.mood("expired_session")
            emulator.control.fail(path="refresh-token", how=how)
            try:
                found = await names(instance)
            except DifyopsError:
                found = await names(instance)
            assert found
        assert routes(emulator)[LOGIN] == 2


async def test_a_refresh_whose_answer_was_lost_ends_in_a_new_login(tmp_path: Path) -> None:
    with running() as (emulator, url):
        async with opened(context(url), tmp_path) as instance:
            await names(instance)
            emulator.control.mood("expired_session")
            emulator.control.fail(path="refresh-token", how="lost")
            assert await names(instance)
        assert routes(emulator)[LOGIN] == 3


async def test_a_context_that_names_another_workspace_is_refused(tmp_path: Path) -> None:
    with running() as (_, url):
        with pytest.raises(Refused, match="another one") as caught:
            await connect(context(url, workspace_id=WORKSPACE), ConnectOptions(state=tmp_path))
        assert caught.value.exit_code == 8


async def test_a_context_that_names_its_workspace_connects(tmp_path: Path) -> None:
    with running(workspace_id=WORKSPACE) as (_, url):
        async with opened(context(url, workspace_id=WORKSPACE), tmp_path) as instance:
            assert await names(instance)


class TestAdminKey:
    """What can be wrong with it."""

    async def test_a_wrong_key_is_not_authenticated(self, tmp_path: Path) -> None:
        with running(workspace_id=WORKSPACE) as (_, url):
            where = context(url, email=None, password=None, admin_key="env:WRONG", workspace_id=WORKSPACE)
            async with opened(where, tmp_path) as instance:
                with pytest.raises(NotAuthenticated):
                    await names(instance)

    async def test_another_workspace_is_not_authenticated(self, tmp_path: Path) -> None:
        with running() as (_, url):
            where = context(url, email=None, password=None, admin_key="env:ADMIN", workspace_id=WORKSPACE)
            async with opened(where, tmp_path) as instance:
                with pytest.raises(NotAuthenticated):
                    await names(instance)

    @pytest.mark.parametrize("workspace", [None, "default", "0000"])
    async def test_it_needs_the_id_of_a_workspace(self, workspace: str | None, tmp_path: Path) -> None:
        with running() as (_, url):
            where = context(url, email=None, password=None, admin_key="env:ADMIN", workspace_id=workspace)
            with pytest.raises(ConfigError, match="workspace_id"):
                await connect(where, ConnectOptions(state=tmp_path))

    async def test_versions_that_break_it_are_named(self, tmp_path: Path) -> None:
        with running(reported_version="1.10.0", workspace_id=WORKSPACE) as (_, url):
            where = context(url, email=None, password=None, admin_key="env:ADMIN", workspace_id=WORKSPACE)
            with pytest.raises(NotSupported, match=r"1\.10\.0") as caught:
                await connect(where, ConnectOptions(state=tmp_path))
            assert caught.value.exit_code == 6

    async def test_versions_that_break_it_are_served_by_the_login_of_the_same_context(self, tmp_path: Path) -> None:
        with running(reported_version="1.10.0", workspace_id=WORKSPACE) as (_, url):
            async with opened(context(url, admin_key="env:ADMIN", workspace_id=WORKSPACE), tmp_path) as instance:
                assert await names(instance)


async def test_a_context_without_credentials_says_what_to_set(tmp_path: Path) -> None:
    with running() as (_, url):
        with pytest.raises(ConfigError) as caught:
            await connect(context(url, email=None, password=None), ConnectOptions(state=tmp_path))
        assert "email and password" in (caught.value.hint or "")


async def test_an_instance_that_nobody_set_up_says_where_to(tmp_path: Path) -> None:
    with running(is_set_up=False) as (_, url), pytest.raises(NotAuthenticated, match="not set up") as caught:
        await connect(context(url), ConnectOptions(state=tmp_path))
    assert "/install" in (caught.value.hint or "")


async def test_a_slow_command_for_the_password_does_not_stop_the_loop(tmp_path: Path) -> None:
    with running() as (emulator, url):
        where = context(url, password=f"cmd:sh -c 'sleep 0.5; printf %s {emulator.password}'")
        async with opened(where, tmp_path) as instance:
            ticks = 0
            work = asyncio.create_task(names(instance))
            while not work.done():
                await asyncio.sleep(0.02)
                ticks += 1
            assert await work
            assert ticks > 15

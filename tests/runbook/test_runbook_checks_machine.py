"""Checks of this machine and of other addresses: disk, tcp, http, command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Warn
from tests.faults import answer, certificate, free_port, serving, tls_with
from tests.runbook.runbook_tools import check, resources_at
from tests.waiting import passed


async def _checked(folder: Path, name: str, **parameters: Any) -> Result:
    async with resources_at(folder) as resources:
        return await check(resources, name, **parameters)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"min_free_percent": 0}, Pass),
        ({"min_free_percent": 101}, Fail),
        ({"min_free_percent": 0, "min_free_gb": 10**9}, Fail),
        ({"min_free_percent": 0, "warn_free_percent": 101}, Warn),
        ({"path": "/no/such/folder"}, Inconclusive),
    ],
)
async def test_disk(tmp_path: Path, parameters: dict[str, Any], kind: type) -> None:
    assert isinstance(await _checked(tmp_path, "disk", **{"path": str(tmp_path), **parameters}), kind)


async def test_tcp(tmp_path: Path) -> None:
    with serving(answer(200, {})) as served:
        host, port = "127.0.0.1", int(served.url.rpartition(":")[2])
        assert isinstance(await _checked(tmp_path, "tcp", host=host, port=port), Pass)
        assert isinstance(await _checked(tmp_path, "tcp", host=host, port=port, max_seconds=0), Fail)
    assert isinstance(await _checked(tmp_path, "tcp", host=host, port=free_port()), Fail)
    for unknown in ("no-such-host.invalid", "a..b"):
        found = await _checked(tmp_path, "tcp", host=unknown, port=1)
        assert isinstance(found, Inconclusive)
        assert found.text == f"the name {unknown} is not known here"
    assert isinstance(await _checked(tmp_path, "tcp", host=host, port=70000), Inconclusive)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({}, Pass),
        ({"status": ["200"], "json_has": {"status": "ok", "parts.0.up": True}}, Pass),
        ({"json_has": {"parts.1.up": True}}, Fail),
        ({"status": ["3xx"]}, Fail),
        ({"contains": "welcome"}, Fail),
        ({"max_seconds": 0}, Fail),
        ({"bearer": "env:NOT_SET_ANYWHERE"}, Inconclusive),
    ],
)
async def test_http(tmp_path: Path, parameters: dict[str, Any], kind: type) -> None:
    with serving(answer(200, {"status": "ok", "parts": [{"up": True}]})) as served:
        found = await _checked(tmp_path, "http", url=f"{served.url}/health", **parameters)
    assert isinstance(found, kind), found


async def test_http_that_does_not_answer_fails_and_no_url_is_inconclusive(tmp_path: Path) -> None:
    assert isinstance(await _checked(tmp_path, "http", url=f"http://127.0.0.1:{free_port()}/"), Fail)
    assert isinstance(await _checked(tmp_path, "http", url="ftp://example.com"), Inconclusive)


async def test_a_certificate_that_ends_soon_is_a_warning_and_an_unknown_one_fails(tmp_path: Path) -> None:
    files = certificate(tmp_path, days=5)
    if files is None:
        pytest.skip("openssl is not installed on this machine")
    with serving(answer(200, {}), tls=tls_with(files)) as served:
        url, own = served.url.replace("http://", "https://"), str(files[0])
        soon = await _checked(tmp_path, "http", url=url, ca_file=own)
        fine = await _checked(tmp_path, "http", url=url, ca_file=own, min_certificate_days=1)
        unknown = await _checked(tmp_path, "http", url=url)
    assert isinstance(soon, Warn), soon
    assert isinstance(fine, Pass), fine
    assert isinstance(unknown, Fail)
    assert "certificate" in unknown.text


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"argv": ["true"]}, Pass),
        ({"argv": ["false"]}, Fail),
        ({"argv": ["false"], "good": ["1"]}, Pass),
        ({"argv": ["false"], "warning": ["1"]}, Warn),
        ({"argv": ["echo", "hello"], "expect": "hello"}, Pass),
        ({"argv": ["echo", "hello"], "expect": "world"}, Fail),
        ({"argv": ["/no/such/program"]}, Inconclusive),
        ({"argv": []}, Inconclusive),
        ({"argv": ["sleep", "30"], "patience": "200ms"}, Inconclusive),
    ],
)
async def test_command(tmp_path: Path, parameters: dict[str, Any], kind: type) -> None:
    found = await _checked(tmp_path, "command", **parameters)
    assert isinstance(found, kind), found


async def test_a_program_gets_no_environment_but_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_ENV", "canary-value-17")
    monkeypatch.setenv("WANTED", "wanted-value")
    found = await _checked(tmp_path, "command", argv=["env"], env=["WANTED"])
    assert "canary-value-17" not in found.excerpt
    found = await _checked(tmp_path, "command", argv=["env"], env=["WANTED"], expect="WANTED=wanted-value")
    assert isinstance(found, Pass)


async def test_what_a_stopped_program_started_is_stopped_too(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    script = f"sh -c 'sleep 1; touch {mark}' & sleep 30"
    await _checked(tmp_path, "command", argv=["sh", "-c", script], patience="200ms")
    await passed(1.3)
    assert not mark.exists()


async def test_a_runbook_that_others_can_write_may_not_run_programs(tmp_path: Path) -> None:
    async with resources_at(tmp_path, trusts_commands=False) as resources:
        found = await check(resources, "command", argv=["true"])
    assert isinstance(found, Inconclusive)
    assert "chmod" in found.text

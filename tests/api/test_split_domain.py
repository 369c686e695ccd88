"""Console and service API on different hosts: keys go to the host that the context names for them, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from difyops.api.service import Service, other_service_url
from difyops.config import Context
from difyops.emulator import Emulator
from difyops.errors import NotFound
from difyops.secret_text import SecretText
from tests.api.opening import opened
from tests.conftest import Cli
from tests.faults import answer, serving

PAGE = answer(404, b"<html>404</html>", content_type="text/html")


async def test_keys_go_to_api_url_alone(emulator: Emulator, url: str, tmp_path: Path) -> None:
    with serving(answer(200, {"name": "an app"})) as service:
        async with opened(url, tmp_path, api_url=service.url, password=f"env:{_password(emulator)}") as instance:
            assert instance.service_transport.base_url == service.url
            await Service(instance.service_transport, SecretText("app-canary"), "chat").info()
        assert [item.path for item in service.asked] == ["/v1/info"]
        assert service.asked[0].headers["authorization"] == "Bearer app-canary"


async def test_without_it_everything_goes_to_url(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path, password=f"env:{_password(emulator)}") as instance:
        assert instance.service_transport is instance.transport
        assert await other_service_url(instance) is None  # the emulator's apps name this machine


async def test_a_host_without_v1_is_told_with_the_way_out() -> None:
    from difyops.api.transport import Transport

    with serving(PAGE) as server:
        transport = Transport(server.url)
        with pytest.raises(NotFound, match="no service API") as caught:
            await Service(transport, SecretText("app-canary"), "chat").info()
        await transport.close()
    assert "api_url" in (caught.value.hint or "")


def test_the_context_takes_it_and_shows_it(cli: Cli) -> None:
    added = cli(
        "context", "add", "prod", "--url", "https://console.example.com", "--api-url", "https://api.example.com/v1"
    )
    assert added.code == 0, added.err
    assert cli("context", "show", "prod", "-o", "json").json["data"]["context"]["api_url"] == "https://api.example.com"
    assert Context(name="x", url="https://a").service_url == "https://a"


def _password(emulator: Emulator) -> str:
    import os

    os.environ["SPLIT_PASSWORD"] = emulator.password
    return "SPLIT_PASSWORD"

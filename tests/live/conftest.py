"""Somebody at the web page of the real instance, for every live test; without ``DIFY_BASE_URL`` they are skipped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import httpx
import pytest

from difyops import config
from difyops.api.instance import ConnectOptions, connect
from difyops.api.messages import HttpCall
from tests.snapshot.colleague import Colleague

ENVIRONMENT = {name: value for name, value in os.environ.items() if name.startswith("DIFY")}


class Watched(httpx.Auth):
    """Sends with difyops' own login, so that this works with a password and with an admin key."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    async def learn(self) -> None:
        settings = config.load()
        instance = await connect(settings.context(), ConnectOptions(state=settings.state))
        try:
            flow = instance.console.auth.flow(HttpCall(method="GET", origin=instance.transport.origin, target="/"))
            await instance.workspace.identify()
            self.headers = (await anext(flow)).headers
            await flow.aclose()
        finally:
            await instance.close()


@pytest.fixture
def colleague(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> Colleague:
    if "DIFY_BASE_URL" not in ENVIRONMENT:
        pytest.skip("DIFY_BASE_URL is not set")
    for name, value in ENVIRONMENT.items():
        if not name.startswith("DIFYOPS_"):
            monkeypatch.setenv(name, value)
    watched = Watched()
    asyncio.run(watched.learn())
    somebody = Colleague(config.load().context().url, "", "")
    somebody.http.headers.clear()
    somebody.http.headers.update(watched.headers)
    return somebody

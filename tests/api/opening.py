"""Opening an instance against an emulator on a socket: what the tests of the surfaces share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.config import Context


@asynccontextmanager
async def opened(url: str, state: Path, **values: Any) -> AsyncIterator[Instance]:
    """Open ``url`` with the emulator's account; the password is in the environment under ``RIGHT``."""
    fields: dict[str, Any] = {"name": "t", "url": url, "email": "admin@example.com", "password": "env:RIGHT"}
    instance = await connect(Context(**(fields | values)), ConnectOptions(state=state))
    try:
        yield instance
    finally:
        await instance.close()

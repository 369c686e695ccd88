"""``tcp``: does something listen there?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time

from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Result, Value, held


async def check(
    resources: Resources, *, host: str, port: int, max_seconds: Duration | None = None, patience: Duration = 5.0
) -> Result:
    """Open a connection and close it again; refused or silent is a failure, an unknown name is inconclusive."""
    if not 0 < port < 65536:
        return Inconclusive(text=f"{port} is not a port")
    began = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Fail(text=f"{host}:{port} did not answer within {patience:g} s")
    except (socket.gaierror, UnicodeError):  # its words differ from system to system; a..b cannot even be asked for
        return Inconclusive(text=f"the name {host} is not known here")
    except OSError as error:
        return Fail(text=f"{host}:{port}: {os.strerror(error.errno) if error.errno else error}")
    took = round(time.monotonic() - began, 4)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    value = Value(name="seconds", value=took, unit="s", fail=max_seconds)
    return held(value, f"{host}:{port} answered in {took * 1000:.1f} ms")

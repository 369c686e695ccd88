"""The one page that every server shows without a login, asked with a connection of its own: does anybody answer?"""

from __future__ import annotations

from typing import Any

from difyops.api.faults import NO_ROUTE
from difyops.api.transport import Transport, TransportOptions
from difyops.config import Context
from difyops.errors import DifyopsError, NotFound
from difyops.runbook.scene import Scene


async def setup_page(scene: Scene, context: Context, patience: float) -> Any:
    """Return the answer to ``GET /console/api/setup``, asked once.

    Raises:
        Unreachable, TimedOut: nobody answers. ServerFault: 5xx. Refused: the context is of a file nobody trusted.
        DifyopsError: another refusal.
    """
    context.require_trust()
    options = TransportOptions(connect=min(patience, 10.0), read=patience, tries=1, ca_file=context.ca_file)
    transport = Transport(context.url, options, clock=scene.clock)
    try:
        return await transport.request("GET", "/console/api/setup", doing="reach the api")
    finally:
        await transport.close()


async def lacks_service(scene: Scene, context: Context, patience: float) -> bool:
    """Say whether nothing at the address for app keys is the service API (``/v1``): no such route there.

    Asked without a key, so a service refuses; what is in doubt (no answer in time, a fault) is no lack.
    """
    options = TransportOptions(connect=min(patience, 10.0), read=patience, tries=1, ca_file=context.ca_file)
    transport = Transport(context.api_url or context.url, options, clock=scene.clock)
    try:
        await transport.request("GET", "/v1/info", doing="look for the service API")
    except NotFound as error:
        return error.server_code == NO_ROUTE
    except DifyopsError:
        return False
    finally:
        await transport.close()
    return False


def is_console(answer: Any) -> bool:
    """Say whether a Dify console answered: a portal or a parking page says yes to everything."""
    return b'"step"' in answer.content

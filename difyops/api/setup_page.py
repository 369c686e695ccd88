"""The one page that every server shows without a login (``GET /console/api/setup``), and the service API's front."""

from __future__ import annotations

from typing import TYPE_CHECKING

from difyops.api.console import BASE
from difyops.api.faults import NO_ROUTE
from difyops.errors import DifyopsError, NotFound

if TYPE_CHECKING:
    from difyops.api.messages import HttpAnswer
    from difyops.api.transport import Transport


async def setup_page(transport: Transport, *, doing: str) -> HttpAnswer:
    """Return the answer as it is: its headers carry the server's version and clock."""
    return await transport.request("GET", f"{BASE}/setup", doing=doing)


def is_console(answer: HttpAnswer) -> bool:
    """Say whether a Dify console answered: a portal or a parking page says yes to everything."""
    return b'"step"' in answer.content


async def lacks_service(transport: Transport) -> bool:
    """Say whether nothing there is the service API (``GET /v1/info``): no such route.

    Asked without a key, so a service refuses; what is in doubt (no answer in time, a fault) is no lack.
    """
    try:
        await transport.request("GET", "/v1/info", doing="look for the service API")
    except NotFound as error:
        return error.server_code == NO_ROUTE
    except DifyopsError:
        return False
    return False

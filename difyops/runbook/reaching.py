"""Reaching an instance with a connection of its own, asked once: does anybody answer?"""

from __future__ import annotations

from typing import Any

from difyops.api import setup_page as pages
from difyops.api.setup_page import is_console
from difyops.api.transport import Transport, TransportOptions
from difyops.config import Context
from difyops.runbook.resources import Resources

__all__ = ["is_console", "lacks_service", "setup_page"]


async def setup_page(resources: Resources, context: Context, patience: float) -> Any:
    """Return the answer to ``GET /console/api/setup``.

    Raises:
        Unreachable, TimedOut: nobody answers. ServerFault: 5xx. Refused: the context is of a file nobody trusted.
        DifyopsError: another refusal.
    """
    context.require_trust()
    transport = _transport(resources, context, context.url, patience)
    try:
        return await pages.setup_page(transport, doing="reach the api")
    finally:
        await transport.close()


async def lacks_service(resources: Resources, context: Context, patience: float) -> bool:
    """Say whether nothing at the address for app keys is the service API."""
    transport = _transport(resources, context, context.api_url or context.url, patience)
    try:
        return await pages.lacks_service(transport)
    finally:
        await transport.close()


def _transport(resources: Resources, context: Context, url: str, patience: float) -> Transport:
    options = TransportOptions(connect=min(patience, 10.0), read=patience, tries=1, ca_file=context.ca_file)
    return Transport(url, options, clock=resources.clock)

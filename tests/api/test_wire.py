"""What goes over the wire, seen by a router that stands where the network is."""

from __future__ import annotations

import httpx
import pytest
import respx

from difyops import __version__
from difyops.api.auth import AdminKey, ServiceKey
from difyops.api.capabilities import Capabilities
from difyops.api.console import Console
from difyops.api.service import Service
from difyops.api.transport import Transport, TransportOptions
from difyops.errors import ServerFault
from difyops.secret_text import SecretText

BASE = "http://dify.test"
WORKSPACE = "6513270e-269e-4d37-b2a7-4de452e6b438"


def carried_by(router: respx.Router) -> Transport:
    return Transport(BASE, TransportOptions(backoff=0.0), carrier=httpx.MockTransport(router.async_handler))


async def test_the_admin_key_travels_with_its_workspace_and_nothing_else() -> None:
    router = respx.Router(assert_all_called=False)
    route = router.get(f"{BASE}/console/api/apps").respond(json={"data": [], "has_more": False, "total": 0})
    transport = carried_by(router)
    console = Console(transport, AdminKey(SecretText("admin-canary"), WORKSPACE), Capabilities("1.13.0"))
    assert [app async for app in console.apps()] == []
    sent = route.calls.last.request
    assert sent.headers["authorization"] == "Bearer admin-canary"
    assert sent.headers["x-workspace-id"] == WORKSPACE
    assert sent.headers["user-agent"] == f"difyops/{__version__}"
    assert "cookie" not in sent.headers
    assert sent.url.params["limit"] == "100"


async def test_a_read_is_repeated_after_503_and_a_write_is_not() -> None:
    router = respx.Router(assert_all_called=False)
    down = httpx.Response(503, json={"code": "unknown", "message": "busy", "status": 503})
    read = router.get(f"{BASE}/v1/info").mock(side_effect=[down, httpx.Response(200, json={"name": "x"})])
    write = router.post(f"{BASE}/console/api/apps/a/workflows/publish").mock(return_value=down)
    transport = carried_by(router)
    key = SecretText("app-canary")
    assert (await Service(transport, key, "chat").info())["name"] == "x"
    assert read.call_count == 2
    console = Console(transport, ServiceKey(key), Capabilities("1.13.0"))
    with pytest.raises(ServerFault):
        await console.publish("a")
    assert write.call_count == 1

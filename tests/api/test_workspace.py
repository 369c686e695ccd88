"""The workspace we act in, on servers that tell it in three ways: POST, GET, and the summary of builds after 1.16.1."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.api import faults
from difyops.api.workspace import WorkspaceCalls
from difyops.errors import NotFound

SUMMARY = {"id": "0b7d2f60-3f0e-4c1e-9d53-1f8f4f8f0001", "name": "Ops", "role": "owner", "plan": None, "credits": None}


class OneRoute:
    """A console on which one route of the workspace is there and the others are not."""

    def __init__(self, route: str, code: str = faults.NO_ROUTE) -> None:
        self.route, self.code, self.asked = route, code, list[str]()

    async def send(self, method: str, path: str, body: Any, **_: Any) -> Any:
        return self.answer(f"{method} {path}")

    async def get(self, path: str, **_: Any) -> Any:
        return self.answer(f"GET {path}")

    def answer(self, route: str) -> Any:
        self.asked.append(route)
        if route != self.route:
            raise NotFound("no such route", status=404, server_code=self.code)
        return SUMMARY


@pytest.mark.parametrize(
    "route", ["POST /workspaces/current", "GET /workspaces/current", "GET /workspaces/current/summary"]
)
async def test_the_workspace_is_read_where_the_server_tells_it(route: str) -> None:
    console = OneRoute(route)
    assert (await WorkspaceCalls(console).current())["id"] == SUMMARY["id"]  # type: ignore[arg-type]
    assert console.asked[-1] == route


async def test_a_workspace_that_is_not_there_is_no_missing_route() -> None:
    console = OneRoute("none", code="not_found")
    with pytest.raises(NotFound):
        await WorkspaceCalls(console).current()  # type: ignore[arg-type]
    assert len(console.asked) == 1

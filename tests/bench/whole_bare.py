"""The baseline of a whole broadcast: list, key, form and run of every app in one aiohttp loop, nothing else.

``python whole_bare.py broadcast`` makes the calls of ``difyops broadcast --to all``, ``keys`` those of
``difyops secret list``. The instance comes from the environment, as for the command.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import aiohttp

BODY: Any = {"inputs": {"text": "Are you well?"}, "user": "bench", "response_mode": "streaming"}
POLITE = 4


async def main(what: str) -> int:
    """Make the calls; return how many apps were reached."""
    base = os.environ["DIFY_BASE_URL"]
    mine = {
        "Authorization": f"Bearer {os.environ['DIFY_ADMIN_KEY']}",
        "X-WORKSPACE-ID": os.environ["DIFY_WORKSPACE_ID"],
    }
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def got(path: str, headers: dict[str, str]) -> Any:
            async with session.get(base + path, headers=headers) as answer:
                return json.loads(await answer.read())

        async def asked(app: str) -> int:
            keys = await got(f"/console/api/apps/{app}/api-keys", mine)
            headers = {"Authorization": f"Bearer {keys['data'][0]['token']}"}
            await got("/v1/parameters", headers)
            async with session.post(f"{base}/v1/workflows/run", json=BODY, headers=headers) as answer:
                async for line in answer.content:
                    if line.startswith(b"data:") and json.loads(line[5:])["event"] == "workflow_finished":
                        return 1
            return 0

        async def keyed(app: str) -> int:
            async with slots:
                live = await got(f"/console/api/apps/{app}/workflows/publish", mine)
            async with slots:
                keys = await got(f"/console/api/apps/{app}/api-keys", mine)
            return len(keys["data"]) + len(live["environment_variables"])

        slots = asyncio.Semaphore(POLITE)
        await got("/console/api/setup", {})
        rows: list[Any] = []
        more = True
        while more:
            body = await got(f"/console/api/apps?page={len(rows) // 100 + 1}&limit=100", mine)
            rows += body["data"]
            more = body["has_more"]
        if what == "keys":
            for path in (
                "workspaces/current/model-providers",
                "workspaces/current/tool-providers",
                "datasets/api-keys",
            ):
                await got(f"/console/api/{path}", mine)
        work = asked if what == "broadcast" else keyed
        return sum(await asyncio.gather(*(work(row["id"]) for row in rows)))


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1])))

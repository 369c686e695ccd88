"""A process that rotates, and is killed with SIGKILL at a chosen checkpoint.

It gets one job as its argument, in JSON; it ends with ``-9`` when it was killed, ``0`` when it came to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from difyops.rotation.engine import Driver, turn_back
from difyops.rotation.prepare import RotationRequest
from tests.rotation.rig import CASES, Rig


def killer(point: int) -> Callable[[str], None]:
    """Return a checkpoint that kills this process when it is reached for the ``point``-th time; 0 never does."""
    passed = 0

    def checkpoint(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return checkpoint


async def work(job: dict[str, Any]) -> None:
    shared = job.get("shared", "")
    rig = Rig(url=job["url"], workspace_id=job["workspace"], state=Path(job["state"]), shared=shared)
    checkpoint, case = killer(job["point"]), CASES[job["kind"]]
    match job["job"]:
        case "rotate":
            asked = RotationRequest(no_probe=True, deliver=(f"file:{job['place']}",) if job["place"] else ())
            await rig.rotate(case, asked, checkpoint=checkpoint, grace=job["grace"], wait=job["wait"])
        case "revert":
            async with rig.bench(checkpoint) as bench:
                rotation = bench.journal.open()[0]
                await Driver(bench).drive(await turn_back(bench, rotation))
        case _:
            await rig.resume(checkpoint=checkpoint)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))

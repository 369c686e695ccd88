"""``ledger.whole``: is the record of what was done complete and unchanged?"""

from __future__ import annotations

from difyops.errors import StoreError
from difyops.ledger import Ledger
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped
from difyops.runbook.scene import Scene
from difyops.runbook.threads import apart


async def check(scene: Scene, *, must_exist: bool = False) -> Result:
    """Check the ledger's file and the chain of its audit trail. Where none was written yet there is nothing to check,
    which is inconclusive when it ``must_exist``.
    """
    path = scene.config.state / "ledger.sqlite3"
    if not path.exists():
        text = "nothing was written yet"
        return Inconclusive(text=text) if must_exist else Skipped(text=text)

    def looked() -> list[str]:
        with Ledger.open(path) as ledger:
            return ledger.check()

    try:
        problems = await apart(looked)
    except StoreError as error:
        return Fail(text=error.message, hint=error.hint)
    return Fail(text=problems[0], excerpt="; ".join(problems)) if problems else Pass(text="whole")

"""Child processes that do one operation and kill themselves (SIGKILL) at numbered step K. ``K = -1`` counts the steps.

rollback APP TAG K          create TAG K          finish|undo APP K
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from difyops import config
from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.git_store import GitStore
from difyops.ledger import Ledger
from difyops.snapshot.history import kept_app
from difyops.snapshot.rollback import RollbackOptions, roll_back
from difyops.snapshot.take import TakeOptions, take
from difyops.workspace import Workspace


class Steps:
    """Counts checkpoints and dies at one of them."""

    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        if len(self.names) == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)


async def act(instance: Instance, settings: config.Config, words: list[str], steps: Steps) -> None:
    store = GitStore.open(settings.store, create=True)
    ledger = Ledger.open(settings.state / "ledger.sqlite3")
    workspace = Workspace(instance=instance, state=settings.state, ledger=ledger, actor="victim", store=store)
    match words:
        case ["create", tag]:
            await take(instance, store, TakeOptions(tag=tag, checkpoint=steps))
        case ["rollback", app, tag]:
            kept = kept_app(store, store.resolve(tag, branch=instance.name), app)
            await roll_back(workspace, kept, tag, RollbackOptions(checkpoint=steps))
        case [("finish" | "undo") as action, app]:
            recovery = Recovery(journal=workspace.journal, kinds=kinds())
            record = recovery.chosen(app)[0]
            await (recovery.finish if action == "finish" else recovery.undo)(instance, record, steps)
        case _:
            raise SystemExit(f"unknown operation {words}")


async def operate(words: list[str], fatal: int) -> None:
    steps = Steps(fatal)
    settings = config.load()
    instance = await connect(settings.context(), ConnectOptions(state=settings.state))
    try:
        await act(instance, settings, words, steps)
    finally:
        await instance.close()
    print("\n".join(steps.names), flush=True)


if __name__ == "__main__":
    asyncio.run(operate(sys.argv[1:-1], int(sys.argv[-1])))

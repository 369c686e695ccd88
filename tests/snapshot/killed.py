"""A child process that does one operation and kills itself (SIGKILL) at numbered step K. ``K = -1`` counts the steps.

python -m tests.snapshot.killed rollback APP TAG K
python -m tests.snapshot.killed create TAG K
python -m tests.snapshot.killed finish|undo APP K
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from difyops import config
from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.git_store import GitStore
from difyops.snapshot.history import kept_app
from difyops.snapshot.journal import Journal
from difyops.snapshot.recover import cut_off, finish, undo
from difyops.snapshot.rollback import RollbackOptions, roll_back
from difyops.snapshot.take import TakeOptions, take


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
    match words:
        case ["create", tag]:
            await take(instance, store, TakeOptions(tag=tag, checkpoint=steps))
        case ["rollback", app, tag]:
            kept = kept_app(store, store.resolve(tag, branch=instance.name), app)
            journal = Journal.of(settings.state, instance.name, kept.record.id)
            await roll_back(instance, journal, kept, tag, RollbackOptions(checkpoint=steps))
        case [("finish" | "undo") as action, app]:
            entry = cut_off(settings.state, instance.name, app)[0]
            await (finish if action == "finish" else undo)(instance, settings.state, entry, steps)
        case _:
            raise SystemExit(f"unknown operation {words}")


async def main() -> None:
    *words, fatal = sys.argv[1:]
    steps = Steps(int(fatal))
    settings = config.load()
    instance = await connect(settings.context(), ConnectOptions(state=settings.state))
    try:
        await act(instance, settings, words, steps)
    finally:
        await instance.close()
    print("\n".join(steps.names))


if __name__ == "__main__":
    asyncio.run(main())

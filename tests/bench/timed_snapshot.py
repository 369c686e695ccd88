"""One ``snapshot create`` as the command does it, with the seconds spent in git written beside the store."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from difyops import config
from difyops.api.instance import ConnectOptions, connect
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.snapshot.take import TakeOptions, take

_WRITES = frozenset({"commit", "note", "tidy"})


class Stopwatch:
    """Wraps a store and adds up the time its calls take."""

    def __init__(self, store: GitStore) -> None:
        self._store = store
        self.writing = 0.0
        self.reading = 0.0

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._store, name)
        return self._timed(member, writes=name in _WRITES) if callable(member) else member

    def _timed(self, call: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                spent = time.perf_counter() - started
                self.writing += spent if writes else 0.0
                self.reading += 0.0 if writes else spent

        return timed


async def main() -> None:
    """Take it."""
    store, state = Path(sys.argv[1]), Path(sys.argv[2])
    watch = Stopwatch(GitStore.open(store, create=True))
    instance = await connect(config.load().context(), ConnectOptions(state=state))
    try:
        selectors = ("wf-echo",) if sys.argv[3:] == ["one"] else ("all",)
        access = Access(state=state)
        taken = await take(instance, watch, TakeOptions(selectors=selectors, access=access))  # type: ignore[arg-type]
    finally:
        await instance.close()
    assert taken.complete or selectors != ("all",)
    (store.parent / f"{store.name}.git-seconds").write_text(f"{watch.writing} {watch.reading}")


if __name__ == "__main__":
    asyncio.run(main())

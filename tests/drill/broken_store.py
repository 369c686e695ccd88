"""A store damaged on purpose, one fault at a time: a byte turned, a file cut, emptied or gone; and back again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from difyops.errors import DifyopsError
from tests.drill.conftest import Place

HOW = ("turned", "cut", "emptied", "gone", "zeros", "other's")


@dataclass(frozen=True)
class Fault:
    """What happens to a file of the store; ``at`` is a share of its length."""

    path: Path
    how: str
    at: float

    def bytes_of(self, content: bytes) -> bytes | None:
        """Return the damaged content, ``None`` for a file that is gone."""
        place = min(len(content) - 1, int(self.at * len(content)))
        match self.how:
            case "turned":
                return content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :]
            case "cut":
                return content[:place]
            case "emptied":
                return b""
            case "zeros":
                return bytes(len(content))
            case "other's":
                return b"not what was here"
        return None


def faults(store: Path, *, seed: int, count: int) -> Iterator[Fault]:
    """Yield faults in the files that hold the content: objects and packs (an index is made anew from its pack)."""
    rng = random.Random(seed)
    files = sorted(path for path in store.rglob("objects/**/*") if path.is_file())
    wanted = [path for path in files if path.suffix in ("", ".pack", ".idx")]
    for number in range(count):
        yield Fault(rng.choice(wanted), HOW[number % len(HOW)], rng.random())


async def is_found(place: Place, fault: Fault) -> bool:
    """Damage the store, drill it, put it back; say whether the drill noticed: a failure, or an error of the store."""
    content = fault.path.read_bytes()
    mode = fault.path.stat().st_mode
    fault.path.chmod(0o600)
    damaged = fault.bytes_of(content)
    if damaged is None:
        fault.path.unlink()
    else:
        fault.path.write_bytes(damaged)
    try:
        return (await place.drill("wf-echo", smoke=False)).verdict == "fail"
    except DifyopsError:
        return True
    finally:
        fault.path.write_bytes(content)
        fault.path.chmod(mode)

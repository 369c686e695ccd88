"""Which steps wait for which: cycles found before anything runs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def cycle(edges: Mapping[str, Collection[str]]) -> list[str]:
    """Return the ids of one cycle in ``edges`` (id -> ids it waits for), ``[]`` when there is none.

    Looked for without recursion: a chain of 500 steps is no reason to fail.
    """
    waiting = {name: set(before) for name, before in edges.items()}
    while True:
        ready = [name for name, before in waiting.items() if not before & waiting.keys()]
        if not ready:
            break
        for name in ready:
            del waiting[name]
    return _walk(waiting) if waiting else []


def _walk(waiting: Mapping[str, Collection[str]]) -> list[str]:
    path = [min(waiting)]
    while True:
        following = min(name for name in waiting[path[-1]] if name in waiting)
        if following in path:
            return path[path.index(following) :]
        path.append(following)

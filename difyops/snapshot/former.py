"""Which app an app was restored from: what was kept of that one is its history, too."""

from __future__ import annotations

from difyops.git_store import GitStore
from difyops.git_store.refs import RESTORED


def keep_former(store: GitStore, branch: str, app_id: str, former_id: str) -> None:
    """Write down that ``app_id`` was made of ``former_id``.

    Raises:
        StoreError: the store cannot be written.
    """
    store.keep_facts(branch, RESTORED, [f"{app_id} {former_id}"])


def former_ids(store: GitStore, branch: str, app_id: str) -> list[str]:
    """Return the ids of the apps that an app was restored from, the youngest first."""
    made = dict(line.split(" ", 1) for line in store.facts(branch, RESTORED) if " " in line)
    found: list[str] = []
    while (former := made.get(app_id)) is not None and former not in found:
        found.append(former)
        app_id = former
    return found

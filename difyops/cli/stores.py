"""The store of a run, and the branch in it: what every door needs that looks into snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difyops.cli.session import Session
    from difyops.git_store import GitStore


def open_store(session: Session, *, create: bool = False) -> GitStore:
    """Return the store of this run.

    Raises:
        StoreError: there is none, or it is not ours to use.
    """
    from difyops.git_store import GitStore
    from difyops.snapshot.belonging import take_over_former

    session.config.require("store", f"use the store {session.config.store}")
    store = GitStore.open(session.config.store, create=create)
    for context in session.config.contexts.values():
        take_over_former(store, context)
    return store


def context_of(session: Session) -> str:
    """Return the name of the only context of this run: the branch of its snapshots."""
    return session.config.context(session.one_context()).name

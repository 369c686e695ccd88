"""Whose snapshots a branch holds: an instance (its address) and a workspace of it.

Snapshots of another one on the same branch would be a false history, and a rollback from there would go astray. So
another one is refused, until a person says that it is the same: after a move, or behind another name. That is kept in
the store, once.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from difyops.api.instance import Instance
from difyops.config import Context
from difyops.errors import Refused, StoreError
from difyops.git_store import GitStore
from difyops.git_store.refs import PLACES
from difyops.snapshot.layout import Manifest, read_manifest

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """A workspace of an instance. What is not known is empty."""

    url: str
    workspace_id: str

    @classmethod
    def of(cls, url: str, workspace_id: str) -> StorePlace:
        """Return a place with its address in one spelling."""
        return cls(url=spelled(url), workspace_id=workspace_id)

    def is_same(self, other: StorePlace) -> bool:
        """Say whether both are one place, as far as each is known."""
        pairs = ((self.url, other.url), (self.workspace_id, other.workspace_id))
        return all(one == another or not one or not another for one, another in pairs)

    @property
    def line(self) -> str:
        """Return it as one line of the store's record."""
        return f"{self.workspace_id or '-'} {self.url}"

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.url} (workspace {self.workspace_id or 'unknown'})"


async def place_of(instance: Instance) -> StorePlace:
    """Return where ``instance`` is: its address, and the workspace that it says is the current one.

    Raises:
        DifyopsError: it does not say so (``/console/api/workspaces/current``).
    """
    return StorePlace.of(instance.context.url, str((await instance.workspace.current()).get("id", "")))


def held_by(manifest: Manifest) -> StorePlace:
    """Return which place a snapshot was taken of."""
    return StorePlace.of(manifest.instance, manifest.workspace_id)


def require_same(
    store: GitStore,
    branch: str,
    manifest: Manifest | None,
    now: StorePlace,
    *,
    same_instance: bool = False,
    writes: bool = True,
) -> None:
    """Require that ``manifest``, the newest snapshot of a branch, is of the place where we are.

    ``same_instance``: a person said that both are one; that is kept in the store, unless nothing may be written.

    Raises:
        Refused: it is of another place.
    """
    if manifest is None or is_same_place(store, branch, held_by(manifest), now):
        return
    held = held_by(manifest)
    if not same_instance:
        raise Refused(
            f"The snapshots of {branch} are of {held}, and this is {now}.",
            hint="Did the instance move? Say so once with --same-instance. If it is another one, give it a context "
            "(difyops context add NAME --url URL) or a store (--store) of its own.",
        )
    if writes:
        store.keep_facts(branch, PLACES, [held.line, now.line])


def is_same_place(store: GitStore, branch: str, held: StorePlace, now: StorePlace) -> bool:
    """Say whether both are one place, or a person once said so."""
    return held.is_same(now) or {held.line, now.line} <= set(store.facts(branch, PLACES))


def take_over_former(store: GitStore, context: Context) -> None:
    """Let a context that the environment describes go on with the snapshots it has from when all such were ``env``.

    Only those of the same address: one after the other, several instances may have been ``env``.
    """
    for name in context.former_names:
        head = store.head(name) if store.head(context.name) is None else None
        with suppress(StoreError):  # a damaged snapshot is not taken over; verify tells
            if head and spelled(read_manifest(store, head).instance) == spelled(context.url):
                store.takes_over(context.name, name)


def spelled(url: str) -> str:
    """Return an address in one spelling: host in lower case, no default port, no slash at the end."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url.rstrip("/")
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    shown = "" if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{port}"
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}" if host else url.rstrip("/")

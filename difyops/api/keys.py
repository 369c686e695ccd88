"""Service keys: those of one app, and the workspace's dataset keys. One method, one call.

The list always carries the whole key, for every role; at most ten per app and ten per workspace; ``last_used_at`` is
written every half hour by the scheduler and stays empty where that does not run. Using a key is for
``service`` and ``knowledge``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from difyops.api import answers
from difyops.api.console import Console
from difyops.api.paths import part
from difyops.api.shapes import moment
from difyops.errors import NotFound
from difyops.secret_text import SecretText

MOST_KEYS = 10
FULL = "max_keys_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One service key; times are unix seconds, ``None`` when the server does not know."""

    id: str
    token: SecretText = field(repr=False)
    created_at: float | None = None
    last_used_at: float | None = None


@dataclass(slots=True)
class Keys:
    """The keys behind one address: ``Keys.of_app`` or ``Keys.of_datasets``."""

    console: Console
    path: str

    @classmethod
    def of_app(cls, console: Console, app_id: str) -> Keys:
        """Return the keys of an app (listing: any role; creating: editor; deleting: admin)."""
        return cls(console, f"/apps/{part(app_id)}/api-keys")

    @classmethod
    def of_datasets(cls, console: Console) -> Keys:
        """Return the workspace's dataset keys (admin or owner)."""
        return cls(console, "/datasets/api-keys")

    async def list(self) -> tuple[Key, ...]:
        """Return all keys with their tokens."""
        body = await self.console.get(self.path, doing="list the keys", shape=answers.KEYS)
        return tuple(_key(row) for row in body["data"])

    async def create(self) -> Key:
        """Create a key; never repeated.

        Raises:
            RequestRejected: with ``server_code`` ``FULL`` when there are ten already.
        """
        return _key(await self.console.send("POST", self.path, {}, doing="create a key", shape=answers.KEY))

    async def delete(self, key_id: str) -> bool:
        """Delete a key and say whether it was there. Callers may go on being served for up to ten minutes."""
        try:
            await self.console.send("DELETE", f"{self.path}/{part(key_id)}", None, doing="delete the key")
        except NotFound:
            return False
        return True


def _key(row: dict[str, object]) -> Key:
    return Key(
        id=str(row.get("id", "")),
        token=SecretText(str(row.get("token") or "")),
        created_at=moment(row.get("created_at")),
        last_used_at=moment(row.get("last_used_at")),
    )

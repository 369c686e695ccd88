"""The model config of a chat, agent-chat or completion app, replaced and put back. It has no draft, version or lock.

Whether a config is ours is told by what was read back right after our write, to the letter and with the server's stamps
of who wrote it when. After a kill in between, one that means what we sent is taken for ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.dsl.canonical import same_meaning
from difyops.dsl.secrets import redact
from difyops.errors import ServerFault, Unreachable
from difyops.publishing.held import FORMER, TARGET
from difyops.publishing.keeper import Keeper
from difyops.publishing.publication import (
    Overtaken,
    TakenBack,
)

WRITTEN, SENT = "written", "sent"
STAMPS = frozenset({"created_by", "created_at", "updated_by", "updated_at", "id", "app_id"})
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigPublication:
    """The replacement of one app's model config. Configs are held as the server shows them (some secrets masked)."""

    instance: Instance
    app_id: str
    app_name: str
    keeper: Keeper

    def begin(self, *, target: JsonObject, live: JsonObject) -> None:
        """Write down the config to write and the one that is live, as it was read, before any change."""
        self.keeper.keep(TARGET, target)
        self.keeper.keep(FORMER, live)

    async def read(self) -> JsonObject:
        """Return the config that is live.

        Raises:
            NotFound: the app was deleted.
        """
        return dict((await self.instance.console.app(self.app_id)).model_config or {})

    async def put_live(self) -> None:
        """Write the target, or see that this was done.

        Raises:
            Overtaken: somebody else wrote another config meanwhile; theirs stays.
        """
        now, target = await self.read(), self.keeper.kept(TARGET) or {}
        if self._is_ours(now) and _means(now, target):
            return
        if now != self.keeper.kept(FORMER) and not self._is_ours(now):
            raise self._overtaken()
        await self._write(now, target)

    async def is_target_live(self) -> bool:
        """Say whether what is live means the target."""
        return _means(await self.read(), self.keeper.kept(TARGET) or {})

    async def is_live_ours(self) -> bool:
        """Say whether the config that is live was written by this change."""
        return self._is_ours(await self.read())

    async def take_back(self) -> TakenBack:
        """Write the former config, where what is live is still ours."""
        now, former = await self.read(), self.keeper.kept(FORMER) or {}
        if now == former:
            return TakenBack(said=("the former model config is still live",))
        if not self._is_ours(now):
            return TakenBack(said=("another model config was written meanwhile; it is left alone",), left_alone=True)
        if not _means(now, former):
            await self._write(now, former)
        return TakenBack(said=("the former model config is live",))

    async def _write(self, over: JsonObject, config: JsonObject) -> None:
        """Write a config over the one that was read, looking once more right before: the server has no lock."""
        console = self.instance.console
        self.keeper.keep(SENT, config)

        async def write() -> None:
            if await self.read() != over:
                raise self._overtaken()
            await console.set_model_config(self.app_id, {key: config[key] for key in config if key not in STAMPS})

        try:
            await self.keeper.effect("write config", write)
        except (Unreachable, ServerFault):
            if not _means(await self.read(), config):
                raise
        after = await self.read()
        if not _means(after, config):
            raise self._overtaken()
        self.keeper.keep(WRITTEN, after)

    def _is_ours(self, now: JsonObject) -> bool:
        written, sent = self.keeper.kept(WRITTEN), self.keeper.kept(SENT)
        if written is not None and now == written:
            return True
        return sent is not None and now != self.keeper.kept(FORMER) and _means(now, sent)

    def _overtaken(self) -> Overtaken:
        return Overtaken(f"Another model config of {self.app_name!r} was written meanwhile; it is left alone.")


def _means(first: JsonObject, second: JsonObject) -> bool:
    """Say whether two configs run the same; what the server masks in one of them cannot be compared."""
    documents = (redact({"model_config": item}).document for item in (first, second))
    return same_meaning(*documents)

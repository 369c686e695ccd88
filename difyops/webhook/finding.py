"""Runs whose id was never seen, looked for in the log of their app: by when they began, for whom, and with what.

A connection can break, or a process be killed, between the call that starts a run and the first event of it. The log
tells which runs began then, and each run tells its user and its inputs. A run that no other row claims, and that alone
fits, is the one. Where several fit more rows than there are, nobody can know, and nothing is claimed.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from difyops.api import runs as run_feed
from difyops.errors import DifyopsError, ServerFault, Unreachable
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.targets import pick
from difyops.webhook.database import WebhookDatabase
from difyops.webhook.outbox import RunRow
from difyops.webhook.reaching import Address, Desk, Desks

_BEFORE, _AFTER = 5.0, 600.0  # clocks differ; a queue may hold a run back
_MODES = ("workflow", "advanced-chat")
log = logging.getLogger("difyops.webhook")

Signature = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Finder:
    """Looks for runs. Needs the console: with a key alone, nobody lists the runs of an app."""

    database: WebhookDatabase
    desks: Desks

    async def find(self, address: Address, rows: Sequence[RunRow]) -> dict[str, str]:
        """Return the run ids of the rows for which exactly one run can be meant.

        Raises:
            Unreachable, ServerFault: the instance cannot be asked now.
        """
        if address.key is not None:
            return {}
        try:
            desk = await self.desks.at(address)
            if desk.service.mode not in _MODES:
                return {}
            ids = await self._begun(address, rows)
            found = await self._signed(desk, ids)
        except (Unreachable, ServerFault):
            raise
        except DifyopsError as error:
            log.info("the runs of %s cannot be looked for: %s", address.app, error.message)
            return {}
        return matched(rows, found, desk.service.mode)

    async def _begun(self, address: Address, rows: Sequence[RunRow]) -> list[str]:
        instance = await self.desks.instances.console(address.context)
        app = pick([item async for item in instance.console.apps()], address.app)
        since = min(row.accepted for row in rows) - _BEFORE
        until = max(row.accepted for row in rows) + _AFTER
        window = await run_feed.runs_in(
            instance, app, datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)
        )
        claimed = {row["run_id"] for row in self.database.read("SELECT run_id FROM run WHERE run_id IS NOT NULL")}
        return [run.id for run in sorted(window.runs, key=lambda run: run.started) if run.id not in claimed]

    async def _signed(self, desk: Desk, ids: Iterable[str]) -> list[tuple[str, Mapping[str, Any]]]:
        """Return each run with its inputs, in the order in which they began; runs that are gone are left out.

        Raises:
            Unreachable, ServerFault: one of them cannot be read now.
        """
        order = list(ids)
        found: dict[str, Mapping[str, Any]] = {}
        async for one in fan_out(order, desk.service.detail, FanoutOptions(limit=4)):
            match one:
                case Done(item=run_id, value=detail):
                    found[run_id] = inputs_in(detail)
                case Failed(error=Unreachable() as away):
                    raise away  # what is not read now could be the one: nobody may conclude anything
                case Failed(error=ServerFault() as busy) if busy.retryable:
                    raise busy
        return [(run_id, found[run_id]) for run_id in order if run_id in found]


def inputs_in(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the inputs of a run as its detail tells them: an object, or its text."""
    inputs = detail.get("inputs")
    if isinstance(inputs, str):
        try:
            inputs = json.loads(inputs)
        except ValueError:
            inputs = None
    return inputs if isinstance(inputs, Mapping) else {}


def matched(rows: Sequence[RunRow], found: Sequence[tuple[str, Mapping[str, Any]]], mode: str) -> dict[str, str]:
    """Return run ids by row. Rows that ask the same for the same user are one group; runs must not be more than rows.

    Within a group one run is as good as the other; they are given out in the order in which they began.
    """
    groups: dict[Signature, list[RunRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.accepted):
        groups[row.user, json.dumps(_asked(row, mode), sort_keys=True, default=str)].append(row)
    given: dict[str, str] = {}
    for group in groups.values():
        fitting = [run_id for run_id, inputs in found if _fits(group[0], inputs, mode)]
        if len(fitting) <= len(group):
            given |= {row.id: run_id for row, run_id in zip(group, fitting, strict=False)}
    return given


def _asked(row: RunRow, mode: str) -> dict[str, Any]:
    asked = dict(row.request.get("inputs") or {})
    return asked if mode == "workflow" else {**asked, "sys.query": row.request.get("query") or ""}


def _fits(row: RunRow, inputs: Mapping[str, Any], mode: str) -> bool:
    """Say whether a run was begun for this user with these inputs; the form may have left some out."""
    if inputs.get("sys.user_id") != row.user:
        return False
    return all(inputs.get(name) == value for name, value in _asked(row, mode).items() if name in inputs)

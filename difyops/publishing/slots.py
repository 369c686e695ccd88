"""Schedules whose next run a publication would skip.

Publishing computes the next run of every schedule anew, from that moment: a slot that is due and was not picked up yet
is lost without a trace (seen on 1.16.1, the server looks once a minute). So a change waits until a slot is over.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from difyops.dsl.model import as_dict, as_list, iter_nodes, text_of

BEFORE = timedelta(seconds=10)
AFTER = timedelta(seconds=90)
_DENSE = timedelta(minutes=5)
_MOST_SLOTS = 100_000
_PREDEFINED = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule of a workflow: its start node, when it runs (five fields of cron) and in which time zone."""

    node_id: str
    title: str
    cron: str
    zone: str

    @property
    def is_readable(self) -> bool:
        """Say whether its slots can be told."""
        try:
            next(self._after(datetime.now(UTC)))
        except (CronSimError, ZoneInfoNotFoundError, ValueError, StopIteration):
            return False
        return True

    def slot_at(self, moment: datetime) -> datetime | None:
        """Return the slot from which ``moment`` is 10 s before to 90 s after, ``None`` when there is none."""
        slot = next(self._after(moment - AFTER), None)
        return slot.astimezone(UTC) if slot is not None and slot - BEFORE <= moment else None

    def is_dense_at(self, moment: datetime) -> bool:
        """Say whether its slots are less than five minutes apart: waiting for the end of one would never end."""
        coming = self._after(moment)
        first, second = next(coming, None), next(coming, None)
        return first is not None and second is not None and second - first < _DENSE

    def following(self, moment: datetime) -> datetime | None:
        """Return the first slot after ``moment``, in the schedule's own time zone; ``None`` when there is none."""
        return next(self._after(moment), None)

    def between(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the slots from ``since`` to before ``until``, in UTC, each moment once and in order."""
        last = since - timedelta(seconds=1)
        for slot in itertools.islice(self._after(last), _MOST_SLOTS):
            moment = slot.astimezone(UTC)
            if moment >= until:
                return
            if moment > last:
                yield moment
                last = moment

    def _after(self, moment: datetime) -> CronSim:
        return CronSim(self.cron, moment.astimezone(ZoneInfo(self.zone)))


def schedules(document: Mapping[str, Any]) -> list[Schedule]:
    """Return the schedules of a workflow's document."""
    return [
        Schedule(
            node_id=node.id,
            title=node.name or "Schedule",
            cron=_cron(node.data),
            zone=text_of(node.data.get("timezone")) or "UTC",
        )
        for node in iter_nodes(document)
        if node.type == "trigger-schedule"
    ]


def _cron(data: Mapping[str, Any]) -> str:
    """Return the five fields, also for a schedule that was clicked together (``mode: visual``)."""
    if data.get("mode") != "visual":
        written = text_of(data.get("cron_expression")).strip()
        return _PREDEFINED.get(written.lower(), written.replace("?", "*"))
    visual = as_dict(data.get("visual_config"))
    if data.get("frequency") == "hourly":
        return f"{visual.get('on_minute') or 0} * * * *"
    at = _time_of_day(text_of(visual.get("time")) or "12:00 AM")
    match data.get("frequency"):
        case "weekly":
            days = [str(_WEEKDAYS.index(day)) for day in as_list(visual.get("weekdays")) if day in _WEEKDAYS]
            return f"{at} * * {','.join(days) or '*'}"
        case "monthly":
            days = ["L" if day == "last" else str(day) for day in as_list(visual.get("monthly_days"))]
            return f"{at} {','.join(days) or '1'} * *"
    return f"{at} * * *"


def _time_of_day(text: str) -> str:
    """Return minute and hour of ``11:30 AM``."""
    try:
        moment = datetime.strptime(text.strip().upper(), "%I:%M %p")
    except ValueError:
        return "? ?"  # no cron: the schedule is told as one whose slots are not known
    return f"{moment.minute} {moment.hour}"

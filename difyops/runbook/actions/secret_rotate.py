"""``secret.rotate``: a new secret for an old one, while its callers go on."""

from __future__ import annotations

from typing import Literal

from difyops.errors import DifyopsError, UsageError
from difyops.rotation.carrying_out import carry_out, driving
from difyops.rotation.engine import Driven
from difyops.rotation.job import Workbench
from difyops.rotation.kinds import WantedSecret, kind_named
from difyops.rotation.machine import State
from difyops.rotation.prepare import RotationRequest, prepare
from difyops.rotation.reading import WorkspaceReading
from difyops.runbook.parameters import Duration, Reference
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Undo, Value
from difyops.runbook.rotations import policy, workbench
from difyops.secret_text import SecretText


async def plan(
    resources: Resources,
    *,
    kind: Literal["app-key", "dataset-key", "env", "provider", "tool", "model"],
    target: list[str] | None = None,
    value_from: Reference | None = None,
    field: str | None = None,
    credential: str | None = None,
    probes: list[str] | None = None,
    deliver: list[str] | None = None,
    grace: Duration | None = None,
    by_hand: bool = False,
    wait: bool = False,
) -> Planned:
    """Rotate one secret: create, hand out, prove, switch, watch, retire; back by itself when health checks fail.

    ``target`` as after ``difyops secret rotate KIND``; ``value_from`` and ``deliver`` are references. A key that is
    handed to nobody is rotated only ``by_hand``: somebody brings it to its callers. Without
    ``wait`` the step ends when the new secret is in use and the grace period runs; ``difyops secret resume --due``
    (cron) retires the old one. Undo until then: ``difyops secret revert``. With ``wait`` give the step a long timeout.
    """
    needs = kind_named(kind).needs_value
    if needs is not (value_from is not None):
        said = (
            "needs the new value (value_from)" if needs else "gets its value from the server; value_from does not fit"
        )
        raise UsageError(f"secret.rotate: {kind} {said}.")
    bench = await workbench(resources)
    wanted = WantedSecret(arguments=tuple(target or ()), field=field, credential=credential)
    asked = RotationRequest(
        value_from=value_from,
        probes=tuple(probes or ()),
        deliver=tuple(deliver or ()),
        grace=grace,
        by_hand=by_hand,
        is_looked_at=resources.dry_run,
    )
    found = await prepare(bench, WorkspaceReading(bench.instance), (kind, wanted), asked, policy(resources))

    async def apply() -> Acted:
        async def resolve(_: Workbench, reference: str) -> SecretText:
            return await resources.secret(reference)

        return _told(await carry_out(bench, found, asked, resolve, driving(wait=wait)))

    notes = f" ({'; '.join(found.warnings)})" if found.warnings else ""
    text = f"rotate the {found.label}: {', '.join(found.steps)}{notes}"
    return Planned(text=text, apply=apply, undo=Undo(command="difyops secret status, then difyops secret revert ID"))


def _told(driven: Driven) -> Acted:
    rotation = driven.rotation
    values = (Value(name="rotation", value=rotation.id), Value(name="state", value=str(rotation.state)))
    if rotation.state in (State.PARKED, State.ROLLING_BACK, State.ROLLED_BACK) or rotation.failures:
        why = rotation.went_back or rotation.trouble or "see its history"
        raise DifyopsError(f"it is {rotation.state}: {why}.", hint=f"difyops secret history {rotation.id}")
    undo = None if rotation.state is State.DONE else Undo(command=f"difyops secret revert {rotation.id}")
    rest = "" if rotation.state is State.DONE else "; difyops secret resume --due finishes it"
    return Acted(text=f"{rotation.label}: {rotation.state}, rotation {rotation.id}{rest}", values=values, undo=undo)

"""Planning a rotation: the secret is found, and what would be done is said. Nothing is changed.

Whoever may not finish a rotation does not begin one, and a secret is in one rotation at a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from difyops.errors import Forbidden, Refused, UsageError
from difyops.ledger import this_host
from difyops.rotation.deliver import check_references
from difyops.rotation.job import Workbench
from difyops.rotation.kinds import SecretKind, WantedSecret, kind_named
from difyops.rotation.reading import WorkspaceReading
from difyops.rotation.record import PlannedRotation, Rotation, RotationSettings

_ROLES = {"editor": ("owner", "admin", "editor"), "admin": ("owner", "admin")}


async def plan(
    bench: Workbench, reading: WorkspaceReading, wanted: tuple[str, WantedSecret], settings: RotationSettings
) -> PlannedRotation:
    """Find the secret and say what would be done. Nothing is changed.

    Raises:
        UsageError: the words after the kind do not fit, or no value was given where one is needed. Forbidden: the role
        may begin but not finish it. Refused: a rotation of this secret is open.
    """
    kind, asked = kind_named(wanted[0]), wanted[1]
    if len(asked.arguments) != len(kind.arguments):
        words = " ".join(kind.arguments)
        raise UsageError(f"secret rotate {kind.name} takes {words or 'nothing more'}.", hint="difyops secret rotate -h")
    _check_fits(kind, asked)
    check_references(settings.deliver)
    await _check_role(bench, kind)
    known = bench.journal.suffixes(bench.instance.context.url)
    try:
        planned = await kind.plan(bench.instance, reading, replace(asked, known=known))
    except UsageError:
        await _name_open(bench, reading, kind.name, asked.arguments)  # its two secrets look like a question of which
        raise
    check_not_open(bench, planned)
    times = bench.journal.times_begun(planned.subject, bench.instance.context.url)
    return replace(planned, settings=settings, times_begun=times)


async def _name_open(bench: Workbench, reading: WorkspaceReading, kind: str, arguments: tuple[str, ...]) -> None:
    """Refuse where an open rotation of what the arguments name explains why there are two secrets."""
    named = set(arguments[:1])
    if arguments and kind in ("app-key", "env"):
        named.add((await reading.app(arguments[0])).id)
    for rotation in bench.journal.open():
        if rotation.kind == kind and (not named or named & set(rotation.target.values())):
            _refuse_open(rotation)


def _check_fits(kind: SecretKind, asked: WantedSecret) -> None:
    """Refuse options that say nothing about this kind: somebody expects them to."""
    given = {"--field": asked.field, "--also": asked.others}
    for option, value in given.items():
        if value and not kind.has_fields:
            raise UsageError(f"{option} is about the fields of a credential; {kind.name} has none.")
    if asked.credential and kind.name == "env":
        raise UsageError("--credential is about keys and credentials; a variable is named after the app.")


def check_not_open(bench: Workbench, planned: PlannedRotation) -> None:
    """Refuse a second rotation of one secret.

    Raises:
        Refused: it names the open one, and how to end it.
    """
    for rotation in bench.journal.open_anywhere(planned.subject, bench.instance.context.url):
        _refuse_open(rotation)


def _refuse_open(rotation: Rotation) -> NoReturn:
    where = f", begun on {rotation.host}" if rotation.host and rotation.host != this_host() else ""
    raise Refused(
        f"A rotation of {rotation.label} is open already: {rotation.id} ({rotation.state}{where}).",
        hint=f"difyops secret resume {rotation.id}   or   difyops secret revert {rotation.id}",
    )


async def _check_role(bench: Workbench, kind: SecretKind) -> None:
    role = str((await bench.instance.workspace.current()).get("role") or "")
    if role and role not in _ROLES[kind.role]:
        raise Forbidden(
            f"The role {role!r} could not finish this: {kind.name} needs {kind.role} or owner.",
            hint="Use another account or the admin key; nothing was changed.",
        )

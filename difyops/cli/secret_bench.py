"""What ``difyops secret`` hands to the rotation room: its workbench, its policy, the values behind references."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from difyops.cli.session import Session
from difyops.errors import UsageError

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.api.run_answer import Answer
    from difyops.rotation.job import Workbench
    from difyops.rotation.journal import RotationJournal
    from difyops.rotation.policy import RotationPolicy
    from difyops.rotation.prepare import RotationRequest
    from difyops.rotation.recovery import Rotations
    from difyops.secret_text import SecretText

STDIN = "-"
_KINDS = ("keyring", "env", "file", "cmd")


def check_value(kind: str, asked: RotationRequest) -> None:
    """Refuse a value where the server makes it, none where it does not, and one that is no reference.

    Raises:
        UsageError: says which; a value that was given as a word is not repeated.
    """
    from difyops.rotation.kinds import kind_named

    needs_value = kind_named(kind).needs_value
    if needs_value and asked.value_from is None:
        raise UsageError(
            f"{kind} needs the new value.", hint="--value-from keyring:..., env:NAME, file:PATH, cmd:... or -"
        )
    if not needs_value and asked.value_from is not None:
        raise UsageError(f"The server makes the value of a new {kind} itself; --value-from does not fit.")
    source, _, rest = (asked.value_from or STDIN).partition(":")
    if source != STDIN and (source not in _KINDS or not rest.strip()):
        raise UsageError(
            "--value-from takes a reference, not the value itself.",
            hint="keyring:SERVICE/NAME, env:NAME, file:PATH, cmd:COMMAND or - (standard input).",
        )


def also_from(given: Sequence[str]) -> dict[str, str]:
    """Read ``FIELD=REF``, each field once."""
    found: dict[str, str] = {}
    for item in given:
        name, equals, reference = item.partition("=")
        if not name or not equals or reference.partition(":")[0] not in _KINDS:
            raise UsageError(
                f"--also {name if equals else '...'}: a field and a reference are expected.",
                hint="--also FIELD=keyring:..., env:NAME, file:PATH or cmd:...",
            )
        if name in found:
            raise UsageError(f"--also {name}: given twice.")
        found[name] = reference
    return found


async def value_of(
    bench: Workbench, reference: str | None, *, option: str = "--value-from", asked: str = "New value"
) -> SecretText | None:
    """Return the value behind a reference, or of standard input for ``-`` (asked for at a terminal).

    Raises:
        CredentialError: the reference cannot be resolved. UsageError: standard input is closed, empty or no text.
    """
    from difyops import credentials
    from difyops.secret_text import SecretText

    if reference is None:
        return None
    if reference != STDIN:
        value = await credentials.resolve_async(reference, withheld=bench.withheld)
    elif sys.stdin is not None and sys.stdin.isatty():
        value = credentials.prompt(asked)
    else:
        value = SecretText(_piped(option))
    if not _is_text(value.reveal()):
        raise UsageError(f"{option} {reference.partition(':')[0]}: the value is not UTF-8 text.")
    return value


def _piped(option: str) -> str:
    """Return what stands in standard input.

    Raises:
        UsageError: it is closed, empty, or no text; nothing of it is shown.
    """
    if sys.stdin is None:  # started with it closed
        raise UsageError(f"{option} -: standard input is closed.")
    try:
        text = sys.stdin.read().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"{option} -: standard input is not UTF-8 text.") from None
    if not text:
        raise UsageError(f"{option} -: standard input is empty.")
    return text


def _is_text(value: str) -> bool:
    """Say whether a value can be sent: bytes that were no UTF-8 arrive as half a character each."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def workbench(session: Session, instance: Instance) -> Workbench:
    """Return the workbench of this run."""
    from difyops.rotation.job import Workbench
    from difyops.rotation.journal import RotationJournal

    return Workbench(
        instance=instance,
        journal=RotationJournal(session.workspace(instance).journal),
        hold=policy_here(session).hold,
        judge=_judged,
        withheld=withheld(session),
    )


def rotations(session: Session) -> Rotations:
    """Return the recovery of rotations as this run has it."""
    from difyops.rotation.recovery import Rotations

    return Rotations(judge=_judged, withheld=withheld(session))


def _judged(schema: object, answer: Answer) -> str | None:
    """Hold an answer against a schema; what that takes, a quarter of the start of ``secret list``, loads only then."""
    from difyops.validation.answers import judge_answer

    return judge_answer(schema, answer)


def withheld(session: Session) -> frozenset[str]:
    """Return the environment variables that commands of references do not get."""
    from difyops.rotation.job import OWN_VARIABLES

    return OWN_VARIABLES | session.config.secret_variables


def journal_of(session: Session) -> RotationJournal:
    """Return the journal of the context's rotations."""
    from difyops.changes.journal import Journal
    from difyops.ledger import this_user
    from difyops.rotation.journal import RotationJournal

    ledger, state, name = session.ledger, session.config.state, session.config.context(session.one_context()).name
    return RotationJournal(Journal(ledger=ledger, state=state, context=name, clock=ledger.clock, actor=this_user()))


def policy_here(session: Session) -> RotationPolicy:
    """Return what the configuration asks of secrets. Raises ConfigError for a mistake in it."""
    from difyops.rotation.policy import policy_of

    return policy_of(session.config.sections)

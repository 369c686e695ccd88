"""``difyops snapshot seal``: who can open the sealed values of a store."""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import CredentialError, NothingKept, Refused, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.git_store import GitStore
    from difyops.sealing.age import Identity
    from difyops.snapshot.seals import NewSeal

noun = group("Encrypt what looks secret in snapshots; say who can open it.")

IdentityRef = Annotated[
    str | None,
    typer.Option("--identity", metavar="REF", help="Where this machine's identity is, or is to be: file:, keyring:."),
]
_TRIES = 3


@command(noun, "init")
def init(
    session: Session,
    identity: IdentityRef = None,
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", "-r", metavar="KEY", help="Somebody else who can open: age1…, ssh-ed25519 …."),
    ] = None,
) -> Outcome:
    """Make this store one with recipients. Ends only when a second one, or a recovery identity, opened a test seal.

    Examples:
        difyops snapshot seal init
        difyops snapshot seal init --recipient age1...
    """
    from difyops.sealing.age import recipient as checked
    from difyops.sealing.store import read_seal
    from difyops.snapshot.seals import NewSeal

    store, branch = _opened(session)
    found = read_seal(store, branch)
    if found is None:
        raise NothingKept("There is no snapshot yet whose values could be sealed.", hint="difyops snapshot create")
    if found.recipients:
        raise Refused("This store has recipients already.", hint="difyops snapshot seal status")
    others = [checked(text) for text in recipient or ()]
    if session.dry_run:
        data = {"recipients": others, "identity": identity or _default_identity(session)}
        return Outcome(kind="snapshot.seal.init", data=data, summary="dry run: nothing was changed")
    session.answer("Sealing needs an identity here and a second way to open. Press Enter to go on.")
    reference = identity or _default_identity(session)
    mine = _identity_at(reference)
    second = others or [_recovery(session)]
    if others:
        _tested(session, others[0])
    access = replace(session.access, identity=reference)
    access.agree(found.store_id, replace(access.agreed(found.store_id), identity=reference))
    wanted = NewSeal(recipients=tuple(dict.fromkeys([_recipient_of(mine), *second])))
    return _set(session, store, branch, wanted, "init", f"identity of this machine: {reference}")


@command(noun, "status")
def status(
    session: Session,
    agree: Annotated[bool, typer.Option("--agree", help="Agree to the recipients that stand in the store.")] = False,
    key_to: Annotated[
        str | None,
        typer.Option("--key-to", metavar="REF", help="Write the store key there, for a CI: file:, keyring:."),
    ] = None,
) -> Outcome:
    """Say what is sealed, for whom, and whether an identity here opens it (tried now).

    Examples:
        difyops snapshot seal status
        difyops snapshot seal status -o json
    """
    from difyops import credentials
    from difyops.clock import SystemClock
    from difyops.render import seals as views
    from difyops.sealing.store import read_seal, seal_to_compare
    from difyops.snapshot.seals import status as told

    store, branch = _opened(session)
    access = session.access
    found = read_seal(store, branch)
    if agree and found is not None and not session.dry_run:
        session.confirm("Agree to these recipients?", changes=f"Agreeing to {', '.join(found.recipients) or 'nobody'}")
        access.agree(
            found.store_id, replace(access.agreed(found.store_id), recipients=found.recipients, key_id=found.key_id)
        )
    if key_to and not session.dry_run:
        seal = seal_to_compare(store, branch, access)
        if seal.key is None:
            raise CredentialError("This machine has no store key to write.")
        credentials.store(key_to, seal.key.as_text())
    return views.status(told(store, branch, access, SystemClock()))


@command(noun, "add")
def add(
    session: Session,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="age1…, or a public ssh key in quotes.")],
) -> Outcome:
    """Let somebody else open, too: everything at the head is encrypted anew.

    Examples:
        difyops snapshot seal add age1... --dry-run
        difyops snapshot seal add age1... --yes
    """
    from difyops.sealing.age import recipient as checked
    from difyops.sealing.store import read_seal
    from difyops.snapshot.seals import NewSeal

    store, branch = _opened(session)
    new, there = checked(recipient), _recipients(store, branch)
    found = read_seal(store, branch)
    agreed = session.access.agreed(found.store_id).recipients if found else None
    if new in there and set(agreed or there) == set(there):
        return Outcome(kind="snapshot.seal.add", data={"recipients": there}, summary="is a recipient already")
    wanted = NewSeal(recipients=tuple(dict.fromkeys((*there, new))))
    if session.dry_run:
        return Outcome(kind="snapshot.seal.add", data={"recipients": wanted.recipients}, summary="dry run")
    session.confirm("Add?", changes=f"Letting {new} open the sealed values of {branch}")
    return _set(session, store, branch, wanted, "add")


@command(noun, "remove")
def remove(
    session: Session,
    recipient: Annotated[str, typer.Argument(metavar="RECIPIENT", help="The whole key, or its beginning.")],
) -> Outcome:
    """Encrypt the head without somebody. The history stays readable for them: rotate what they could read.

    Examples:
        difyops snapshot seal remove age1... --dry-run
        difyops snapshot seal remove age1... --yes
    """
    from difyops.snapshot.seals import NewSeal, removed

    store, branch = _opened(session)
    left = removed(_recipients(store, branch), recipient)
    if session.dry_run:
        return Outcome(kind="snapshot.seal.remove", data={"recipients": left}, summary="dry run")
    session.confirm("Remove?", changes=f"Encrypting the head of {branch} without {recipient}")
    said = "older snapshots stay readable for the removed one: rotate the secrets that stand in them"
    return _set(session, store, branch, NewSeal(recipients=left), "remove", said)


@command(noun, "rotate")
def rotate(
    session: Session,
    identity: IdentityRef = None,
    store_key: Annotated[bool, typer.Option("--store-key", help="A new store key, too: every mark changes.")] = False,
) -> Outcome:
    """Give this machine a new identity, and the head a new encryption.

    Examples:
        difyops snapshot seal rotate --dry-run
        difyops snapshot seal rotate --store-key --yes
    """
    from difyops.sealing.key import StoreKey
    from difyops.sealing.store import read_seal
    from difyops.snapshot.seals import NewSeal

    store, branch = _opened(session)
    access, there = session.access, _recipients(store, branch)
    found = read_seal(store, branch)
    if found is None or not there:
        raise Refused("This store has no recipients.", hint="difyops snapshot seal init")
    mine = [item.recipient for item in access.identities(found.store_id) if item.recipient in there]
    if not mine:
        raise Refused("No identity of this machine is a recipient of this store.", hint="difyops snapshot seal status")
    if session.dry_run:
        return Outcome(kind="snapshot.seal.rotate", data={"recipients": there}, summary="dry run")
    session.confirm("Go ahead?", changes="Making a new identity for this machine")
    reference = identity or f"{_default_identity(session)}-{secrets.token_hex(3)}"
    agreed = access.agreed(found.store_id)
    if reference == (access.identity or agreed.identity):
        raise Refused(f"{reference} holds the identity that is in use.", hint="Name another place with --identity.")
    access.agree(found.store_id, replace(agreed, next_identity=reference))
    made = _identity_at(reference)  # one that a rotation which was cut off has left there is taken
    left = tuple(text for text in there if text not in mine)
    wanted = NewSeal(recipients=(_recipient_of(made), *left), key=StoreKey.new() if store_key else None)
    outcome = _set(session, store, branch, wanted, "rotate", f"identity of this machine: {reference}")
    access.agree(found.store_id, replace(access.agreed(found.store_id), identity=reference, next_identity=None))
    return outcome


def _set(session: Session, store: GitStore, branch: str, wanted: NewSeal, verb: str, *notes: str) -> Outcome:
    from difyops.clock import SystemClock
    from difyops.render import seals as views
    from difyops.snapshot.seals import set_recipients

    done = set_recipients(store, branch, wanted, session.access, SystemClock())
    session.audit(f"seal.{verb}", "store", branch, recipients=list(done.recipients), values=done.values)
    return views.changed(replace(done, notes=notes), verb)


def _opened(session: Session) -> tuple[GitStore, str]:
    from difyops.cli.stores import open_store

    return open_store(session), session.config.context(session.one_context()).name


def _recipients(store: GitStore, branch: str) -> tuple[str, ...]:
    from difyops.sealing.store import read_seal

    found = read_seal(store, branch)
    return found.recipients if found else ()


def _default_identity(session: Session) -> str:
    from difyops import credentials

    if credentials.keyring_problem() is None:
        return "keyring:difyops/seal-identity"
    return f"file:{session.config.user_file.parent / 'seal-identity.txt'}"


def _identity_at(reference: str) -> Identity:
    """Return the identity behind a reference; where there is none yet, make one there."""
    from difyops import credentials
    from difyops.sealing.access import read_reference
    from difyops.sealing.age import new_identity

    try:
        return read_reference(reference)[0]
    except CredentialError as error:
        if not any(word in error.message for word in ("does not exist", "has no entry")):
            raise
    made = new_identity()
    credentials.store(reference, made.secret)
    return made


def _recipient_of(identity: Identity) -> str:
    if identity.recipient is None:
        raise UsageError(
            "The recipient of an ssh identity is its public key.",
            hint="Give it with --recipient, or use an age identity.",
        )
    return identity.recipient


def _recovery(session: Session) -> str:
    """Make a recovery identity, show it once, and see that it was kept; return its recipient."""
    from difyops.credentials import prompt
    from difyops.sealing.age import new_identity, read_identities, seal, unseal

    made = new_identity()
    session.show_lines(
        ["", "The recovery identity. It is shown once and kept nowhere: write it down, keep it offline.", ""]
    )
    sys.stderr.write(f"    {made.secret.reveal()}\n\n")
    sys.stderr.flush()
    word = secrets.token_hex(4).encode()
    sealed = seal(word, [_recipient_of(made)])
    for _ in range(_TRIES):
        typed = prompt("Type or paste it from where you kept it")
        try:
            if unseal(sealed, read_identities(typed.reveal())) == word:
                return _recipient_of(made)
        except CredentialError:
            session.show_lines(["That one does not open the test seal."])
    raise Refused("The recovery identity opened no test seal; nothing was changed.", hint="difyops snapshot seal init")


def _tested(session: Session, recipient: str) -> None:
    """Let the other one open a test seal and tell the word in it."""
    from difyops.sealing.age import armored, seal

    word = secrets.token_hex(4)
    session.show_lines(
        ["", f"Let {recipient[:24]}… open this with  age -d -i IDENTITY  and tell you the word in it:", ""]
    )
    sys.stderr.write(armored(seal(f"{word}\n".encode(), [recipient])) + "\n\n")
    sys.stderr.flush()
    for _ in range(_TRIES):
        if session.answer("The word:") == word:
            return
        session.show_lines(["That is not the word."])
    raise Refused("The test seal was not opened; nothing was changed.", hint="difyops snapshot seal init")

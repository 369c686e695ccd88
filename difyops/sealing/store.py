"""How the sealed values of one store are made and opened: its key, its recipients, what this machine may do.

    seal/store.json        the store's id and the id of its key       (in every commit)
    seal/recipients.txt    who can open, one a line: ``age -R`` reads it
    seal/key.age           the store key, sealed to them
    .git/difyops-seal.key  the store key in clear, 0600: in no commit, never pushed

Without recipients there are fingerprints but no values: what is cut is lost to the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from difyops import atomic_file
from difyops.api.shapes import filled, obj, text
from difyops.dsl.canonical import canonical
from difyops.dsl.marks import MARKER
from difyops.dsl.model import JsonObject
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.secrets import Redacted, redact
from difyops.errors import CredentialError, DifyopsError, Refused, StoreError
from difyops.git_store import GitStore
from difyops.sealing.access import Access, shown
from difyops.sealing.age import Identity, seal, unseal
from difyops.sealing.key import StoreKey

STORE, RECIPIENTS, KEY = "seal/store.json", "seal/recipients.txt", "seal/key.age"
FILES = (STORE, RECIPIENTS, KEY)
_LOCAL = "difyops-seal.key"
_FORMAT = "difyops-seal/1"
_HEAD = obj({"format": text, "id": filled, "key": text})
_RULES = "1"  # raised when the rules of what is sealed change: then every app is read anew once


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What holds for one store. ``key`` is ``None`` where this machine has none: then nothing is told apart."""

    store_id: str
    key: StoreKey | None = field(default=None, repr=False)
    key_id: str = ""
    recipients: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    policy: SealPolicy = DEFAULT

    def redact(self, document: JsonObject) -> Redacted:
        """Return a document of an instance with marks in place of its secrets, and the secrets."""
        return redact(document, mark=self.mark, policy=self.policy)

    def mark(self, value: str) -> str:
        """Return the mark of a secret."""
        return self.key.mark(value) if self.key else MARKER

    @property
    def state(self) -> str:
        """Return what an app's sealed values depend on besides the app: key, recipients, rules and their policy."""
        entries = [*self.policy.added, "", *self.policy.excepted]
        rules = _RULES if self.policy.is_empty else f"{_RULES}-{_short(entries)}"
        return f"{self.key_id}.{recipients_id(self.recipients)}.{rules}"


def recipients_id(recipients: tuple[str, ...]) -> str:
    """Return a short name of a list of recipients, ``0`` for none."""
    return _short(sorted(recipients)) if recipients else "0"


def _short(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def seal_to_compare(store: GitStore | None, branch: str, access: Access) -> Seal:
    """Return the seal of a store for comparing; nothing is written.

    Raises:
        CredentialError: a reference for the key cannot be resolved.
    """
    files = _files(store, branch)
    if store is None or not files:
        return Seal(store_id="", key=None if store else StoreKey.new(), policy=access.policy)
    found = replace(_parsed(files), policy=access.policy)
    key = _key(store, found, access)
    if key is None:
        said = "This machine has no store key: changes of sealed values cannot be seen."
        return replace(found, warnings=(said,))
    return replace(found, key=key)


def seal_to_write(store: GitStore, branch: str, access: Access) -> Seal:
    """Return the seal of a store for a new snapshot; a store that has none yet gets its key.

    Raises:
        Refused: the recipients are not those that this machine agreed to, or it lacks the key of a store that has
            recipients. CredentialError: a reference cannot be resolved. StoreError: the key cannot be written.
    """
    files = _files(store, branch)
    if not files:
        return replace(_born(store), policy=access.policy)
    found = replace(_parsed(files), policy=access.policy)
    check_agreed(found, access)
    key = _key(store, found, access)
    if key is not None:
        return replace(found, key=key)
    if found.recipients:
        raise Refused(
            "This machine has no store key, so it cannot tell whether a sealed value changed.",
            hint="Give it: seal: {key: REFERENCE} in the configuration, DIFYOPS_SEAL_KEY, or an identity.",
        )
    said = (
        "The store key is not here (a clone has none): sealed values get new marks, and a change of one cannot be seen."
    )
    return replace(_born(store, found.store_id), warnings=(said,), policy=access.policy)


def check_agreed(found: Seal, access: Access) -> None:
    """Refuse recipients, and a store key, that nobody on this machine agreed to; the first that it sees are kept.

    A key that somebody else knows would tell which of the values that he guesses are in the store.

    Raises:
        Refused: they are others.
    """
    if not found.store_id or access.state is None:
        return
    agreed = access.agreed(found.store_id)
    if agreed.recipients is None:
        if found.recipients:
            access.agree(found.store_id, replace(agreed, recipients=found.recipients, key_id=found.key_id))
        return
    if set(agreed.recipients) == set(found.recipients):
        if agreed.key_id is None:  # agreed to by an older version
            access.agree(found.store_id, replace(agreed, key_id=found.key_id))
        elif agreed.key_id != found.key_id:
            raise Refused(
                f"The store key ({found.key_id}) is not the one that this machine agreed to ({agreed.key_id}).",
                hint="difyops snapshot seal status --agree accepts it, once you know who made it (seal rotate).",
            )
        return
    new = [text for text in found.recipients if text not in agreed.recipients]
    gone = [text for text in agreed.recipients if text not in found.recipients]
    what = [f"new: {shown(new)}"] if new else []
    what += [f"gone: {shown(gone)}"] if gone else []
    raise Refused(
        f"The recipients of this store are not those that this machine agreed to ({'; '.join(what)}).",
        hint="difyops snapshot seal status --agree accepts the list, once you know who they are.",
    )


def files_of(seal_of: Seal) -> dict[str, bytes]:
    """Return the files of a seal, made from it."""
    assert seal_of.key is not None  # noqa: S101 - who writes has one
    head = {"format": _FORMAT, "id": seal_of.store_id, "key": seal_of.key.id}
    files = {STORE: canonical(head)}
    if seal_of.recipients:
        files[RECIPIENTS] = "".join(f"{text}\n" for text in seal_of.recipients).encode()
        files[KEY] = seal(seal_of.key.as_text().reveal().encode(), seal_of.recipients)
    return files


def keep_key(store: GitStore, key: StoreKey) -> None:
    """Keep the store key beside the objects, for this machine.

    Raises:
        StoreError: it cannot be written.
    """
    atomic_file.write(store.private_file(_LOCAL), key.as_text().reveal().encode() + b"\n", mode=atomic_file.PRIVATE)


def identities_for(found: Seal, access: Access) -> list[Identity]:
    """Return the identities of this machine; none is normal."""
    return access.identities(found.store_id) if found.store_id else []


def read_seal(store: GitStore, branch: str) -> Seal | None:
    """Return what a store says of its seal, without key; ``None`` where it has none yet."""
    files = _files(store, branch)
    return _parsed(files) if files else None


def _born(store: GitStore, store_id: str = "") -> Seal:
    """Make the key of a store; where another process was first, take its key."""
    path = store.private_file(_LOCAL)
    key = _local(store)
    if key is None:
        key = StoreKey.new()
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, atomic_file.PRIVATE)
        except FileExistsError:
            keep_key(store, key)  # it is there and holds no key: it was cut off while it was written
        except OSError as error:
            raise atomic_file.store_error(error, path) from error
        else:
            with os.fdopen(descriptor, "wb") as handle:
                handle.write(key.as_text().reveal().encode() + b"\n")
                handle.flush()
                os.fsync(handle.fileno())
    made = Seal(store_id=store_id or secrets.token_hex(8), key=key, key_id=key.id)
    return replace(made, files=files_of(made))


def _files(store: GitStore | None, branch: str) -> dict[str, bytes]:
    """Return the seal of a branch; one without takes that of another branch of the same store."""
    if store is None:
        return {}
    others = [name for name in store.branches() if name != branch]
    for name in (branch, *others):
        head = store.head(name)
        there = store.blob_ids(head) if head else {}
        wanted = [path for path in FILES if path in there]
        if head and STORE in wanted:
            return store.read_many(head, wanted)
    return {}


def _parsed(files: Mapping[str, bytes]) -> Seal:
    try:
        head = json.loads(files[STORE])
        if (complaint := _HEAD(head)) is not None:
            raise ValueError(complaint)
        if head["format"] != _FORMAT:
            raise StoreError(f"The store is sealed as {head['format']!r}; this version reads {_FORMAT!r}.")
        lines = files.get(RECIPIENTS, b"").decode().splitlines()
        recipients = tuple(line for line in map(str.strip, lines) if line and not line.startswith("#"))
        return Seal(store_id=str(head["id"]), key_id=str(head["key"]), recipients=recipients, files=dict(files))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{STORE} in the store is damaged.", hint="difyops snapshot verify") from error


def _key(store: GitStore, found: Seal, access: Access) -> StoreKey | None:
    """Return the key of a store: from a reference, from beside the objects, or opened with an identity."""
    given = access.store_key()
    if given is not None:
        if given.id != found.key_id:
            raise CredentialError(f"The store key that was given is not the one of this store ({found.key_id}).")
        return given
    local = _local(store)
    if local is not None and local.id == found.key_id:
        return local
    if KEY not in found.files:
        return None
    try:
        opened = StoreKey.read(unseal(found.files[KEY], identities_for(found, access)).decode())
    except DifyopsError:
        return None
    return opened if opened.id == found.key_id else None


def _local(store: GitStore) -> StoreKey | None:
    path = store.private_file(_LOCAL)
    if not path.exists():
        return None
    try:
        return StoreKey.read(atomic_file.read_private(path).decode())
    except (CredentialError, UnicodeDecodeError):
        return None

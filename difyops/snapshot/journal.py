"""What a rollback was about to do, on disk before it does it, so that a kill at any point leaves a known state.

One file per app in the state folder, private (0600), flushed before each effect on the instance, removed at the end.
It names the former live version (which the server keeps) and holds what the server would lose: a colleague's draft, or
the former model config. Secrets in those are kept only where the former live version does not have the same ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.dsl.secrets import Spot
from difyops.errors import StoreError
from difyops.secret_text import SecretText

JsonObject = dict[str, Any]

BEGUN = "begun"
DRAFT_WRITTEN = "draft-written"
PUBLISHED = "published"
CONFIG_WRITTEN = "config-written"
DRAFT_BACK = "draft-back"
UNDOING = "undoing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One rollback under way. ``phase`` is the last effect that is known to be done or was about to be.

    ``identity`` is the name, description and icon to bring back, when that was asked for. ``given`` names the secrets
    that the operator gave (not their values) and ``smoke`` whether a test run had to pass: a later run cannot do these.
    ``written`` is the model config as it was read back after it was written; any other one is somebody else's.
    """

    context: str
    app_id: str
    app_name: str
    mode: str
    started_at: str
    target: str
    target_version: str | None
    target_document: JsonObject
    enable_api: bool | None
    enable_site: bool | None
    triggers: Mapping[str, str] = field(default_factory=dict)
    live_before: str | None
    phase: str = BEGUN
    parked: JsonObject | None = None
    parked_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: JsonObject | None = None
    former_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    written: JsonObject | None = None
    identity: JsonObject | None = None
    former_identity: JsonObject | None = None
    with_old_secrets: bool = False
    given: tuple[str, ...] = ()
    smoke: bool = False
    allow_missing: bool = False
    publish_name: str = ""
    publish_comment: str = ""


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one app on one context."""

    path: Path

    @classmethod
    def of(cls, state: Path, context: str, app_id: str) -> Journal:
        """Return the journal's place."""
        return cls(folder(state, context) / f"{app_id}.json")

    def read(self) -> Entry | None:
        """Return the rollback that was cut off, ``None`` when there is none.

        Raises:
            StoreError: the file is damaged (it is never deleted for that).
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Entry(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"The rollback journal {self.path} is damaged.", hint="Look at it, then remove it."
            ) from error

    def write(self, entry: Entry) -> Entry:
        """Flush the entry to disk."""
        atomic_file.write(self.path, json.dumps(asdict(entry)).encode(), mode=atomic_file.PRIVATE)
        return entry

    def advance(self, entry: Entry, phase: str) -> Entry:
        """Flush the next phase to disk."""
        return self.write(replace(entry, phase=phase))

    def close(self) -> None:
        """Remove the journal: the rollback ended."""
        atomic_file.remove(self.path)

    def elsewhere(self) -> Entry | None:
        """Return a rollback of the same app that was cut off under another context name, ``None`` when there is none.

        Ids of apps are unique: two contexts that hold the same id are two names of one instance.
        """
        others = (path for path in self.path.parent.parent.glob(f"*/{self.path.name}") if path != self.path)
        return next((entry for entry in (Journal(path).read() for path in sorted(others)) if entry), None)

    @property
    def lock_path(self) -> Path:
        """Return the lock that keeps two rollbacks of one app apart."""
        return self.path.parent.parent / f"{self.path.stem}.lock"


def folder(state: Path, context: str) -> Path:
    """Return where the journals of a context are."""
    return state / "rollbacks" / context


def open_entries(state: Path, context: str) -> list[Entry]:
    """Return all rollbacks of a context that were cut off.

    Raises:
        StoreError: a journal is damaged.
    """
    entries, damaged = survey(state, context)
    for error in damaged.values():
        raise error
    return entries


def survey(state: Path, context: str) -> tuple[list[Entry], dict[str, StoreError]]:
    """Return the rollbacks that were cut off, and by app id what is wrong with journals that cannot be read."""
    entries: list[Entry] = []
    damaged: dict[str, StoreError] = {}
    for path in sorted(folder(state, context).glob("*.json")):
        try:
            entry = Journal(path).read()
        except StoreError as error:
            damaged[path.stem] = error
        else:
            entries += [entry] if entry else []
    return entries, damaged


def packed(secrets: Mapping[Spot, SecretText]) -> dict[str, str]:
    """Return secrets in the form the private journal file keeps."""
    return {spot.key: value.reveal() for spot, value in secrets.items()}


def unpacked(kept: Mapping[str, str]) -> dict[Spot, SecretText]:
    """Return secrets from the journal."""
    return {Spot.parse(key): SecretText(value) for key, value in kept.items()}

"""Rollbacks that were cut off: what state each app is in, and bringing it to an end, forward or back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from difyops import atomic_file
from difyops.api.instance import Instance
from difyops.errors import DifyopsError, NotFound, Refused, SelectorError
from difyops.snapshot.effects import Hands, View, is_published, look
from difyops.snapshot.journal import Entry, Journal, survey
from difyops.snapshot.proof import Proof
from difyops.snapshot.rollback import go_back, go_forward
from difyops.snapshot.steps import Checkpoint, no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """One rollback that did not end. ``state`` is a sentence about the instance as it is now.

    ``error`` says why it could not be ended, or why its journal cannot be read.
    """

    app_id: str
    app_name: str
    target: str
    started_at: str
    phase: str
    state: str
    ended: str | None = None
    proofs: tuple[Proof, ...] = ()
    error: str | None = None


def unreadable(state: Path, context: str, selector: str | None) -> list[CutOff]:
    """Return the cut-off rollbacks whose journal is damaged."""
    return [
        CutOff(
            app_id=app_id,
            app_name=app_id,
            target="",
            started_at="",
            phase="damaged",
            state="unknown",
            error=f"{error.message} {error.hint}",
        )
        for app_id, error in survey(state, context)[1].items()
        if selector in (None, app_id)
    ]


def not_ended(entry: Entry, error: DifyopsError) -> CutOff:
    """Return a rollback that could not be ended now."""
    return replace(_cut(entry, "as it was, or partly ended"), error=error.message)


def cut_off(state: Path, context: str, selector: str | None) -> list[Entry]:
    """Return the rollbacks of a context that did not end, or the one of the app named.

    Raises:
        SelectorError: the app named has none.
    """
    entries, _ = survey(state, context)
    if selector is None:
        return entries
    found = [entry for entry in entries if selector in (entry.app_id, entry.app_name)]
    if not found:
        raise SelectorError(f"No rollback of {selector!r} was cut off.", hint="difyops snapshot doctor")
    return found


async def examine(instance: Instance, state: Path, entries: Sequence[Entry]) -> list[CutOff]:
    """Say for each entry what state the app is in now."""
    found = []
    for entry in entries:
        hands = Hands(instance, Journal.of(state, instance.name, entry.app_id), entry)
        try:
            said = _state(await look(hands), entry)
        except NotFound:
            said = "the app was deleted; --undo removes this record"
        found.append(_cut(entry, said))
    return found


async def finish(instance: Instance, state: Path, entry: Entry, checkpoint: Checkpoint = no_checkpoint) -> CutOff:
    """Bring a rollback to its end, with proof.

    Raises:
        Refused: somebody published something else meanwhile. DifyopsError: a call or the proof failed; it stays open.
    """
    journal = Journal.of(state, instance.name, entry.app_id)
    with atomic_file.lock(journal.lock_path, holding=f"a rollback of {entry.app_name!r}"):
        hands = Hands(instance, journal, _still_open(journal, entry), checkpoint)
        proofs, _ = await go_forward(hands)
        journal.close()
    return _cut(entry, "live is the target", ended="finished", proofs=tuple(proofs))


async def undo(instance: Instance, state: Path, entry: Entry, checkpoint: Checkpoint = no_checkpoint) -> CutOff:
    """Put the former state back.

    Raises:
        DifyopsError: a call failed; it stays open and can be done again.
    """
    journal = Journal.of(state, instance.name, entry.app_id)
    with atomic_file.lock(journal.lock_path, holding=f"a rollback of {entry.app_name!r}"):
        hands = Hands(instance, journal, _still_open(journal, entry), checkpoint)
        try:
            done = await go_back(hands)
        except NotFound as error:
            if error.server_code != "app_not_found":
                raise
            done = ["the app was deleted; nothing to put back"]
        journal.close()
    return _cut(entry, "; ".join(done), ended="undone")


def _still_open(journal: Journal, entry: Entry) -> Entry:
    now = journal.read()
    if now is None:
        raise Refused(f"The rollback of {entry.app_name!r} was ended by somebody else meanwhile.")
    return now


def _state(view: View, entry: Entry) -> str:
    if view.live is None:
        if view.live_is(entry.target_document):
            return "the target is live; only the proof is missing"
        return "the former model config is still live" if view.live_is(entry.former or {}) else "partly written"
    try:
        published = is_published(view, entry)
    except Refused as error:
        return error.message
    draft = "the draft holds the target" if view.draft_is(entry.target_document) else "the draft is untouched"
    if entry.parked is not None and view.draft_is(entry.parked):
        draft = "the unpublished draft is in place"
    elif entry.parked is not None:
        draft += ", the unpublished draft is saved in the journal"
    return f"{'the target is live' if published else 'the former version is still live'}; {draft}"


def _cut(entry: Entry, state: str, *, ended: str | None = None, proofs: tuple[Proof, ...] = ()) -> CutOff:
    return CutOff(
        app_id=entry.app_id,
        app_name=entry.app_name,
        target=entry.target,
        started_at=entry.started_at,
        phase=entry.phase,
        state=state,
        ended=ended,
        proofs=proofs,
    )

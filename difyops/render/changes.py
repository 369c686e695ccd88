"""How changes look: those that were cut off, one in detail, the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from difyops.changes.listing import ChangeRow
from difyops.clock import iso
from difyops.counting import counted
from difyops.dsl.load import dump_yaml
from difyops.dsl.secrets import redact
from difyops.errors import DifyopsError, PartialFailure, Refused
from difyops.ledger import AuditEntry
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.publishing.kept_drafts import KeptDraft


def told(found: Sequence[ChangeRow], *, title: str = "") -> Outcome:
    """Show changes that were cut off, or how they were ended."""
    rows = [
        (item.id, item.kind, item.label, item.began_at, item.phase, item.ended, item.error or item.state)
        for item in found
    ]
    columns = ("change", "kind", "of", "begun", "phase", "ended", "state")
    blocks: list[Block] = [Table(columns=columns, rows=rows, empty="No change was cut off.")]
    proofs = [line for item in found for line in _proofs(item)]
    if proofs:
        blocks.append(Lines(lines=proofs))
    open_ = [item for item in found if item.ended is None and item.error is None]
    summary = f"{len(open_)} open: difyops changes finish ID, or: difyops changes undo ID" if open_ else None
    return Outcome(
        kind="changes.list" if not title else "changes.ended",
        data=found,
        blocks=blocks,
        names=[item.id for item in found],
        summary=summary,
        warnings=[warning for item in found for warning in item.warnings],
        error=_error(found),
    )


def shown(found: Sequence[ChangeRow]) -> Outcome:
    """Show each change in full."""
    blocks: list[Block] = []
    for item in found:
        pairs: list[tuple[str, object]] = [
            ("change", item.id),
            ("kind", item.kind),
            ("of", f"{item.label} ({item.subject})"),
            ("context", item.context),
            ("begun", f"{item.began_at} by {item.actor}"),
            ("phase", item.phase),
            ("ended", item.ended),
            ("state", item.error or item.state),
        ]
        pairs += [("kept", place) for place in item.kept]
        blocks.append(Facts(pairs=pairs))
        blocks += [Lines(lines=_proofs(item))] if _proofs(item) else []
    if not found:
        blocks.append(Lines(lines=[("", "No change was cut off.")]))
    return Outcome(
        kind="changes.show", data=found, blocks=blocks, names=[item.id for item in found], error=_error(found)
    )


def log(entries: Sequence[AuditEntry]) -> Outcome:
    """Show the audit trail, oldest first."""
    rows = [
        (iso(entry.when), entry.actor, entry.context, entry.action, entry.subject, entry.outcome, _facts(entry))
        for entry in entries
    ]
    columns = ("when", "who", "context", "what", "of", "outcome", "facts")
    return Outcome(
        kind="changes.log",
        data=entries,
        blocks=[Table(columns=columns, rows=rows, empty="Nothing was changed.")],
        names=[str(entry.id) for entry in entries],
        summary=f"{counted(len(entries), 'line')}",
    )


def kept(found: Sequence[KeptDraft], *, done: bool = False) -> Outcome:
    """Show drafts that are kept, without what they hold."""
    rows = [(item.name, item.title, item.kept_at, item.app_id, item.place) for item in found]
    columns = ("name", "what", "kept", "app", "place")
    data = [{key: getattr(item, key) for key in ("name", "title", "app_id", "kept_at", "place")} for item in found]
    return Outcome(
        kind="changes.draft",
        data=data,
        blocks=[Table(columns=columns, rows=rows, empty="No draft is kept.")],
        names=[item.name for item in found],
        summary="put back; the file is gone" if done else None,
    )


def kept_in_full(item: KeptDraft) -> Outcome:
    """Show one kept draft as YAML, its secrets replaced by markers; the file holds them."""
    document = redact(item.document).document
    return Outcome(
        kind="changes.draft.document",
        data={"name": item.name, "app_id": item.app_id, "place": item.place, "document": document},
        raw=dump_yaml(document).encode(),
        names=[item.name],
    )


def _error(found: Sequence[ChangeRow]) -> DifyopsError | None:
    failed = sum(item.error is not None for item in found)
    if failed:
        return PartialFailure(f"{failed} of {len(found)} could not be read or ended.")
    overtaken = [item for item in found if item.ended == "overtaken"]
    if overtaken:
        return Refused(f"{overtaken[0].label!r}: {overtaken[0].state}.")
    if missed := [text for item in found for text in item.missed]:
        return PartialFailure(f"Ended, but {missed[0]}.")
    return None


def _proofs(item: ChangeRow) -> list[tuple[str, str]]:
    proofs = (item.data or {}).get("proofs") or ()
    return [("✓" if proof.ok else "✗", f"{proof.what}: {proof.found}") for proof in proofs]


def _facts(entry: AuditEntry) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(entry.data.items()))

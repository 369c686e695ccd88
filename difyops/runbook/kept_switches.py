"""Whether an app's API is off on purpose: what the last snapshot holds, and what the audit trail tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from difyops.errors import StoreError
from difyops.runbook.resources import Resources
from difyops.snapshot.layout import app_file, read_manifest, record_of

SWITCHES = ("app.enable", "app.disable")


def kept_switches(resources: Resources, app_ids: Iterable[str]) -> Mapping[str, bool]:
    """Return whether the API of each app was on in the newest snapshot; apps that it does not hold are left out.

    Reads files: to be called in a thread. No store, no snapshot and a damaged one all mean that nothing is known.
    """
    try:
        store = resources.open_store()
        head = store.head(resources.context_name)
        if head is None:
            return {}
        files = read_manifest(store, head).files
        paths = {app_file(app_id, "app.json"): app_id for app_id in app_ids}
        records = store.read_many(head, [path for path in paths if path in files])
        found = {paths[path]: record_of(content).enable_api for path, content in records.items()}
    except StoreError:
        return {}
    return {app_id: is_on for app_id, is_on in found.items() if is_on is not None}


def last_switch(resources: Resources, app_id: str) -> tuple[str, str] | None:
    """Return how difyops last switched the app's API (``app.enable``, ``app.disable``), and who and when in words."""
    if resources.ledger is None:
        return None
    trail = resources.ledger.audit_trail(subject=app_id, context=resources.context_name, limit=200)
    last = next((entry for entry in reversed(trail) if entry.action in SWITCHES), None)
    return None if last is None else (last.action, f"by {last.actor} at {last.when:%Y-%m-%d %H:%M} UTC")

"""A process that writes to a store, to be killed, starved of disk or raced. It says what was acknowledged."""

from __future__ import annotations

import os
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

from difyops.errors import StoreError
from difyops.git_store import GitStore, StoreMoved
from difyops.ledger import AuditEntry, Event, Ledger

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def commit(store: GitStore, name: str, content: bytes, tag: str) -> str:
    """Add one file on top of whatever is newest; start over when somebody was faster."""
    while True:
        try:
            return store.commit(
                "prod",
                {name: content},
                base=store.head("prod"),
                replace=False,
                message=f"Add {name}",
                author="Child <child@example.com>",
                when=NOW,
                tag=(tag, "made by a child"),
                note=tag.encode(),
            )
        except StoreMoved:
            continue


def main(job: str, path: str, prefix: str, count: str) -> None:
    if job == "ledger":
        with Ledger.open(Path(path)) as ledger:
            for number in range(int(count)):
                ledger.append(Event(kind="test", subject=f"{prefix}{number}", when=NOW, context="prod"))
                entry = AuditEntry(
                    actor=prefix, action="a", subject=str(number), when=NOW, context="prod", outcome="done"
                )
                say(str(ledger.audit(entry)))
        return
    store = GitStore.open(Path(path), create=True)
    if job == "starve":
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            commit(store, "big", os.urandom(2_000_000), prefix)
        except StoreError as error:
            say(f"{error.code}: {error}")
        return
    for number in range(int(count)):
        name = f"{prefix}{number}"
        say(commit(store, f"apps/{name}/draft.yml", os.urandom(20_000), name))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What happened and what was changed: append-only, in a SQLite file of the state folder or another database.

Rooms append events here and read those of others; nobody updates or deletes. The audit trail is a second table whose
lines are chained: each carries the SHA-256 of its own text and of the line before, and the last hash is kept apart, so
a line that was edited, removed or added behind our back shows in ``verify_chain``. (It shows against a hand that slips;
somebody who can write the file and knows this module can forge the whole chain. Keep the newest hash elsewhere when
that matters.) Every string passes ``secret_text.scrub`` on its way in. What an event means is not known here.

    records   events, audit entries, and what they look like as text
    anchor    how long it was, kept beside it and in the store
    database  SQLite files: making one, opening it, its tables, its errors
    backing   the seam: what a database below the ledger can do
    file      the ledger's SQLite file, and the locks of this machine
    server    a PostgreSQL that several machines share: ``connected`` is one connection, ``server_tables`` its tables
    holders   locks that several machines share, and who holds them
    spool     lines that could not be written yet
    integrity its chain and its length: is it whole?
    lines     rows of it
    book      ``Ledger``
"""

from difyops.ledger.book import Ledger
from difyops.ledger.holders import this_host, this_user
from difyops.ledger.records import AuditEntry, Event, JsonObject

__all__ = ["AuditEntry", "Event", "JsonObject", "Ledger", "this_host", "this_user"]

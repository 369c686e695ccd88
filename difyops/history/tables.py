"""The tables of the history file, and the columns in the order in which rows are written.

Times are unix seconds (UTC), durations seconds, prices the server's own decimal text. No content: hashes and sizes,
unless it was asked for (table ``content``).
"""

from __future__ import annotations

from difyops.ledger.database import Layout

SCHEMA_VERSION = 1
_OURS = 0x44464F48  # "DFOH", SQLite's application_id

RUN = (
    "context", "app", "id", "source", "status", "started", "logged", "finished", "elapsed", "version", "tokens",
    "steps", "exceptions", "error_kind", "user", "conversation", "message",
)  # fmt: skip
NODE = (
    "context", "app", "run", "id", "idx", "node", "type", "title", "status", "started", "finished", "elapsed",
    "error_kind", "attempt", "container", "round", "tokens", "price", "currency", "prompt_tokens",
    "completion_tokens", "provider", "model", "first_token", "finish_reason", "input_hash", "input_size",
    "output_hash", "output_size", "prompt_hash", "prompt_size", "prefix_hash",
)  # fmt: skip
MESSAGE = (
    "context", "app", "id", "conversation", "run", "status", "started", "latency", "prompt_tokens", "answer_tokens",
    "price", "currency", "error_kind", "user", "input_hash", "input_size", "output_hash", "output_size",
)  # fmt: skip
COLUMNS = {"run": RUN, "node": NODE, "message": MESSAGE}
WHOLE = {
    "tokens", "steps", "exceptions", "idx", "attempt", "round", "prompt_tokens", "completion_tokens",
    "answer_tokens", "input_size", "output_size", "prompt_size",
}  # fmt: skip
REAL = {"started", "logged", "finished", "elapsed", "latency", "first_token"}
KEYS = {"run": ("context", "app", "id"), "node": ("context", "app", "run", "id"), "message": ("context", "app", "id")}


def _table(name: str) -> str:
    kinds = (f"{column} {kind(column)}" for column in COLUMNS[name])
    return f"CREATE TABLE {name} ({', '.join(kinds)}, PRIMARY KEY ({', '.join(KEYS[name])})) WITHOUT ROWID"


def kind(column: str) -> str:
    """Return the SQLite type of a column."""
    return "INTEGER" if column in WHOLE else "REAL" if column in REAL else "TEXT"


LAYOUT = Layout(
    word="history",
    mark=_OURS,
    version=SCHEMA_VERSION,
    synchronous="NORMAL",  # coverage and rows are one transaction: a power cut loses the newest, never half of one
    tables=(
        *(_table(name) for name in COLUMNS),
        # with what totals need, so that adding up a million runs does not read the runs themselves
        "CREATE INDEX run_started ON run (context, app, started, source, status, tokens, version)",
        "CREATE INDEX run_open ON run (context, app, status) WHERE status IN ('running', 'paused')",
        "CREATE TABLE app (context TEXT, id TEXT, name TEXT, mode TEXT, gone REAL, PRIMARY KEY (context, id))"
        " WITHOUT ROWID",
        # a stretch of time of one feed of which every row is here: read from t0 to t1, both included
        "CREATE TABLE covered (context TEXT, app TEXT, feed TEXT, t0 REAL, t1 REAL, rows INTEGER, calls INTEGER,"
        " read_at REAL)",
        "CREATE INDEX covered_feed ON covered (context, app, feed, t0)",
        # a run whose node records were read, why, and its chance of having been read
        "CREATE TABLE sample (context TEXT, app TEXT, run TEXT, reason TEXT, chance REAL, read_at REAL,"
        " PRIMARY KEY (context, app, run)) WITHOUT ROWID",
        "CREATE TABLE conversation (context TEXT, app TEXT, id TEXT, changed REAL, PRIMARY KEY (context, app, id))"
        " WITHOUT ROWID",
        "CREATE TABLE graph (context TEXT, app TEXT, version TEXT, shape TEXT, PRIMARY KEY (context, app, version))"
        " WITHOUT ROWID",
        "CREATE TABLE content (context TEXT, app TEXT, kind TEXT, id TEXT, inputs TEXT, outputs TEXT, error TEXT,"
        " PRIMARY KEY (context, app, kind, id)) WITHOUT ROWID",
        "CREATE TABLE visit (id INTEGER PRIMARY KEY, context TEXT, source TEXT, began REAL, ended REAL, calls INTEGER,"
        " stopped TEXT)",
        "CREATE TABLE pack (context TEXT, app TEXT, month TEXT, name TEXT, rows INTEGER, file TEXT,"
        " PRIMARY KEY (context, app, month, name)) WITHOUT ROWID",
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    ),
)

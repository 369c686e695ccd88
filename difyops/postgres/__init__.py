"""PostgreSQL's client, an optional extra. The only home of ``psycopg``, which is imported when it is used.

bounded   a connection that waits for an answer only so long
"""

from __future__ import annotations

from typing import Any

from difyops.errors import NotSupported

INSTALL = "pip install 'difyops[postgres]'"


def client() -> Any:
    """Return the client's module.

    Raises:
        NotSupported: it is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise NotSupported("The PostgreSQL client is not installed on this machine.", hint=INSTALL) from error
    return psycopg


def said(error: Exception) -> str:
    """Return the first line of the server's own words at most: the whole text can repeat the address and its password.

    What the client says by itself is named by its kind.
    """
    return getattr(getattr(error, "diag", None), "message_primary", None) or type(error).__name__

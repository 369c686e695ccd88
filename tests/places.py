"""Where the test is: the context that the environment describes, as the command line names it."""

from __future__ import annotations

from difyops import config


def context_name() -> str:
    """Return the name of the current context."""
    return config.load().context().name

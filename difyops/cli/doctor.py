"""``difyops doctor``: can this machine do its job against this instance? One command, not a group of them."""

from __future__ import annotations

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.outcome import Outcome

noun = group("Can this machine do its job against this instance?")


@command(noun, "doctor")
def doctor(session: Session) -> Outcome:
    """Check machine, store and instance; name plaintext secrets in the last snapshot. Exit 5 on a failure."""
    from difyops.doctor import examine
    from difyops.render.doctor import examined

    return examined(session.run(examine(session.config, session.one_context())))

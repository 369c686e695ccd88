"""One way to change an instance: intent on disk before each effect, one recovery after a kill, one audit trail.

    journal    the journal of changes: lines in the ledger, private files beside it while a change is open
    change     one change under way: notes, held documents, and ``effect``, the only way to change anything
    recovery   what was cut off, whatever kind it is: list, show, finish, undo

A room gives each of its kinds of change a ``Recoverable``: how it tells its state, how it is finished and undone.
"""

from difyops.changes.change import Change, cut_off
from difyops.changes.journal import ChangeRecord, Journal
from difyops.changes.recovery import Ended, Recoverable

__all__ = ["Change", "ChangeRecord", "Ended", "Journal", "Recoverable", "cut_off"]

"""Apps that stand for a while: made under names that only one change has, noted before and after, taken away again.

apps     names, notes, removal, the sweep after a kill
copies   a copy of a version or draft, switched off but for its API, and asking it
effects  what an app would do outside when it is run
recovery  of changes that make nothing else
"""

from difyops.scratch.apps import Scratches, Swept
from difyops.scratch.recovery import TakenAway

__all__ = ["Scratches", "Swept", "TakenAway"]

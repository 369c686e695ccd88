"""The platform client: the only home of the HTTP library and the only place where wire and model meet.

``instance`` connects, ``console`` and ``workspace`` manage, ``service`` runs apps, ``knowledge`` reads datasets;
``transport``, ``auth``, ``faults``, ``pages`` and ``sse`` carry them. Everything that waits is async.
"""

import sys

# httpx imports its own command line with itself, and that takes Click, Rich and Pygments along where they are
# installed: more than two thirds of its time. What is None here is a module that is not there, which it expects.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

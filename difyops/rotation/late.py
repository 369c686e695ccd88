"""Calls whose answer did not come, and that a slow server may still carry out: for how long to reckon with that.

A rotation that goes back before that is over would leave what comes then to nobody: a key that no one knows of.
"""

from __future__ import annotations

from difyops.api.server_time import UNKNOWN
from difyops.publishing import late
from difyops.rotation.job import RotationJob

SKEW = 5.0
"""Seconds that a time which the server wrote may differ from that of its Date header: it is the database's."""
LATE = late.LATE


def longest(job: RotationJob) -> float:
    """Return for how many seconds a request may be under way: until it is given up."""
    options = job.instance.transport.options
    return options.connect + options.read


def left_until(job: RotationJob, end: float, now: float) -> float:
    """Return the seconds from ``now`` to ``end`` (unix seconds of one clock); 0 where that is over.

    More than a request can be late is no wait: a clock was set meanwhile.
    """
    left = end - now
    return left if 0 < left <= longest(job) + LATE + 2 * (SKEW + UNKNOWN) else 0.0

"""``disk``: room on this machine's disks."""

from __future__ import annotations

import shutil

from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.threads import apart

_GB = 1024**3


async def check(
    resources: Resources,
    *,
    path: str = ".",
    min_free_percent: float = 10.0,
    warn_free_percent: float | None = None,
    min_free_gb: float | None = None,
) -> Result:
    """Hold the free space of the file system that holds ``path`` to a share and, if given, an amount in GB.

    It is this machine's disk, where difyops runs; for a server's, run difyops there or use ``command``.
    """
    try:
        usage = await apart(lambda: shutil.disk_usage(path))
    except OSError as error:
        return Inconclusive(text=f"{path} cannot be looked at: {error.strerror or error}")
    percent = round(100.0 * usage.free / usage.total, 2) if usage.total else 0.0
    free = round(usage.free / _GB, 3)
    values = (
        Value(name="free_percent", value=percent, unit="%", warn=warn_free_percent, fail=min_free_percent, floor=True),
        Value(name="free", value=free, unit="GB", fail=min_free_gb, floor=True),
        Value(name="size", value=round(usage.total / _GB, 3), unit="GB"),
    )
    text = f"{path}: {percent:g} % free ({free:.1f} GB)"
    if percent < min_free_percent or (min_free_gb is not None and free < min_free_gb):
        return Fail(text=text, values=values, hint="workflow_node_executions is the table that fills disks.")
    if warn_free_percent is not None and percent < warn_free_percent:
        return Warn(text=text, values=values)
    return Pass(text=text, values=values)

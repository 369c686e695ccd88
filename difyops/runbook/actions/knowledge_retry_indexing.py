"""``knowledge.retry_indexing``: index again what ended in error."""

from __future__ import annotations

from difyops.api.datasets import documents_in_error, index_again
from difyops.api.instance import Instance
from difyops.counting import counted
from difyops.errors import ServerFault
from difyops.runbook.datasets import datasets_named
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Value


async def plan(
    resources: Resources, *, datasets: list[str] | None = None, most: int = 200, wait: Duration = 0.0
) -> Planned:
    """Ask for the indexing of failed documents once more (at most ``most``), and wait up to ``wait`` for the end.

    The platform skips what is completed, so repeating does no harm and there is no undo. It costs embedding calls.
    Documents that fail again within ``wait`` fail the step.
    """
    instance = await resources.instance()
    failed: dict[str, list[str]] = {}
    for row in await datasets_named(instance, datasets):
        ids = await documents_in_error(instance.console, str(row.get("id")))
        if ids:
            failed[str(row.get("id"))] = ids[: max(0, most - sum(map(len, failed.values())))]
    count = sum(map(len, failed.values()))
    if not count:
        return Planned(text="no document is in error")

    async def apply() -> Acted:
        for dataset, ids in failed.items():
            await index_again(instance.console, dataset, ids)
            resources.audit("knowledge.retry_indexing", dataset, documents=len(ids))
        left = await _left(resources, instance, failed, wait)
        if left:
            raise ServerFault(
                f"{left} of {counted(count, 'document')} failed again; the others were indexed or are at it."
            )
        return Acted(
            text=f"{counted(count, 'document is', 'documents are')} being indexed again",
            values=(Value(name="documents", value=count),),
        )

    return Planned(
        text=f"index {counted(count, 'failed document')} of {counted(len(failed), 'dataset')} again", apply=apply
    )


async def _left(resources: Resources, instance: Instance, failed: dict[str, list[str]], wait: float) -> int:
    """Return how many of the documents are in error again, ``wait`` seconds later; 0 when nobody waits."""
    if wait <= 0:
        return 0
    await resources.clock.sleep(wait)
    again = [set(await documents_in_error(instance.console, dataset)) & set(ids) for dataset, ids in failed.items()]
    return sum(map(len, again))

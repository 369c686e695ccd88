"""``knowledge.rebuild``: what it would take to build the vectors of datasets again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from difyops.api import datasets as datasets_api
from difyops.api.instance import Instance
from difyops.counting import counted
from difyops.runbook.datasets import datasets_named
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value


async def check(
    resources: Resources, *, datasets: list[str] | None = None, max_tokens: int | None = None, most: int = 5000
) -> Result:
    """Count documents, segments and tokens of the datasets (ids or names; all without): the plan of a rebuild.

    Every token is embedded again, which costs what the embedding model costs; datasets without embeddings (economy)
    need none. More tokens than ``max_tokens`` fail: somebody should agree first. Nothing is changed. More than ``most``
    documents are inconclusive: the rest was not counted.
    """
    instance = await resources.instance()
    documents = segments = tokens = economy = 0
    plans = []
    for dataset in await datasets_named(instance, datasets):
        rows = [row async for row in _documents(instance, str(dataset.get("id")), most - documents)]
        count = sum(_whole(row.get("segment_count")) for row in rows)
        cost = sum(_whole(row.get("tokens")) for row in rows)
        is_economy = dataset.get("indexing_technique") == "economy"
        documents, segments = documents + len(rows), segments + count
        economy, tokens = economy + is_economy, tokens + (0 if is_economy else cost)
        how = "keywords only, no embedding" if is_economy else f"{counted(cost, 'token')} to embed"
        plans.append(f"{dataset.get('name')}: {counted(len(rows), 'document')}, {counted(count, 'segment')}, {how}")
    values = (
        Value(name="documents", value=documents, unit="documents"),
        Value(name="segments", value=segments, unit="segments"),
        Value(name="tokens", value=tokens, unit="tokens", fail=max_tokens),
        Value(name="keyword_datasets", value=economy, unit="datasets"),
    )
    text = (
        f"a rebuild embeds {counted(tokens, 'token')} of {counted(documents, 'document')} in"
        f" {counted(len(plans), 'dataset')}"
    )
    if max_tokens is not None and tokens > max_tokens:
        return Fail(text=f"{text}; {max_tokens} are agreed", values=values, excerpt="; ".join(plans))
    if documents >= most:
        return Inconclusive(
            text=f"{text}; only {counted(most, 'document was', 'documents were')} counted", values=values
        )
    return Pass(text=text, values=values, excerpt="; ".join(plans))


async def _documents(instance: Instance, dataset_id: str, most: int) -> AsyncIterator[dict[str, Any]]:
    seen = 0
    async for row in datasets_api.documents(instance.console, dataset_id):
        if seen >= most:
            return
        seen += 1
        yield row


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0

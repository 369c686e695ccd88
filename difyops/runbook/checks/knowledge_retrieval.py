"""``knowledge.retrieval``: a known question must find its known document."""

from __future__ import annotations

import time

from difyops.api.knowledge import Hit, Knowledge, dataset_key
from difyops.counting import counted
from difyops.errors import ServerFault
from difyops.runbook.datasets import datasets_named
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value


async def check(
    resources: Resources,
    *,
    dataset: str,
    question: str,
    document: str | None = None,
    text: str | None = None,
    min_score: float | None = None,
    max_seconds: Duration | None = None,
    keyword: bool = False,
    top_k: int = 4,
) -> Result:
    """Ask a dataset something whose answer is known: the true health of the vector store behind it.

    A store that is away makes retrieval fast and empty, and apps answer without sources. ``document`` is the name of
    the document that must be among the ``top_k`` found, ``text`` a piece of its text; with neither, anything found
    will do. ``keyword: true`` for datasets without embeddings (economy). Uses a dataset key of the workspace.
    """
    instance = await resources.instance()
    rows = await datasets_named(instance, [dataset])
    if len(rows) != 1:
        return Inconclusive(text=f"{dataset!r} means {counted(len(rows), 'dataset')}; a question is asked of one")
    row = rows[0]
    knowledge = Knowledge(instance.service_transport, await dataset_key(instance.console))
    began = time.monotonic()
    try:
        hits = await knowledge.retrieve(str(row.get("id")), question, keyword=keyword, top_k=top_k)
    except ServerFault as error:
        hint = "The store does not answer; look at it where it runs (weaviate, qdrant, pgvector, ...)."
        return Fail(text=f"{row.get('name')}: {error.message}", hint=hint)
    took = round(time.monotonic() - began, 3)
    fitting = [hit for hit in hits if _fits(hit, document, text)]
    score = max((hit.score for hit in fitting), default=0.0)
    values = (
        Value(name="found", value=len(hits), unit="segments"),
        Value(name="score", value=round(score, 4), fail=min_score, floor=True),
        Value(name="seconds", value=took, unit="s", fail=max_seconds),
    )
    wrong = _wrong(hits, fitting, document or text)
    if wrong is None and min_score is not None and score < min_score:
        wrong = f"found with score {score:.3f}, at least {min_score:g} is expected"
    if wrong is None and max_seconds is not None and took > max_seconds:
        wrong = f"found after {took:g} s, {max_seconds:g} s are allowed"
    if wrong is not None:
        found = ", ".join(sorted({hit.document_name for hit in hits})) or "nothing"
        hint = "Is the vector store up, and were its collections rebuilt? knowledge.indexing tells about documents."
        return Fail(text=f"{row.get('name')}: {wrong}", values=values, excerpt=f"found: {found}", hint=hint)
    return Pass(text=f"{row.get('name')}: found {fitting[0].document_name!r} in {took:g} s", values=values)


def _fits(hit: Hit, document: str | None, text: str | None) -> bool:
    return (document is None or hit.document_name == document) and (text is None or text in hit.text)


def _wrong(hits: list[Hit], fitting: list[Hit], wanted: str | None) -> str | None:
    if not hits:
        return "the known question finds nothing"
    return None if fitting else f"the known question finds {counted(len(hits), 'segment')}, and not {wanted!r}"

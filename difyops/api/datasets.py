"""The console surface of datasets: their documents and segments, what failed to be indexed, and indexing it again.

Paths are relative to ``/console/api``. Rows are as the server gives them: id, name, indexing_status, error, enabled,
created_at, tokens, word_count, segment_count; from 1.16 on the rules by which they were cut (``process_rule_dict``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from difyops.api import answers, pages
from difyops.api.console import Console
from difyops.api.paths import part


async def documents(console: Console, dataset_id: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the documents of a dataset (``GET /datasets/{id}/documents``)."""

    async def fetch(params: Mapping[str, Any]) -> Any:
        path = f"/datasets/{part(dataset_id)}/documents"
        return await console.get(path, doing="list documents", shape=answers.DOCUMENTS, **params)

    async for row in pages.by_number(fetch):
        yield row


async def segments(console: Console, dataset_id: str, document_id: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the segments of a document (``GET /datasets/{id}/documents/{id}/segments``): content, its hash, ...

    The console counts pages here (``total_pages``) and does not say whether there are more.
    """

    async def fetch(params: Mapping[str, Any]) -> Any:
        path = f"/datasets/{part(dataset_id)}/documents/{part(document_id)}/segments"
        body = await console.get(path, doing="list segments", shape=answers.SEGMENTS, **params)
        return {**body, "has_more": int(params.get("page") or 1) < int(body.get("total_pages") or 1)}

    async for row in pages.by_number(fetch):
        yield row


async def documents_in_error(console: Console, dataset_id: str) -> list[str]:
    """Return the ids of the documents whose indexing failed (``GET /datasets/{id}/error-docs``)."""
    path = f"/datasets/{part(dataset_id)}/error-docs"
    body = await console.get(path, doing="list failed documents", shape=answers.ERROR_DOCUMENTS)
    return [str(row["id"]) for row in body["data"]]


async def index_again(console: Console, dataset_id: str, document_ids: Sequence[str]) -> None:
    """Ask for the indexing of documents once more; the server skips what is completed."""
    path = f"/datasets/{part(dataset_id)}/retry"
    await console.send("POST", path, {"document_ids": list(document_ids)}, doing="retry the indexing")

"""The knowledge surface (``/v1/datasets``) with a dataset key: documents, their indexing, asking the store itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.api import answers, pages
from difyops.api.auth import ServiceKey
from difyops.api.console import Console
from difyops.api.paths import part
from difyops.api.shapes import Shape, fit, number
from difyops.api.transport import Transport, json_of
from difyops.errors import CredentialError
from difyops.secret_text import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One segment that a question found: its document, text and score."""

    document_id: str
    document_name: str
    text: str
    score: float


@dataclass(slots=True)
class Knowledge:
    """The dataset calls of one workspace."""

    transport: Transport
    key: SecretText

    async def datasets(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the datasets that the key sees."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            return await self._call(
                "GET", "/v1/datasets", doing="list datasets", shape=answers.DATASETS, params=dict(params)
            )

        async for row in pages.by_number(fetch):
            yield row

    async def documents(self, dataset_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the documents of a dataset: id, name, indexing_status, error, enabled, created_at."""

        async def fetch(params: Mapping[str, Any]) -> Any:
            path = f"/v1/datasets/{part(dataset_id)}/documents"
            return await self._call("GET", path, doing="list documents", shape=answers.DOCUMENTS, params=dict(params))

        async for row in pages.by_number(fetch):
            yield row

    async def retrieve(self, dataset_id: str, question: str, *, keyword: bool = False, top_k: int = 4) -> list[Hit]:
        """Ask the dataset and return what it finds, best first; ``keyword`` for datasets without embeddings."""
        body: dict[str, Any] = {"query": question}
        if keyword:
            model = {"search_method": "keyword_search", "reranking_enable": False, "top_k": top_k}
            body["retrieval_model"] = {**model, "score_threshold_enabled": False}
        path = f"/v1/datasets/{part(dataset_id)}/retrieve"
        answer = await self._call("POST", path, doing="ask the dataset", shape=answers.HITS, json=body)
        return [_hit(row) for row in answer["records"]]

    async def _call(self, method: str, path: str, *, doing: str, shape: Shape, **content: Any) -> Any:
        response = await self.transport.request(
            method, path, doing=doing, auth=ServiceKey(self.key), repeatable=True, **content
        )
        return fit(json_of(response, doing=doing), shape, doing=doing, endpoint=path)


async def dataset_key(console: Console) -> SecretText:
    """Return a dataset key of the workspace, found through the console (owner and admin only).

    Raises:
        CredentialError: there is none (keys are not created as a side effect).
    """
    body = await console.get("/datasets/api-keys", doing="read the dataset keys", shape=answers.KEYS)
    tokens = [row["token"] for row in body["data"]]
    if not tokens:
        raise CredentialError("The workspace has no dataset key.", hint="Create one in the web page.")
    return SecretText(tokens[0])


def _hit(row: Mapping[str, Any]) -> Hit:
    segment = row["segment"]
    document = segment.get("document") or {}
    return Hit(
        document_id=str(segment.get("document_id") or ""),
        document_name=str(document.get("name") or ""),
        text=str(segment.get("content") or ""),
        score=number(row.get("score")) or 0.0,
    )

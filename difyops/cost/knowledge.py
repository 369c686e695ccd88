"""What an app's retrieval is set to, and what its datasets are like: read from its document and from the server.

Two documents are the same when their segments are, in whatever order; segments are read only of documents that have as
many characters as another one, and of a few of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api import datasets
from difyops.api.instance import Instance
from difyops.api.run_records import number
from difyops.dsl.model import as_dict, as_list, iter_nodes, text_of
from difyops.errors import DifyopsError, NotFound

_MOST_DOCUMENTS = 500
_MOST_COMPARED = 20
_MOST_SEGMENTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFacts:
    """One dataset. ``chunk``: most tokens of a chunk, as most documents were cut, ``None`` where the server does not
    tell (before 1.16). ``twice``: names of documents with the same text, a group each; ``compared`` were looked at.
    """

    id: str
    name: str
    documents: int
    chunk: int | None = None
    overlap: int | None = None
    twice: tuple[tuple[str, ...], ...] = ()
    compared: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How one retrieval node is set. ``threshold``: the least score, ``None`` where it is off."""

    top_k: int | None
    threshold: float | None
    reranks: bool
    datasets: tuple[DatasetFacts, ...] = ()


async def retrievals(instance: Instance, document: Mapping[str, Any]) -> dict[str, Retrieval]:
    """Return the settings of each retrieval node of a document, with its datasets; a dataset that is gone is left out.

    Raises:
        DifyopsError: a dataset cannot be read.
    """
    known: dict[str, DatasetFacts | None] = {}
    found = {}
    for node in iter_nodes(document):
        if node.type != "knowledge-retrieval":
            continue
        ids = [text_of(item) for item in as_list(node.data.get("dataset_ids")) if item]
        for one in ids:
            if one not in known:
                known[one] = await dataset_facts(instance, one)
        facts = tuple(fact for one in ids if (fact := known[one]) is not None)
        found[node.id] = _settings(node.data, facts)
    return found


async def dataset_facts(instance: Instance, dataset_id: str) -> DatasetFacts | None:
    """Return what a dataset is like, ``None`` where it is gone."""
    console, rows = instance.console, list[dict[str, Any]]()
    names = {str(row.get("id")): str(row.get("name")) async for row in instance.workspace.datasets()}
    try:
        async for row in datasets.documents(console, dataset_id):
            rows.append(row)
            if len(rows) == _MOST_DOCUMENTS:
                break
    except NotFound:
        return None
    rules = [as_dict(as_dict(as_dict(row.get("process_rule_dict")).get("rules")).get("segmentation")) for row in rows]
    sizes = sorted(int(size) for rule in rules if (size := number(rule.get("max_tokens"))))
    overlaps = sorted(int(size) for rule in rules if (size := number(rule.get("chunk_overlap"))))
    twice, compared = await _twice(instance, dataset_id, rows)
    return DatasetFacts(
        id=dataset_id, name=names.get(dataset_id, dataset_id), documents=len(rows),
        chunk=sizes[len(sizes) // 2] if sizes else None, overlap=overlaps[len(overlaps) // 2] if overlaps else None,
        twice=twice, compared=compared,
    )  # fmt: skip


async def _twice(
    instance: Instance, dataset_id: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[tuple[str, ...], ...], int]:  # fmt: skip
    """Return the names of documents with the same text, and how many were compared."""
    by_size: dict[float, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if size := number(row.get("word_count")):
            by_size[size].append(row)
    alike = [row for _, group in sorted(by_size.items(), reverse=True) if len(group) > 1 for row in group]
    by_text: dict[tuple[str, ...], list[str]] = defaultdict(list)
    compared = 0
    for row in alike[:_MOST_COMPARED]:
        try:
            marks = await _marks(instance, dataset_id, str(row["id"]))
        except DifyopsError:
            continue
        compared += 1
        if marks:
            by_text[marks].append(str(row.get("name")))
    return tuple(tuple(sorted(names)) for names in by_text.values() if len(names) > 1), compared


async def _marks(instance: Instance, dataset_id: str, document_id: str) -> tuple[str, ...]:
    found: list[str] = []
    async for row in datasets.segments(instance.console, dataset_id, document_id):
        found.append(str(row.get("index_node_hash") or row.get("content")))
        if len(found) == _MOST_SEGMENTS:
            break
    return tuple(sorted(found))


def _settings(data: Mapping[str, Any], facts: tuple[DatasetFacts, ...]) -> Retrieval:
    several = as_dict(data.get("multiple_retrieval_config"))
    top_k, least = number(several.get("top_k")), number(several.get("score_threshold"))
    switched = several.get("score_threshold_enabled")
    is_on = least is not None and switched is not False and least > 0
    return Retrieval(
        top_k=int(top_k) if top_k else None, threshold=least if is_on else None,
        reranks=bool(several.get("reranking_enable")), datasets=facts,
    )  # fmt: skip

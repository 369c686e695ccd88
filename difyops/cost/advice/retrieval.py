"""Retrieved text fills most of a prompt, or brings the same text twice: fewer chunks, a reranker, no duplicates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from difyops.cost.advice import LEAST, MODEL_TYPES, Advice, AppRecord, NodeRecord, Saving

_FILLS = 0.5
_LARGE = 1000  # tokens
_REPEATED = 0.05


def advise(record: AppRecord) -> Iterator[Advice]:
    """Yield each retrieval node whose text fills half of a large prompt, or repeats itself (where content is kept)."""
    for node in record.nodes.values():
        if node.type != "knowledge-retrieval" or len(node.calls) < LEAST:
            continue
        retrieved = node.mean([call.output_size for call in node.calls])
        chunks, again = _repeated(node)
        for reader in record.readers(node.id):
            if reader.type not in MODEL_TYPES or not reader.calls:
                continue
            size = reader.mean([call.prompt_size for call in reader.calls])
            prompt = reader.mean([call.prompt for call in reader.calls])
            share = min(1.0, retrieved / size) if size else 0.0
            if prompt < _LARGE or (share < _FILLS and again < _REPEATED):
                continue
            repeats = f", and {again:.0%} of it is text that is there already" if again else ""
            yield Advice(
                rule="retrieval", node=node.id, n=len(reader.calls),
                saving=_saving(record, reader, prompt * share, again),
                title=f"{node.title} fills {share:.0%} of the prompt of {reader.title}{repeats}",
                evidence={"tokens in (mean)": round(prompt, 1), "characters retrieved": round(retrieved),
                          "chunks looked at": chunks, "repeated": round(again, 4) if chunks else "not known"},
                steps=(
                    "Lower top_k, or raise the score threshold; difyops cost diff prices it beforehand.",
                    "Rerank, and send the best half; cut smaller chunks where one holds several subjects.",
                    "Remove documents that stand in the dataset twice." if again else "Try each with difyops eval.",
                ),
            )  # fmt: skip


def _saving(record: AppRecord, reader: NodeRecord, tokens: float, again: float) -> Saving | None:
    if reader.rate is None:
        return None
    return Saving(
        low=record.per_thousand(reader, tokens * again, reader.rate.input),
        high=record.per_thousand(reader, tokens * max(0.5, again), reader.rate.input),
        currency=reader.rate.currency, basis="the list's price of input, for the repeated text up to half of all",
    )  # fmt: skip


def _repeated(node: NodeRecord) -> tuple[int, float]:
    """Return how many chunks were looked at, and the share of their text that stood in the same answer already."""
    count, total, again = 0, 0, 0
    for text in node.contents:
        seen: Counter[str] = Counter()
        for chunk in _chunks(text):
            count += 1
            total += len(chunk)
            again += len(chunk) if seen[chunk] else 0
            seen[chunk] += 1
    return count, again / total if total else 0.0


def _chunks(text: str) -> Iterator[str]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return
    rows = body.get("result") if isinstance(body, dict) else None
    for row in rows if isinstance(rows, list) else ():
        content = row.get("content") if isinstance(row, dict) else None
        if isinstance(content, str) and content.strip():
            yield " ".join(content.split())

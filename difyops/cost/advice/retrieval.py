"""Retrieved text fills a prompt, repeats itself or barely fits: fewer, smaller chunks, a threshold, no duplicates."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.cost.advice import LEAST, MODEL_TYPES, AdviceNode, AppRecord, CostAdvice, Saving
from difyops.cost.knowledge import Retrieval
from difyops.counting import counted

_FILLS = 0.5
_LARGE = 1000  # tokens
_REPEATED = 0.05
_WEAK = 0.5  # of the best score of the same answer
_WEAK_SHARE = 0.25
_LONG_CHUNK = 2000  # characters
_SENT = 0.5  # of the retrieved text that can be spared as a rule, at most
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What kept answers of a retrieval node hold, in characters. ``again``: text that stood in the same answer already;
    ``weak``: text of chunks that score less than half of the best one, not counted above. ``pairs``: documents that
    brought the same text.
    """

    answers: int = 0
    chunks: int = 0
    characters: int = 0
    again: int = 0
    weak: int = 0
    pairs: tuple[str, ...] = ()

    def share(self, part: int) -> float:
        """Return a part of all text."""
        return part / self.characters if self.characters else 0.0


def advise(record: AppRecord) -> Iterator[CostAdvice]:
    """Yield each retrieval node whose text fills half of a large prompt, repeats itself or barely fits the question
    (where content is kept), or comes from a dataset that holds documents twice (where the server could be asked).
    """
    for node in record.nodes.values():
        if node.type != "knowledge-retrieval" or len(node.calls) < LEAST:
            continue
        retrieved = node.mean([call.output_size for call in node.calls])
        seen = _seen(node.contents)
        again, weak = seen.share(seen.again), seen.share(seen.weak)
        twice = [group for item in _datasets(node) for group in item.twice]
        for reader in record.readers(node.id):
            if reader.type not in MODEL_TYPES or not reader.calls:
                continue
            size = reader.mean([call.prompt_size for call in reader.calls])
            prompt = reader.mean([call.prompt for call in reader.calls])
            share = min(1.0, retrieved / size) if size else 0.0
            spare = again >= _REPEATED or (weak >= _WEAK_SHARE and not _has_threshold(node))
            if prompt < _LARGE or (share < _FILLS and not spare and not twice):
                continue
            yield CostAdvice(
                rule="retrieval", node=node.id, n=len(reader.calls),
                saving=_saving(record, reader, prompt * share, again, weak),
                title=_title(node, reader, share, again, weak, len(twice)),
                evidence=_evidence(node, seen, prompt, retrieved), steps=tuple(_steps(node, seen, again, weak, twice)),
            )  # fmt: skip


def _title(node: AdviceNode, reader: AdviceNode, share: float, again: float, weak: float, twice: int) -> str:
    more = [f"{again:.0%} of it is text that is there already"] if again else []
    more += [f"{weak:.0%} barely fits the question"] if weak else []
    more += [f"{counted(twice, 'text stands', 'texts stand')} in its datasets twice"] if twice else []
    return ", and ".join([f"{node.title} fills {share:.0%} of the prompt of {reader.title}", *more])


def _evidence(node: AdviceNode, seen: _Seen, prompt: float, retrieved: float) -> dict[str, float | int | str]:
    found: dict[str, float | int | str] = {
        "tokens in (mean)": round(prompt, 1), "characters retrieved": round(retrieved),
        "answers looked at": seen.answers, "chunks looked at": seen.chunks,
        "repeated": round(seen.share(seen.again), 4) if seen.chunks else "not known",
        "barely fits": round(seen.share(seen.weak), 4) if seen.chunks else "not known",
    }  # fmt: skip
    if seen.chunks:
        found["chunks a call"] = round(seen.chunks / seen.answers, 2)
        found["characters a chunk"] = round(seen.characters / seen.chunks)
    if node.retrieval is not None:
        found["top_k"] = node.retrieval.top_k or "not set"
        found["score threshold"] = "off" if node.retrieval.threshold is None else node.retrieval.threshold
        for item in node.retrieval.datasets:
            cut = f"cut at {counted(item.chunk, 'token')}" if item.chunk else "size of chunks not told by this server"
            found[f"dataset {item.name}"] = f"{counted(item.documents, 'document')}, {cut}, {item.compared} compared"
    return found


def _steps(
    node: AdviceNode, seen: _Seen, again: float, weak: float, twice: Sequence[Sequence[str]]
) -> Iterator[str]:  # fmt: skip
    settings = node.retrieval
    if weak and not _has_threshold(node):
        yield "Switch a score threshold on: half of the best score would have kept out what barely fits."
    now = f" from {settings.top_k}" if settings and settings.top_k else ""
    yield f"Lower top_k{now}; difyops cost diff prices it beforehand, difyops eval tells what it loses."
    if settings is None or not settings.reranks:
        yield "Rerank, and send the best half."
    if seen.chunks and seen.characters / seen.chunks >= _LONG_CHUNK:
        yield "Cut smaller chunks: one that holds several subjects brings the others along."
    if twice:
        yield "Remove one of each: " + "; ".join(" = ".join(group) for group in twice[:_NAMED])
    elif again:
        yield "Remove what stands in the dataset twice" + (f": {'; '.join(seen.pairs)}" if seen.pairs else ".")


def _datasets(node: AdviceNode) -> Sequence[Any]:
    return node.retrieval.datasets if node.retrieval else ()


def _has_threshold(node: AdviceNode) -> bool:
    settings: Retrieval | None = node.retrieval
    return settings is not None and settings.threshold is not None


def _saving(
    record: AppRecord, reader: AdviceNode, tokens: float, again: float, weak: float
) -> Saving | None:  # fmt: skip
    if reader.rate is None:
        return None
    return Saving(
        low=record.per_thousand(reader, tokens * again, reader.rate.input),
        high=record.per_thousand(reader, tokens * min(1.0, max(_SENT, again + weak)), reader.rate.input),
        currency=reader.rate.currency,
        basis="the list's price of input, from the repeated text up to half of all, or all that repeats or barely fits",
    )  # fmt: skip


def _seen(contents: Sequence[str]) -> _Seen:
    answers = chunks = characters = again = weak = 0
    pairs: Counter[str] = Counter()
    for text in contents:
        rows = list(_chunks(text))
        best = max((score for _, score, _ in rows), default=0.0)
        first: dict[str, str] = {}
        answers += bool(rows)
        for content, score, document in rows:
            chunks += 1
            characters += len(content)
            if content in first:
                again += len(content)
                if document and first[content] and document != first[content]:
                    pairs[" = ".join(sorted((document, first[content])))] += 1
            elif 0 < score < _WEAK * best:
                weak += len(content)
            first.setdefault(content, document)
    return _Seen(
        answers=answers, chunks=chunks, characters=characters, again=again, weak=weak,
        pairs=tuple(name for name, _ in pairs.most_common(_NAMED)),
    )  # fmt: skip


def _chunks(text: str) -> Iterator[tuple[str, float, str]]:
    """Yield content, score (0 where none is told) and document of each chunk of an answer."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return
    rows = body.get("result") if isinstance(body, dict) else None
    for row in rows if isinstance(rows, list) else ():
        content = row.get("content") if isinstance(row, dict) else None
        if isinstance(content, str) and content.strip():
            about = row.get("metadata")
            about = about if isinstance(about, dict) else {}
            score = about.get("score")
            worth = float(score) if isinstance(score, int | float) and not isinstance(score, bool) else 0.0
            yield " ".join(content.split()), worth, str(about.get("document_name") or "")

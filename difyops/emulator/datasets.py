"""Knowledge of the instance: datasets, documents and their segments, and an economy keyword search over them.

Indexing takes three seconds of server time (divided by speed) and is computed from the clock; nothing runs beside.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W_]{3,}")
_STOP = frozenset({"the", "and", "for", "with", "about", "from", "this", "that"})
INDEXING_SECONDS = 3.0


@dataclass(slots=True, kw_only=True)
class Segment:
    """A chunk of a document."""

    id: str
    position: int
    content: str
    index_node_id: str
    created_at: int
    hit_count: int = 0
    enabled: bool = True

    @property
    def keywords(self) -> list[str]:
        """Return the words it is found by."""
        return sorted({word for word in _WORD.findall(self.content) if word.lower() not in _STOP})

    @property
    def content_hash(self) -> str:
        """Return the index node hash."""
        return hashlib.sha256(self.content.encode()).hexdigest()


@dataclass(slots=True, kw_only=True)
class Document:
    """A text with its segments. ``ready_at`` is the moment indexing ends; ``broken`` makes it end in error."""

    id: str
    name: str
    text: str
    batch: str
    upload_file_id: str
    process_rule_id: str
    created_at: int
    created_stamp: float
    ready_at: float
    started_at: float
    position: int = 1
    broken: bool = False
    enabled: bool = True
    archived: bool = False
    segments: list[Segment] = field(default_factory=list)

    def status(self, moment: float) -> str:
        """Return ``waiting``, ``parsing``, ``indexing``, ``completed`` or ``error`` at that moment."""
        if moment >= self.ready_at:
            return "error" if self.broken else "completed"
        share = (moment - self.started_at) / max(self.ready_at - self.started_at, 1e-9)
        return ("waiting", "parsing", "indexing")[min(2, max(0, int(share * 3)))]


@dataclass(slots=True, kw_only=True)
class Dataset:
    """A knowledge base."""

    id: str
    name: str
    description: str
    technique: str | None
    permission: str
    created_at: int
    updated_at: int
    documents: dict[str, Document] = field(default_factory=dict)


def chunks(text: str, size: int = 500) -> list[str]:
    """Split ``text`` into paragraphs packed up to ``size`` characters."""
    packed: list[str] = []
    for paragraph in filter(None, (part.strip() for part in text.split("\n\n"))):
        if packed and len(packed[-1]) + len(paragraph) < size:
            packed[-1] += f"\n\n{paragraph}"
        else:
            packed.append(paragraph)
    return packed or [text]


def search(dataset: Dataset, query: str, moment: float, top_k: int = 2) -> list[tuple[float, Document, Segment]]:
    """Return the best segments of completed documents as ``(share of query words found, document, segment)``."""
    words = {word.lower() for word in _WORD.findall(query)}
    found: list[tuple[float, Document, Segment]] = []
    for document in dataset.documents.values():
        if document.status(moment) != "completed" or not document.enabled or document.archived:
            continue
        for segment in document.segments:
            hits = words & {word.lower() for word in segment.keywords}
            if hits:
                found.append((len(hits) / len(segment.keywords), document, segment))
    return sorted(found, key=lambda hit: -hit[0])[:top_k]

"""What retrieval is set to and what its datasets are like, read from an instance: documents that stand twice."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.cost.knowledge import DatasetFacts, retrievals
from difyops.emulator import Emulator
from difyops.emulator.datasets import Dataset, Document, Segment
from tests.release.conftest import Rig, rig

__all__ = ["rig"]


def fill(emulator: Emulator, *texts: tuple[str, str]) -> str:
    """Give the instance a dataset of documents (name, text); return its id."""
    instance = emulator.instance
    at, moment = instance.now(), instance.moment()
    made = Dataset(
        id=instance.new_id(), name="Prices", description="", technique="economy", permission="all", created_at=at,
        updated_at=at,
    )  # fmt: skip
    for name, text in texts:
        segments = [
            Segment(id=instance.new_id(), position=place, content=part, index_node_id=instance.new_id(), created_at=at)
            for place, part in enumerate(text.split("|"), 1)
        ]
        document = Document(
            id=instance.new_id(), name=name, text=text, batch="b", upload_file_id=instance.new_id(),
            process_rule_id=instance.new_id(), created_at=at, created_stamp=float(at), ready_at=moment,
            started_at=moment, segments=segments,
        )  # fmt: skip
        made.documents[document.id] = document
    instance.datasets[made.id] = made
    return made.id


def graph(*datasets: str, **settings: Any) -> dict[str, Any]:
    data = {"type": "knowledge-retrieval", "title": "Search", "dataset_ids": [*datasets],
            "multiple_retrieval_config": settings}  # fmt: skip
    return {"graph": {"nodes": [{"id": "kb", "data": data}, {"id": "s", "data": {"type": "start"}}]}}


TEXTS = (
    ("new.md", "one text|another part"),
    ("old.md", "another part|one text"),
    ("other.md", "one text|another pair"),
    ("alone.md", "x"),
)


async def test_documents_with_the_same_text_are_found(rig: Rig) -> None:
    one = fill(rig.emulator, *TEXTS)
    found = await retrievals(rig.workspace.instance, graph(one, "00000000-0000-4000-8000-000000000000", top_k=4))
    kb = found["kb"]
    assert (kb.top_k, kb.threshold, kb.reranks) == (4, None, False)
    assert kb.datasets == (DatasetFacts(id=one, name="Prices", documents=4, twice=(("new.md", "old.md"),), compared=3),)
    on = await retrievals(rig.workspace.instance, graph(score_threshold=0.4, reranking_enable=True))
    assert (on["kb"].threshold, on["kb"].reranks, on["kb"].datasets) == (0.4, True, ())
    off = await retrievals(rig.workspace.instance, graph(score_threshold=0.4, score_threshold_enabled=False))
    assert off["kb"].threshold is None


async def test_a_document_of_many_pages_is_read_whole(rig: Rig) -> None:
    parts = "|".join(f"part {number}" for number in range(230))
    one = fill(rig.emulator, ("a.md", parts), ("b.md", parts), ("c.md", parts[:-1] + "x"))
    (facts,) = (await retrievals(rig.workspace.instance, graph(one)))["kb"].datasets
    assert (facts.twice, facts.compared) == ((("a.md", "b.md"),), 3)
    document = next(iter(rig.emulator.instance.datasets[one].documents))
    answer = await rig.console.get(f"/datasets/{one}/documents/{document}/segments", doing="look")
    assert sorted(answer) == ["data", "limit", "page", "total", "total_pages"]  # as recorded of 1.16.1


class TestRules:
    """From 1.16 on the console tells how documents were cut."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator("1.16.1")

    async def test_the_size_of_chunks(self, rig: Rig) -> None:
        one = fill(rig.emulator, *TEXTS)
        (facts,) = (await retrievals(rig.workspace.instance, graph(one)))["kb"].datasets
        assert (facts.chunk, facts.overlap) == (500, 50)

"""Knowledge through the service API, with a dataset key: datasets, documents from text, segments, retrieval."""

from __future__ import annotations

from starlette.responses import Response

from difyops.emulator import dataset_views, shapes
from difyops.emulator.datasets import INDEXING_SECONDS, Dataset, Document, Segment, chunks, search
from difyops.emulator.instance import Instance
from difyops.emulator.routes import console_datasets as shared
from difyops.emulator.routes.console_datasets import dataset_of, document_of
from difyops.emulator.routes.console_models import models_by_type
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

API = "/v1/datasets"
ONE = f"{API}/{{dataset_id:uuid}}"
DOCUMENT = f"{ONE}/documents/{{document_id:uuid}}"


def new_dataset(
    instance: Instance, name: str, technique: str | None = "economy", permission: str = "only_me"
) -> Dataset:
    """Make a dataset."""
    now = instance.now()
    dataset = Dataset(
        id=instance.new_id(), name=name, description="", technique=technique, permission=permission, created_at=now,
        updated_at=now,
    )  # fmt: skip
    instance.datasets[dataset.id] = dataset
    return dataset


def new_document(instance: Instance, dataset: Dataset, name: str, text: str) -> Document:
    """Make a document whose indexing starts now."""
    now, moment = instance.now(), instance.moment()
    batch = "".join(filter(str.isdigit, instance.stamp()))
    document = Document(
        id=instance.new_id(), name=name, text=text, batch=batch, upload_file_id=instance.new_id(),
        process_rule_id=instance.new_id(), created_at=now, created_stamp=instance.clock.now().timestamp(),
        started_at=moment, ready_at=moment + instance.scaled(INDEXING_SECONDS),
        position=len(dataset.documents) + 1, broken=instance.control.has("indexing_fails"),
    )  # fmt: skip
    for position, content in enumerate(chunks(text), 1):
        segment = Segment(
            id=instance.new_id(),
            position=position,
            content=content,
            index_node_id=instance.new_id(),
            created_at=now,
        )
        document.segments.append(segment)
    dataset.documents[document.id] = document
    dataset.updated_at = now
    return document


def create_dataset(call: Call) -> Response:
    """Create a dataset; names are unique."""
    payload = call.json()
    name = str(call.require(payload, "name", "DatasetCreatePayload"))
    if any(dataset.name == name for dataset in call.instance.datasets.values()):
        text = "The dataset name already exists. Please modify your dataset name."
        raise shapes.problem("dataset_name_duplicate", text, 409)
    technique = payload.get("indexing_technique")
    dataset = new_dataset(call.instance, name, technique, payload.get("permission") or "only_me")
    dataset.description = payload.get("description") or ""
    return shapes.answer(dataset_views.dataset_row(call.instance, dataset))


def delete_dataset(call: Call) -> Response:
    """Delete a dataset."""
    call.instance.datasets.pop(dataset_of(call).id)
    return shapes.empty()


def create_by_text(call: Call) -> Response:
    """Add a document from text; it is indexed in the background."""
    payload, dataset = call.json(), dataset_of(call)
    name = str(call.require(payload, "name", "DocumentTextCreatePayload"))
    text = str(call.require(payload, "text", "DocumentTextCreatePayload"))
    document = new_document(call.instance, dataset, name, text)
    return shapes.answer({"document": dataset_views.document_row(call.instance, document), "batch": document.batch})


def indexing_of_batch(call: Call) -> Response:
    """Return the indexing status of a batch."""
    return shared.indexing_of_batch(call)


def delete_document(call: Call) -> Response:
    """Delete a document."""
    dataset_of(call).documents.pop(document_of(call).id)
    return shapes.empty()


def retrieve(call: Call) -> Response:
    """Search a dataset by keyword."""
    instance, payload = call.instance, call.json()
    query = str(call.require(payload, "query", "HitTestingPayload"))
    top_k = int((payload.get("retrieval_model") or {}).get("top_k") or 2)
    hits = search(dataset_of(call), query, instance.moment(), top_k)
    return shapes.answer({"query": {"content": query}, "records": [_record(instance, *hit) for hit in hits]})


def _record(instance: Instance, score: float, document: Document, segment: Segment) -> JsonDict:
    segment.hit_count += 1
    modern = instance.release.empty_doc_metadata
    brief = {
        "id": document.id, "data_source_type": "upload_file", "name": document.name, "doc_type": None,
        "doc_metadata": None,
    }  # fmt: skip
    return {
        "segment": {**dataset_views.segment_row(instance, document, segment), "document": brief},
        "child_chunks": [] if modern else None, "score": 0.0, "tsne_position": None,
        "files": [] if modern else None, "summary": None,
    }  # fmt: skip


ROUTES = (
    Route("GET", API, shared.list_datasets, "dataset"),
    Route("POST", API, create_dataset, "dataset"),
    Route("GET", ONE, shared.show_dataset, "dataset"),
    Route("DELETE", ONE, delete_dataset, "dataset"),
    Route("POST", f"{ONE}/document/create-by-text", create_by_text, "dataset"),
    Route("POST", f"{ONE}/document/create_by_text", create_by_text, "dataset"),
    Route("GET", f"{ONE}/documents", shared.list_documents, "dataset"),
    Route("GET", f"{ONE}/documents/{{batch}}/indexing-status", indexing_of_batch, "dataset"),
    Route("GET", DOCUMENT, shared.show_document, "dataset"),
    Route("DELETE", DOCUMENT, delete_document, "dataset"),
    Route("GET", f"{DOCUMENT}/segments", shared.list_segments, "dataset"),
    Route("POST", f"{ONE}/retrieve", retrieve, "dataset"),
    Route("GET", "/v1/workspaces/current/models/model-types/{model_type}", models_by_type, "dataset"),
)

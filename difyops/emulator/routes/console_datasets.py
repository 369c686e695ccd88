"""Knowledge in the console: datasets, documents, indexing status, failed documents and their retry."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from difyops.emulator import dataset_views, shapes
from difyops.emulator.datasets import INDEXING_SECONDS, Dataset, Document
from difyops.emulator.instance import Instance
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

API = "/console/api/datasets"
ONE = f"{API}/{{dataset_id:uuid}}"


def dataset_of(call: Call) -> Dataset:
    """Return the dataset named in the path.

    Raises:
        Problem: 404.
    """
    found = call.instance.datasets.get(call.params["dataset_id"])
    if found is None:
        raise shapes.not_found_with_help(call.path, "Dataset not found.")
    return found


def document_of(call: Call) -> Document:
    """Return the document named in the path.

    Raises:
        Problem: 404.
    """
    found = dataset_of(call).documents.get(call.params["document_id"])
    if found is None:
        raise shapes.not_found_with_help(call.path, "Document not found.")
    return found


def list_datasets(call: Call) -> Response:
    """List the datasets, newest first."""
    page = call.number("page", 1, model="DatasetListQuery", high=99999)
    limit = call.number("limit", 20, model="DatasetListQuery", high=100)
    keyword = call.query("keyword").lower()
    rows = [
        dataset_views.dataset_row(call.instance, dataset, listed=True)
        for dataset in reversed(call.instance.datasets.values())
        if keyword in dataset.name.lower()
    ]
    return shapes.answer(dataset_views.page(rows, page, limit))


def show_dataset(call: Call) -> Response:
    """Return one dataset."""
    return shapes.answer(dataset_views.dataset_row(call.instance, dataset_of(call), listed=True))


def list_documents(call: Call) -> Response:
    """List the documents of a dataset, as the service API does."""
    return _documents(call, dataset_views.document_row)


def console_documents(call: Call) -> Response:
    """List the documents of a dataset, from 1.16 on with the rules by which they were cut."""
    has_rules = call.instance.release.document_rules
    return _documents(call, dataset_views.ruled_row if has_rules else dataset_views.document_row)


def _documents(call: Call, view: Callable[[Instance, Document], JsonDict]) -> Response:
    page = call.number("page", 1, model="DocumentListQuery", high=99999)
    limit = call.number("limit", 20, model="DocumentListQuery", high=100)
    keyword = call.query("keyword").lower()
    rows = [
        view(call.instance, document)
        for document in dataset_of(call).documents.values()
        if keyword in document.name.lower()
    ]
    return shapes.answer(dataset_views.page(rows, page, limit))


def list_segments(call: Call) -> Response:
    """List the segments of a document."""
    page = call.number("page", 1, model="SegmentListQuery", high=99999)
    limit = call.number("limit", 20, model="SegmentListQuery", high=100)
    document = document_of(call)
    rows = [dataset_views.segment_row(call.instance, document, item) for item in document.segments]
    return shapes.answer({**dataset_views.page(rows, page, limit), "doc_form": "text_model"})


def console_segments(call: Call) -> Response:
    """List the segments of a document as the console does: it counts pages, and does not say whether there are more."""
    page = call.number("page", 1, model="SegmentListQuery", high=99999)
    limit = call.number("limit", 20, model="SegmentListQuery", high=100)
    document = document_of(call)
    rows = [dataset_views.console_segment_row(call.instance, document, item) for item in document.segments]
    pages = max(1, -(-len(rows) // limit))
    shown = rows[(page - 1) * limit : page * limit]
    return shapes.answer({"data": shown, "limit": limit, "total": len(rows), "total_pages": pages, "page": page})


def show_document(call: Call) -> Response:
    """Return one document."""
    return shapes.answer(dataset_views.document_row(call.instance, document_of(call)))


def indexing_of_dataset(call: Call) -> Response:
    """Return the indexing status of every document."""
    documents = dataset_of(call).documents.values()
    return shapes.answer({"data": [dataset_views.indexing_row(call.instance, item) for item in documents]})


def indexing_of_batch(call: Call) -> Response:
    """Return the indexing status of what was uploaded together."""
    found = [item for item in dataset_of(call).documents.values() if item.batch == call.params["batch"]]
    if not found:
        raise shapes.not_found_with_help(call.path, "Documents not found.")
    return shapes.answer({"data": [dataset_views.indexing_row(call.instance, item) for item in found]})


def indexing_of_document(call: Call) -> Response:
    """Return the indexing status of one document."""
    return shapes.answer(dataset_views.indexing_row(call.instance, document_of(call)))


def failed_documents(call: Call) -> Response:
    """Return the documents whose indexing failed."""
    moment = call.instance.moment()
    found = [item for item in dataset_of(call).documents.values() if item.status(moment) == "error"]
    rows = [dataset_views.indexing_row(call.instance, item) for item in found]
    return shapes.answer({"data": rows, "total": len(rows)})


def retry(call: Call) -> Response:
    """Index documents again: 204; completed ones are skipped."""
    instance, dataset = call.instance, dataset_of(call)
    for document_id in call.require(call.json(), "document_ids", "DocumentRetryPayload"):
        document = dataset.documents.get(str(document_id))
        if document is not None and document.status(instance.moment()) != "completed":
            document.broken = instance.control.has("indexing_fails")
            document.started_at = instance.moment()
            document.ready_at = instance.moment() + instance.scaled(INDEXING_SECONDS)
    return shapes.empty()


def api_base(call: Call) -> Response:
    """Return the address of the service API."""
    return shapes.answer({"api_base_url": f"{call.instance.base_url}/v1"})


ROUTES = (
    Route("GET", API, list_datasets),
    Route("GET", f"{API}/api-base-info", api_base),
    Route("GET", ONE, show_dataset),
    Route("GET", f"{ONE}/documents", console_documents),
    Route("GET", f"{ONE}/indexing-status", indexing_of_dataset),
    Route("GET", f"{ONE}/error-docs", failed_documents),
    Route("POST", f"{ONE}/retry", retry, role="editor"),
    Route("GET", f"{ONE}/batch/{{batch}}/indexing-status", indexing_of_batch),
    Route("GET", f"{ONE}/documents/{{document_id:uuid}}", show_document),
    Route("GET", f"{ONE}/documents/{{document_id:uuid}}/segments", console_segments),
    Route("GET", f"{ONE}/documents/{{document_id:uuid}}/indexing-status", indexing_of_document),
)

"""How datasets, documents and segments look on the wire, for the console and for ``/v1`` alike."""

from __future__ import annotations

from difyops.emulator.datasets import Dataset, Document, Segment
from difyops.emulator.instance import Instance
from difyops.emulator.shapes import JsonDict

_DISPLAY = {"waiting": "queuing", "completed": "available", "error": "error"}


def dataset_row(instance: Instance, dataset: Dataset, *, listed: bool = False) -> JsonDict:
    """Return a dataset; ``listed`` adds what only lists carry."""
    moment, documents = instance.moment(), list(dataset.documents.values())
    ready = [document for document in documents if document.status(moment) == "completed"]
    owner = instance.owner
    row: JsonDict = {
        "id": dataset.id, "name": dataset.name, "description": dataset.description, "provider": "vendor",
        "permission": dataset.permission, "data_source_type": "upload_file" if documents else None,
        "indexing_technique": dataset.technique, "app_count": 0, "document_count": len(documents),
        "word_count": sum(len(document.text) for document in documents), "created_by": owner.id,
        "author_name": owner.name, "created_at": dataset.created_at, "updated_by": owner.id,
        "updated_at": dataset.updated_at, "embedding_model": None, "embedding_model_provider": None,
        "embedding_available": True if listed else None, "retrieval_model_dict": _RETRIEVAL,
        "summary_index_setting": dict.fromkeys(("enable", "model_name", "model_provider_name", "summary_prompt")),
        "tags": [], "doc_form": "text_model" if documents else None, "external_knowledge_info": _EXTERNAL,
        "external_retrieval_model": {"top_k": 2, "score_threshold": 0.0, "score_threshold_enabled": None},
        "doc_metadata": [], "built_in_field_enabled": False, "pipeline_id": None, "runtime_mode": "general",
        "chunk_structure": None,
        "icon_info": {"icon_type": None, "icon": None, "icon_background": None, "icon_url": None},
        "is_published": False, "total_documents": len(documents), "total_available_documents": len(ready),
        "enable_api": True, "is_multimodal": False,
    }  # fmt: skip
    return {**row, "partial_member_list": []} if listed else row


_RETRIEVAL: JsonDict = {
    "search_method": "semantic_search", "reranking_enable": False, "reranking_mode": None,
    "reranking_model": {"reranking_provider_name": "", "reranking_model_name": ""}, "weights": None, "top_k": 2,
    "score_threshold_enabled": False, "score_threshold": None,
}  # fmt: skip
_EXTERNAL: JsonDict = dict.fromkeys(
    (
        "external_knowledge_id",
        "external_knowledge_api_id",
        "external_knowledge_api_name",
        "external_knowledge_api_endpoint",
    )
)


def document_row(instance: Instance, document: Document) -> JsonDict:
    """Return a document with where its indexing stands now."""
    status = document.status(instance.moment())
    owner = instance.owner.id
    done = status not in ("waiting",)
    upload = {
        "id": document.upload_file_id, "name": document.name, "size": len(document.text.encode()),
        "extension": "txt", "mime_type": "text/plain", "created_by": owner, "created_at": document.created_stamp,
    }  # fmt: skip
    return {
        "id": document.id, "position": document.position, "data_source_type": "upload_file",
        "data_source_info": {"upload_file_id": document.upload_file_id},
        "data_source_detail_dict": {"upload_file": upload}, "dataset_process_rule_id": document.process_rule_id,
        "name": document.name, "created_from": "api", "created_by": owner, "created_at": document.created_at,
        "tokens": 0 if done else None, "indexing_status": status,
        "error": "indexing failed" if status == "error" else None, "enabled": document.enabled,
        "disabled_at": None, "disabled_by": None, "archived": document.archived,
        "display_status": _DISPLAY.get(status, "indexing"), "word_count": len(document.text) if done else None,
        "hit_count": sum(segment.hit_count for segment in document.segments), "doc_form": "text_model",
        "doc_metadata": [] if instance.release.empty_doc_metadata else None, "summary_index_status": None,
        "need_summary": False,
    }  # fmt: skip


def ruled_row(instance: Instance, document: Document) -> JsonDict:
    """Return a document with the rules by which it was cut, as the console of 1.16 does."""
    names = {"remove_extra_spaces": True, "remove_urls_emails": False}
    rules = {
        "pre_processing_rules": [{"id": name, "enabled": enabled} for name, enabled in names.items()],
        "segmentation": {"delimiter": "\n", "max_tokens": 500, "chunk_overlap": 50},
    }
    rule = {"id": document.process_rule_id, "mode": "automatic", "rules": rules}
    return {**document_row(instance, document), "process_rule_dict": rule}


def indexing_row(instance: Instance, document: Document) -> JsonDict:
    """Return the indexing status of one document."""
    status = document.status(instance.moment())
    done = status == "completed"
    at = document.created_at
    total = len(document.segments)
    return {
        "id": document.id, "indexing_status": status, "processing_started_at": at, "parsing_completed_at": at,
        "cleaning_completed_at": at, "splitting_completed_at": at, "completed_at": at + 3 if done else None,
        "paused_at": None, "error": "indexing failed" if status == "error" else None, "stopped_at": None,
        "completed_segments": total if done else 0, "total_segments": total,
    }  # fmt: skip


def segment_row(instance: Instance, document: Document, segment: Segment) -> JsonDict:
    """Return a segment."""
    at = segment.created_at
    return {
        "id": segment.id, "position": segment.position, "document_id": document.id, "content": segment.content,
        "sign_content": None if instance.release.empty_doc_metadata else segment.content, "answer": None,
        "word_count": len(segment.content), "tokens": 0, "keywords": segment.keywords,
        "index_node_id": segment.index_node_id, "index_node_hash": segment.content_hash,
        "hit_count": segment.hit_count, "enabled": segment.enabled, "disabled_at": None, "disabled_by": None,
        "status": "completed", "created_by": instance.owner.id, "created_at": at, "indexing_at": at,
        "completed_at": at + 2, "error": None, "stopped_at": None,
    }  # fmt: skip


def console_segment_row(instance: Instance, document: Document, segment: Segment) -> JsonDict:
    """Return a segment as the console shows it."""
    more: JsonDict = {
        "updated_at": segment.created_at,
        "updated_by": None,
        "child_chunks": [],
        "attachments": [],
        "summary": None,
    }
    return {**segment_row(instance, document, segment), **more}


def page(rows: list[JsonDict], number: int, limit: int) -> JsonDict:
    """Return one page of ``rows`` in the order of keys the knowledge calls use."""
    start = (number - 1) * limit
    return {
        "data": rows[start : start + limit],
        "has_more": start + limit < len(rows),
        "limit": limit,
        "total": len(rows),
        "page": number,
    }

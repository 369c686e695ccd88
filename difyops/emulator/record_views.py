"""How runs, node executions, logs, conversations and messages look on the wire."""

from __future__ import annotations

import json

from difyops.emulator.instance import Instance
from difyops.emulator.records import Conversation, Message, NodeRun, Run
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App

EMPTY_RUN: JsonDict = dict.fromkeys(
    (
        "id", "version", "graph", "inputs", "status", "outputs", "error", "elapsed_time", "total_tokens",
        "total_steps", "created_by_role", "created_by_account", "created_by_end_user", "created_at", "finished_at",
        "exceptions_count",
    )
)  # fmt: skip


def _people(run: Run) -> JsonDict:
    return {
        "created_by_role": "end_user" if run.end_user else "account",
        "created_by_account": run.account.brief() if run.account and not run.end_user else None,
        "created_by_end_user": run.end_user.brief() if run.end_user else None,
    }


def _kept_inputs(run: Run) -> JsonDict:
    """Return the inputs as the row keeps them: the conversation id is known to the nodes only."""
    return {name: value for name, value in run.inputs.items() if name != "sys.conversation_id"}


def run_row(run: Run, *, with_message: bool = False) -> JsonDict:
    """Return a row of ``workflow-runs``; chatflows add conversation and message."""
    place = {"conversation_id": run.conversation_id, "message_id": run.message_id} if with_message else {}
    return {
        "id": run.id, **place, "version": run.version, "status": run.status, "elapsed_time": run.elapsed_time,
        "total_tokens": run.total_tokens, "total_steps": run.total_steps,
        "created_by_account": _people(run)["created_by_account"], "created_at": run.created_at,
        "finished_at": run.finished_at, "exceptions_count": run.exceptions_count, "retry_index": None,
    }  # fmt: skip


def run_detail(run: Run) -> JsonDict:
    """Return one run for the console: inputs as an object, with the whole graph."""
    return {
        "id": run.id, "version": run.version, "graph": json.loads(run.graph_text), "inputs": _kept_inputs(run),
        "status": run.status, "outputs": run.outputs, "error": run.error, "elapsed_time": run.elapsed_time,
        "total_tokens": run.total_tokens, "total_steps": run.total_steps, **_people(run),
        "created_at": run.created_at, "finished_at": run.finished_at, "exceptions_count": run.exceptions_count,
    }  # fmt: skip


def service_run_detail(run: Run) -> JsonDict:
    """Return one run for the service API: inputs as a JSON string."""
    return {
        "id": run.id, "workflow_id": run.workflow_id, "status": run.status,
        "inputs": json.dumps(_kept_inputs(run), ensure_ascii=False), "outputs": run.outputs, "error": run.error,
        "total_steps": run.total_steps, "total_tokens": run.total_tokens, "created_at": run.created_at,
        "finished_at": run.finished_at, "elapsed_time": run.elapsed_time,
    }  # fmt: skip


def blocking_run(run: Run) -> JsonDict:
    """Return the answer of a blocking workflow run: 200 also when it failed."""
    data = {
        "id": run.id, "workflow_id": run.workflow_id, "status": run.status, "outputs": run.outputs,
        "error": run.error, "elapsed_time": run.elapsed_time, "total_tokens": run.total_tokens,
        "total_steps": run.total_steps, "created_at": run.created_at, "finished_at": run.finished_at,
    }  # fmt: skip
    return {"task_id": run.task_id, "workflow_run_id": run.id, "data": data}


def node_execution(run: Run, row: NodeRun) -> JsonDict:
    """Return one node execution: the only place that has a price."""
    attempt = {"retry_index": int(row.id.rpartition(":")[2])} if row.status == "retry" else {}
    return {
        "id": row.id, "index": row.index, "predecessor_node_id": None, **attempt, "node_id": row.node_id,
        "node_type": row.node_type, "title": row.title, "inputs": row.inputs, "process_data": row.process_data,
        "outputs": row.outputs, "status": row.status, "error": row.error, "elapsed_time": row.elapsed_time,
        "execution_metadata": row.metadata or {}, "extras": {}, "created_at": row.created_at, **_people(run),
        "finished_at": row.finished_at, "inputs_truncated": False, "outputs_truncated": False,
        "process_data_truncated": False,
    }  # fmt: skip


def log_row(run: Run, *, detail: bool) -> JsonDict:
    """Return a row of ``workflow-app-logs``."""
    workflow_run = {
        "id": run.id, "version": run.version, "status": run.status, "triggered_from": run.triggered_from,
        "error": run.error, "elapsed_time": run.elapsed_time, "total_tokens": run.total_tokens,
        "total_steps": run.total_steps, "created_at": run.created_at, "finished_at": run.finished_at,
        "exceptions_count": run.exceptions_count,
    }  # fmt: skip
    details: JsonDict | None = {"trigger_metadata": {}} if detail else None
    head = {"id": run.log_id, "workflow_run": workflow_run, "details": details, "created_from": "service-api"}
    return {**head, **_people(run), "created_at": run.logged_at}


def conversation_row(instance: Instance, app: App, conversation: Conversation) -> JsonDict:
    """Return a row of ``chat-conversations``."""
    return {
        **_conversation_head(conversation), "name": conversation.name, "summary": conversation.summary,
        "read_at": None, "created_at": conversation.created_at, "updated_at": conversation.updated_at,
        "annotated": False, "model_config": _config(instance, app), "message_count": len(conversation.messages),
        **_feedback_stats(conversation.messages), "status_count": _status_count(instance, app, conversation),
    }  # fmt: skip


def completion_row(instance: Instance, app: App, conversation: Conversation) -> JsonDict:
    """Return a row of ``completion-conversations``."""
    message = conversation.messages[0]
    shown = {
        "inputs": message.inputs,
        "query": message.query,
        "message": message.prompt,
        "answer": message.answer,
    }
    return {
        **_conversation_head(conversation), "read_at": None, "created_at": conversation.created_at,
        "updated_at": conversation.updated_at, "annotation": None, "model_config": _config(instance, app),
        **_feedback_stats(conversation.messages), "message": shown,
    }  # fmt: skip


def completion_detail(instance: Instance, app: App, conversation: Conversation) -> JsonDict:
    """Return one of ``completion-conversations`` with its whole message."""
    head = _conversation_head(conversation)
    shown = {name: head[name] for name in ("id", "status", "from_source", "from_end_user_id", "from_account_id")}
    return {
        **shown, "created_at": conversation.created_at, "model_config": _config(instance, app),
        "message": message_row(conversation.messages[0]),
    }  # fmt: skip


def conversation_detail(app: App, conversation: Conversation) -> JsonDict:
    """Return one conversation for the console."""
    config = app.model_config or {}
    names = ("opening_statement", "suggested_questions", "model", "user_input_form", "pre_prompt", "agent_mode")
    head = _conversation_head(conversation)
    shown = {name: head[name] for name in ("id", "status", "from_source", "from_end_user_id", "from_account_id")}
    return {
        **shown, "created_at": conversation.created_at, "updated_at": conversation.updated_at, "annotated": False,
        "introduction": config.get("opening_statement"), "model_config": {name: config.get(name) for name in names},
        "message_count": len(conversation.messages), **_feedback_stats(conversation.messages),
    }  # fmt: skip


def _conversation_head(conversation: Conversation) -> JsonDict:
    user, account = conversation.end_user, conversation.account
    return {
        "id": conversation.id, "status": "normal", "from_source": "api" if user else "console",
        "from_end_user_id": user.id if user else None, "from_end_user_session_id": user.session_id if user else None,
        "from_account_id": account.id if account else None, "from_account_name": account.name if account else None,
    }  # fmt: skip


def _config(instance: Instance, app: App) -> JsonDict:
    config = app.model_config or {}
    model = config.get("model") if instance.release.model_in_conversations else None
    return {"model": model, "pre_prompt": config.get("pre_prompt")}


def _feedback_stats(messages: list[Message]) -> JsonDict:
    ratings = [message.feedback["rating"] for message in messages if message.feedback]
    stats = {"like": ratings.count("like"), "dislike": ratings.count("dislike")}
    return {"user_feedback_stats": stats, "admin_feedback_stats": {"like": 0, "dislike": 0}}


def _status_count(instance: Instance, app: App, conversation: Conversation) -> JsonDict | None:
    names = ("success", "failed", "partial_success", "paused")
    if app.mode != "advanced-chat":
        return None if instance.release.null_status_count else dict.fromkeys(names)
    ids = {message.run_id for message in conversation.messages}
    found = [run.status for run in app.runs if run.id in ids]
    counts = (found.count("succeeded"), found.count("failed"), found.count("partial-succeeded"), 0)
    return dict(zip(names, counts, strict=True))


def message_row(message: Message) -> JsonDict:
    """Return a message for the console: with prompt, tokens and latency; without a price."""
    user = message.end_user
    metadata: JsonDict = {"annotation_reply": None, "retriever_resources": [], "usage": None}
    return {
        "id": message.id, "conversation_id": message.conversation_id, "inputs": message.inputs,
        "query": message.query, "message": message.prompt, "message_tokens": message.message_tokens,
        "answer": message.answer, "answer_tokens": message.answer_tokens,
        "provider_response_latency": message.latency, "from_source": "api" if user else "console",
        "from_end_user_id": user.id if user else None,
        "from_account_id": message.account.id if message.account else None,
        "feedbacks": [_feedback(message)] if message.feedback else [], "workflow_run_id": message.run_id,
        "annotation": None, "annotation_hit_history": None, "created_at": message.created_at, "agent_thoughts": [],
        "message_files": [], "extra_contents": [], "metadata": metadata if message.usage else {},
        "status": message.status, "error": message.error, "parent_message_id": message.parent_id,
    }  # fmt: skip


def agent_log_row(message: Message) -> JsonDict:
    """Return a message for the log of an agent app."""
    plain = message_row(message)
    names = ("id", "conversation_id", "query", "answer", "error", "from_end_user_id", "from_account_id")
    tokens = {"message_tokens": message.message_tokens, "answer_tokens": message.answer_tokens}
    return {
        **{name: plain[name] for name in names}, **tokens, "total_tokens": sum(tokens.values()),
        "message_id": message.id,
        "status": "failed" if message.status == "error" else "success", "total_price": message.price or "0",
        "currency": "USD", "latency": message.latency, "created_at": message.created_at,
        "updated_at": message.created_at,
    }  # fmt: skip


def _feedback(message: Message) -> JsonDict:
    stored = message.feedback or {}
    user = message.end_user
    return {
        "rating": stored["rating"],
        "content": stored["content"],
        "from_source": "user",
        "from_end_user_id": user.id if user else None,
        "from_account": None,
    }


def service_message(message: Message) -> JsonDict:
    """Return a message for the service API."""
    feedback = {"rating": message.feedback["rating"]} if message.feedback else None
    return {
        "id": message.id, "conversation_id": message.conversation_id, "parent_message_id": message.parent_id,
        "inputs": message.inputs, "query": message.query, "answer": message.answer, "feedback": feedback,
        "retriever_resources": [], "created_at": message.created_at, "agent_thoughts": [], "message_files": [],
        "status": message.status, "error": message.error, "extra_contents": [],
    }  # fmt: skip


def service_conversation(app: App, conversation: Conversation) -> JsonDict:
    """Return a conversation for the service API."""
    return {
        "id": conversation.id, "name": conversation.name, "inputs": conversation.inputs, "status": "normal",
        "introduction": (app.model_config or {}).get("opening_statement", ""),
        "created_at": conversation.created_at, "updated_at": conversation.updated_at,
    }  # fmt: skip


def feedback_row(app: App, message: Message) -> JsonDict:
    """Return a row of ``/v1/app/feedbacks``."""
    stored = message.feedback or {}
    return {
        "id": stored["id"], "app_id": app.id, "conversation_id": message.conversation_id, "message_id": message.id,
        "rating": stored["rating"], "content": stored["content"], "from_source": "user",
        "from_end_user_id": message.end_user.id if message.end_user else None, "from_account_id": None,
        "created_at": stored["created_at"], "updated_at": stored["created_at"],
    }  # fmt: skip

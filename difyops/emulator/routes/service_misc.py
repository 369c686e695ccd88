"""What a service key can read and do beside running: info, parameters, site, files, conversations, feedback."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message as MimePart

from starlette.responses import Response

from difyops.emulator import record_views, runs, shapes
from difyops.emulator.records import Conversation, Message
from difyops.emulator.routing import Call, Route
from difyops.emulator.shapes import JsonDict

API = "/v1"
_MAX_FILE = 15 * 1024 * 1024
_SYSTEM = {
    "image_file_size_limit": 10, "video_file_size_limit": 100, "audio_file_size_limit": 50, "file_size_limit": 15,
    "workflow_file_upload_limit": 10,
}  # fmt: skip
_SHOWN = (
    "opening_statement", "suggested_questions", "suggested_questions_after_answer", "speech_to_text",
    "text_to_speech", "retriever_resource",
)  # fmt: skip


def info(call: Call) -> Response:
    """Return name, mode and tags of the app."""
    app = call.app
    tags = [tag.name for tag in app.tags]
    body = {"name": app.name, "description": app.description, "tags": tags, "mode": app.mode}
    return shapes.answer({**body, "author_name": app.created_by.name})


def parameters(call: Call) -> Response:
    """Return the input form and features of what is live; 400 ``app_unavailable`` when nothing is."""
    app = call.app
    if "parameters" in app.cache:
        return shapes.raw(app.cache["parameters"])
    if app.is_flow:
        if app.live is None:
            raise shapes.problem("app_unavailable", "App unavailable, please check your app configurations.", 400)
        config, form = app.live.features, [{item["type"]: item} for item in runs.start_form(app.live)]
    elif app.agent is not None:
        features = {name: value for name, value in app.agent.live.soul["app_features"].items() if value is not None}
        off = {"enabled": False}
        config = {**dict.fromkeys(_SHOWN, off), "opening_statement": None, "suggested_questions": [], **features}
        config["text_to_speech"] = {**off, "voice": "", "language": ""}
        form = []
    else:
        config = app.model_config or {}
        form = config.get("user_input_form") or []
    off = {"enabled": False}
    body: JsonDict = {name: config.get(name) for name in _SHOWN}
    body |= {
        "annotation_reply": config.get("annotation_reply") or off,
        "more_like_this": config.get("more_like_this") or off, "user_input_form": form,
        "sensitive_word_avoidance": config.get("sensitive_word_avoidance") or off,
        "file_upload": config.get("file_upload"), "system_parameters": _SYSTEM,
    }  # fmt: skip
    app.cache["parameters"] = shapes.dumps(body)
    return shapes.raw(app.cache["parameters"])


def meta(call: Call) -> Response:
    """Return the icons of the app's tools: none."""
    return shapes.answer({"tool_icons": {}})


def site(call: Call) -> Response:
    """Return the web site's settings."""
    names = (
        "title", "chat_color_theme", "chat_color_theme_inverted", "icon_type", "icon", "icon_background",
        "description", "copyright", "privacy_policy", "custom_disclaimer", "default_language",
        "show_workflow_steps", "use_icon_as_answer_icon", "icon_url",
    )  # fmt: skip
    return shapes.answer({name: call.app.site[name] for name in names})


def upload(call: Call) -> Response:
    """Take a file: 201; 400 without one, 413 above 15 MB."""
    part = _file_part(call)
    if part is None:
        raise shapes.problem("no_file_uploaded", "Please upload your file.", 400)
    content = part.get_payload(decode=True)
    data = content if isinstance(content, bytes) else b""
    if len(data) > _MAX_FILE:
        text = "" if call.instance.release.empty_413_message else "File size exceeded. {message}"
        raise shapes.problem("file_too_large", text, 413)
    return shapes.answer(_file(call, part.get_filename() or "file", part.get_content_type(), len(data)), 201)


def _file_part(call: Call) -> MimePart | None:
    head = b"content-type: " + call.request.headers.get("content-type", "").encode() + b"\r\n\r\n"
    form = message_from_bytes(head + call.body)
    parts = form.get_payload() if form.is_multipart() else []
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, MimePart) and part.get_param("name", header="content-disposition") == "file":
            return part
    return None


def _file(call: Call, name: str, mime: str, size: int) -> JsonDict:
    instance, file_id = call.instance, call.instance.new_id()
    address = f"{instance.base_url}/files/{file_id}/file-preview?timestamp={instance.now()}&nonce={file_id[:8]}&sign=x"
    reference = {"reference": None} if instance.release.file_reference else {}
    return {
        "id": file_id, **reference, "name": name, "size": size, "extension": name.rpartition(".")[2],
        "mime_type": mime, "created_by": instance.end_user(call.app.id, "DEFAULT-USER").id,
        "created_at": instance.now(), "preview_url": None, "source_url": address, "original_url": None,
        "user_id": None, "tenant_id": instance.workspace_id, "conversation_id": None, "file_key": None,
    }  # fmt: skip


def _conversation(call: Call) -> Conversation:
    found = call.app.conversations.get(call.params["conversation_id"])
    if found is None or found.deleted:
        raise shapes.not_found_with_help(call.path, "Conversation Not Exists.")
    return found


def conversations(call: Call) -> Response:
    """List the user's conversations, newest first."""
    user = call.query("user")
    limit = call.number("limit", 20, model="ConversationListQuery", high=100)
    found = [
        item
        for item in reversed(call.app.conversations.values())
        if not item.deleted and item.end_user is not None and item.end_user.session_id == user
    ]
    rows = [record_views.service_conversation(call.app, item) for item in found[:limit]]
    return shapes.answer({"limit": limit, "has_more": len(found) > limit, "data": rows})


def rename_conversation(call: Call) -> Response:
    """Rename a conversation."""
    found = _conversation(call)
    found.name = str(call.json().get("name") or found.name)
    found.updated_at = call.instance.now()
    return shapes.answer(record_views.service_conversation(call.app, found))


def delete_conversation(call: Call) -> Response:
    """Delete a conversation."""
    _conversation(call).deleted = True
    return shapes.empty()


def conversation_variables(call: Call) -> Response:
    """List the variables of a conversation."""
    rows = list(_conversation(call).variables.values())
    return shapes.answer({"limit": 20, "has_more": False, "data": rows})


def messages(call: Call) -> Response:
    """List the messages of a conversation."""
    call.params["conversation_id"] = call.query("conversation_id")
    limit = call.number("limit", 20, model="MessageListQuery", high=100)
    found = _conversation(call).messages
    rows = [record_views.service_message(message) for message in found[-limit:]]
    return shapes.answer({"limit": limit, "has_more": len(found) > limit, "data": rows})


def _message(call: Call) -> Message:
    for conversation in call.app.conversations.values():
        for message in conversation.messages:
            if message.id == call.params["message_id"]:
                return message
    raise shapes.not_found_with_help(call.path, "Message Not Exists.")


def feedback(call: Call) -> Response:
    """Rate a message; ``null`` takes the rating back, when there is one."""
    payload, message = call.json(), _message(call)
    rating = payload.get("rating")
    if rating not in ("like", "dislike", None):
        text = "Input should be 'like' or 'dislike'"
        raise shapes.validation("MessageFeedbackPayload", "rating", text, "literal_error", rating)
    if rating is None and message.feedback is None:
        raise shapes.invalid_param("rating cannot be None when feedback not exists")
    if rating is None:
        message.feedback = None
    else:
        stamp = call.instance.stamp(iso=True).partition(".")[0]
        stored = {"id": call.instance.new_id(), "content": payload.get("content"), "created_at": stamp}
        message.feedback = {**stored, "rating": rating}
    return shapes.success()


def feedbacks(call: Call) -> Response:
    """List the ratings of an app."""
    rows = [
        record_views.feedback_row(call.app, message)
        for conversation in call.app.conversations.values()
        for message in conversation.messages
        if message.feedback
    ]
    return shapes.answer({"data": rows})


def suggested(call: Call) -> Response:
    """Refuse: suggested questions are off in every app here."""
    _message(call)
    raise shapes.problem("bad_request", "Suggested Questions Is Disabled.", 400)


def web_app(call: Call) -> Response:
    """Refuse: the web app's own API is not emulated."""
    raise shapes.unauthorized("App token is missing.")


ROUTES = (
    Route("GET", "/api/parameters", web_app, "hook"),
    Route("GET", f"{API}/info", info, "app"),
    Route("GET", f"{API}/parameters", parameters, "app"),
    Route("GET", f"{API}/meta", meta, "app"),
    Route("GET", f"{API}/site", site, "app"),
    Route("POST", f"{API}/files/upload", upload, "app"),
    Route("GET", f"{API}/conversations", conversations, "app"),
    Route("DELETE", f"{API}/conversations/{{conversation_id:uuid}}", delete_conversation, "app"),
    Route("POST", f"{API}/conversations/{{conversation_id:uuid}}/name", rename_conversation, "app"),
    Route("GET", f"{API}/conversations/{{conversation_id:uuid}}/variables", conversation_variables, "app"),
    Route("GET", f"{API}/messages", messages, "app"),
    Route("POST", f"{API}/messages/{{message_id:uuid}}/feedbacks", feedback, "app"),
    Route("GET", f"{API}/messages/{{message_id:uuid}}/suggested", suggested, "app"),
    Route("GET", f"{API}/app/feedbacks", feedbacks, "app"),
)

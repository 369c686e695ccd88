"""Chat, agent and completion answers, and what chatflows share with them: conversations and messages.

These modes have no draft and no worker: the answer is made while the client waits. A client that leaves a stream
leaves a message without text and tokens, although the model was called.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from difyops.emulator import runs, shapes
from difyops.emulator.events import Channel
from difyops.emulator.instance import Instance
from difyops.emulator.model import (
    ModelFault,
    Prompt,
    configuration_fault,
    credential_in_use,
    invoke,
    no_usage,
    plain_prices,
)
from difyops.emulator.providers import SECRET_FIELD
from difyops.emulator.records import Conversation, EndUser, Message, Task
from difyops.emulator.shapes import JsonDict, Problem
from difyops.emulator.store import App

_SLOT = re.compile(r"\{\{\s*(\w+)\s*\}\}")
NO_METADATA: JsonDict = {"annotation_reply": None, "retriever_resources": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One question to a chat, agent or completion app, and where its answer is kept."""

    app: App
    conversation: Conversation
    message: Message
    prompt: Prompt
    names_conversation: bool = False

    @property
    def is_completion(self) -> bool:
        """Tell whether the app keeps no conversations."""
        return self.app.mode == "completion"


def form_of(app: App) -> list[JsonDict]:
    """Return the input form of a chat app as flat items ``{type, variable, required, ...}``."""
    items = (app.model_config or {}).get("user_input_form") or []
    return [{"type": kind, **field} for item in items for kind, field in item.items()]


def open_conversation(
    instance: Instance, app: App, payload: JsonDict, inputs: JsonDict, end_user: EndUser
) -> Conversation:
    """Return the conversation named in ``payload``, or a new one.

    Raises:
        Problem: 404 "Conversation Not Exists." (another user's included).
    """
    wanted = payload.get("conversation_id")
    if wanted:
        known = app.conversations.get(str(wanted))
        if known is None or known.deleted or known.end_user is not end_user:
            raise shapes.not_found_with_help("/v1/chat-messages", "Conversation Not Exists.")
        return known
    query = str(payload.get("query") or "")
    name = query if len(query) <= 20 else f"{query[:20]}…"
    now = instance.now()
    conversation = Conversation(
        id=instance.new_id(), app_id=app.id, name=name, summary=query, inputs=inputs, created_at=now,
        updated_at=now, end_user=end_user,
    )  # fmt: skip
    app.conversations[conversation.id] = conversation
    return conversation


def check_conversation_id(payload: JsonDict) -> None:
    """Refuse a conversation id that is no UUID.

    Raises:
        Problem: 400 with pydantic text.
    """
    wanted = payload.get("conversation_id")
    try:
        uuid.UUID(str(wanted)) if wanted else None
    except ValueError:
        text = "Value error, conversation_id must be a valid UUID"
        raise shapes.validation("ChatRequestPayload", "conversation_id", text, "value_error", wanted) from None


def add_message(instance: Instance, conversation: Conversation, query: str, inputs: JsonDict) -> Message:
    """Append an unanswered message."""
    parents = conversation.messages
    message = Message(
        id=instance.new_id(), conversation_id=conversation.id, task_id=instance.new_id(), inputs=inputs, query=query,
        created_at=instance.now(), end_user=conversation.end_user,
    )  # fmt: skip
    if parents:
        message.parent_id = parents[-1].id
    conversation.messages.append(message)
    conversation.updated_at = instance.now()
    return message


def new_talk(instance: Instance, app: App, payload: JsonDict, end_user: EndUser) -> Talk:
    """Check the inputs and the model's configuration, open the conversation, write the message.

    Raises:
        Problem: 400 for inputs, an app without configuration, or a model that cannot be called; 404 conversation.
    """
    config = _config(app)
    if not config:
        raise shapes.problem("app_unavailable", "App unavailable, please check your app configurations.", 400)
    inputs = runs.checked_inputs(form_of(app), payload.get("inputs") or {})
    conversation = open_conversation(instance, app, payload, inputs, end_user)
    is_first = not conversation.messages
    message = add_message(instance, conversation, str(payload.get("query") or ""), inputs)
    provider, name = config["model"]["provider"], config["model"]["name"]
    prompt = Prompt(provider=provider, model=name, messages=_messages(app, conversation, message))
    message.prompt = _shown(app, prompt)
    names = is_first and app.mode != "completion" and payload.get("auto_generate_name", True) is not False
    return Talk(app=app, conversation=conversation, message=message, prompt=prompt, names_conversation=names)


def _config(app: App) -> JsonDict:
    """Return what an app asks its model with: its configuration, or what is live of an agent's soul."""
    if app.agent is None:
        return app.model_config or {}
    soul = app.agent.live.soul
    model = soul["model"] or {}
    named = {"provider": model.get("model_provider"), "name": model.get("model")}
    return {"model": named, "pre_prompt": soul["prompt"]["system_prompt"]}


def refusal(instance: Instance, talk: Talk) -> ModelFault | None:
    """Return why the model cannot be called at all, and note it on the message."""
    problem = configuration_fault(instance, talk.prompt.provider, talk.prompt.model)
    if problem is not None:
        _note_failure(talk.message, problem)
    return problem


def as_problem(error: ModelFault) -> Problem:
    """Return a model fault as the HTTP answer of a blocking call: always 400."""
    return shapes.problem(error.code, error.message, 400)


def _messages(app: App, conversation: Conversation, message: Message) -> list[JsonDict]:
    config = _config(app)
    template = str(config.get("pre_prompt") or "")
    opening = _SLOT.sub(lambda found: str(message.inputs.get(found.group(1)) or ""), template) + "\n"
    if app.mode == "completion":
        return [{"role": "user", "text": opening}]
    messages = [{"role": "system", "text": opening}]
    for earlier in conversation.messages[:-1]:
        messages.append({"role": "user", "text": earlier.query})
        messages.append({"role": "assistant", "text": earlier.answer})
    return [*messages, {"role": "user", "text": message.query}]


def _shown(app: App, prompt: Prompt) -> list[JsonDict] | str:
    if app.mode == "completion":
        return prompt.last_user
    return [{**item, "files": []} for item in prompt.messages]


async def speak(instance: Instance, talk: Talk, channel: Channel | None = None) -> None:
    """Get the answer piece by piece, sending ``message`` events into ``channel``; then settle the message.

    Raises:
        ModelFault: the model refused or broke off; the message is marked ``error``.
    """
    message = talk.message
    started = instance.moment()
    text = ""
    task = instance.tasks.setdefault(message.task_id, Task())
    instance.control.count_app(talk.app.id)
    amounts: JsonDict = {}
    try:
        async for piece in invoke(instance, talk.prompt):
            if task.stop_requested:
                amounts = no_usage(instance.moment() - started)
                break
            if isinstance(piece, str):
                text += piece
                if channel is not None:
                    channel.put(_piece_event(talk, piece))
            else:
                amounts = piece
    except ModelFault as error:
        _note_failure(message, error)
        raise
    finally:
        instance.tasks.pop(message.task_id, None)
    _settle(instance, talk, text, amounts, instance.moment() - started)


def _settle(instance: Instance, talk: Talk, text: str, amounts: JsonDict, latency: float) -> None:
    message = talk.message
    message.answer, message.usage, message.latency = text.strip(), amounts, latency
    message.message_tokens, message.answer_tokens = amounts["prompt_tokens"], amounts["completion_tokens"]
    message.price = amounts["total_price"]
    message.finished = True
    talk.conversation.updated_at = instance.now()
    if talk.names_conversation:
        name_conversation(instance, talk.prompt.model)


def name_conversation(instance: Instance, model: str) -> None:
    """Make the second call of a first message: the title. It is billed and in no statistic."""
    key = (credential_in_use(instance, model) or {}).get(SECRET_FIELD)
    if key:
        instance.control.count_provider_key(key)


def _note_failure(message: Message, error: ModelFault) -> None:
    message.status, message.error, message.finished = "error", error.message, True
    message.prompt = ""


def blocking_body(talk: Talk) -> JsonDict:
    """Return the answer of a blocking call."""
    message = talk.message
    body: JsonDict = {"event": "message", "task_id": message.task_id, "id": message.id, "message_id": message.id}
    if not talk.is_completion:
        body["conversation_id"] = message.conversation_id
    metadata = {**NO_METADATA, "usage": plain_prices(message.usage or {})}
    text = talk.message.answer if talk.app.mode != "completion" else f"{talk.message.answer}\n"
    return {**body, "mode": talk.app.mode, "answer": text, "metadata": metadata, "created_at": message.created_at}


async def stream_into(instance: Instance, talk: Talk, channel: Channel) -> None:
    """Answer into ``channel``: messages and ``message_end``, or an ``error`` event, which ends it."""
    try:
        if talk.app.mode == "agent-chat":
            await _agent(instance, talk, channel)
        else:
            await speak(instance, talk, channel)
        usage = talk.message.usage
        channel.put({**_head(talk, "message_end"), "metadata": {**NO_METADATA, "usage": usage}, "files": None})
    except ModelFault as error:
        channel.put(error_event(talk, error))
    finally:
        channel.close()


async def _agent(instance: Instance, talk: Talk, channel: Channel) -> None:
    pieces = Channel()
    await speak(instance, talk, pieces)
    pieces.close()
    thought: JsonDict = {
        "id": instance.new_id(), "position": 1, "thought": talk.message.answer, "observation": "", "tool": "",
        "tool_labels": {}, "tool_input": "", "message_files": [],
    }  # fmt: skip
    channel.put({**_head(talk, "agent_thought"), **thought})
    for event in await pieces.drain():
        event.pop("from_variable_selector", None)
        channel.put({**event, "event": "agent_message"})
    channel.put({**_head(talk, "agent_thought"), **thought})


def error_event(talk: Talk, error: ModelFault) -> JsonDict:
    """Return the ``error`` event of a chat stream; HTTP stays 200."""
    head = _head(talk, "error")
    for name in ("task_id", "id"):
        head.pop(name)
    return {**head, "code": error.code, "status": 400, "message": error.event_message}


def _head(talk: Talk, event: str) -> JsonDict:
    message = talk.message
    place = {} if talk.is_completion else {"conversation_id": message.conversation_id}
    ids = {"message_id": message.id, "created_at": message.created_at, "task_id": message.task_id, "id": message.id}
    return {"event": event, **place, **ids}


def _piece_event(talk: Talk, piece: str) -> JsonDict:
    return {**_head(talk, "message"), "answer": piece, "from_variable_selector": None}

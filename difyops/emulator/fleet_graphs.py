"""Graphs and chat configurations of fleet apps: realistic in size and contents, made from a random generator."""

from __future__ import annotations

import random

from difyops.emulator.providers import OPENAI, SEARCH_TOOL
from difyops.emulator.shapes import JsonDict

_TEXT = (
    "the customer order refund shipping address invoice please answer briefly and politely in the same language "
    "use only facts from the context if unsure say so never invent prices dates or names keep the tone friendly "
    "summarise the request list open questions then propose one next step with owner and due date"
)
_WORDS = _TEXT.split()
_PARAMETERS = {"temperature": 0.7}
_MODEL = {"provider": OPENAI, "name": "gpt-4o-mini", "mode": "chat", "completion_params": _PARAMETERS}
TARGET_BYTES = 20_000


def prose(rng: random.Random, words: int) -> str:
    """Return ``words`` words that look like a prompt."""
    return " ".join(rng.choices(_WORDS, k=words))


def features() -> JsonDict:
    """Return the features every new workflow has."""
    image = {"enabled": False, "number_limits": 3, "transfer_methods": ["local_file", "remote_url"]}
    off = {"enabled": False}
    return {
        "file_upload": {
            "enabled": False, "allowed_file_types": ["image"], "allowed_file_extensions": [],
            "allowed_file_upload_methods": ["local_file", "remote_url"], "number_limits": 3, "image": image,
        },
        "opening_statement": "", "retriever_resource": {"enabled": True}, "sensitive_word_avoidance": off,
        "speech_to_text": off, "suggested_questions": [], "suggested_questions_after_answer": off,
        "text_to_speech": {"enabled": False, "language": "", "voice": ""},
    }  # fmt: skip


class _Graph:
    """A chain of nodes under construction."""

    def __init__(self) -> None:
        self.nodes: list[JsonDict] = []
        self.edges: list[JsonDict] = []

    def add(self, node_id: str, kind: str, title: str, **data: object) -> str:
        """Append a node and the edge that leads to it."""
        x = 30 + 300 * len(self.nodes)
        if self.nodes:
            self._link(self.nodes[-1], node_id, kind)
        place = {"x": x, "y": 280}
        self.nodes.append(
            {
                "id": node_id, "type": "custom", "data": {"type": kind, "title": title, "desc": "", **data},
                "position": place, "positionAbsolute": dict(place), "width": 244, "height": 90, "selected": False,
                "sourcePosition": "right", "targetPosition": "left",
            }
        )  # fmt: skip
        return node_id

    def _link(self, source: JsonDict, target: str, kind: str) -> None:
        handle = "false" if source["data"]["type"] == "if-else" else "source"
        data = {
            "sourceType": source["data"]["type"],
            "targetType": kind,
            "isInIteration": False,
            "isInLoop": False,
        }
        self.edges.append(
            {
                "id": f"{source['id']}-{handle}-{target}-target", "source": source["id"], "sourceHandle": handle,
                "target": target, "targetHandle": "target", "type": "custom", "zIndex": 0, "data": data,
            }
        )  # fmt: skip

    def body(self) -> JsonDict:
        """Return the finished graph."""
        return {"nodes": self.nodes, "edges": self.edges, "viewport": {"x": 0, "y": 0, "zoom": 1}}


def workflow_content(rng: random.Random, *, mode: str, dataset_id: str, triggers: bool) -> JsonDict:
    """Return graph, features and variables of a fleet workflow of about ``TARGET_BYTES``."""
    graph = _Graph()
    start = _start(graph, rng, mode, triggers)
    query = ["sys", "query"] if mode == "advanced-chat" else [start, "query"]
    _middle(graph, rng, query, dataset_id)
    last = _models(graph, rng, query)
    if mode == "advanced-chat":
        graph.add("answer", "answer", "Answer", answer=f"{{{{#{last}.text#}}}}", variables=[])
    else:
        output = {"variable": "result", "value_selector": [last, "text"], "value_type": "string"}
        graph.add("end", "end", "End", outputs=[output])
    env, conversation = _variables(rng, mode)
    return {
        "graph": graph.body(),
        "features": features(),
        "environment_variables": env,
        "conversation_variables": conversation,
    }


def _start(graph: _Graph, rng: random.Random, mode: str, triggers: bool) -> str:
    if triggers and rng.random() < 0.12:
        if rng.random() < 0.5:
            return graph.add(
                "start", "trigger-webhook", "Webhook", method="POST", content_type="application/json", headers=[],
                params=[], body=[{"name": "query", "type": "string", "required": True}], async_mode=True,
                status_code=200, response_body='{"ok": true}', variables=[],
            )  # fmt: skip
        return graph.add(
            "start", "trigger-schedule", "Schedule", mode="cron", cron_expression=f"{rng.randint(0, 59)} 6 * * *",
            timezone="UTC", frequency="daily", visual_config={"time": "6:00 AM", "weekdays": ["sun"]}, config={},
        )  # fmt: skip
    field = {
        "variable": "query", "label": "query", "type": "paragraph", "required": mode == "workflow",
        "max_length": 4000, "options": [],
    }  # fmt: skip
    return graph.add("start", "start", "Start", variables=[field] if mode == "workflow" else [])


def _middle(graph: _Graph, rng: random.Random, query: list[str], dataset_id: str) -> None:
    if rng.random() < 0.4:
        graph.add(
            "http", "http-request", "Look up", method="get", url="https://crm.example.com/v1/customers",
            headers=f"X-Api-Key: plain-{rng.getrandbits(64):016x}", params="", body={"type": "none", "data": []},
            authorization={
                "type": "api-key",
                "config": {"type": "bearer", "api_key": f"plain-{rng.getrandbits(64):016x}", "header": ""},
            },
            timeout={"max_connect_timeout": 0, "max_read_timeout": 0, "max_write_timeout": 0}, variables=[],
        )  # fmt: skip
    if rng.random() < 0.35:
        graph.add(
            "kb", "knowledge-retrieval", "Handbook", dataset_ids=[dataset_id], query_variable_selector=query,
            retrieval_mode="multiple",
            multiple_retrieval_config={"top_k": 2, "score_threshold": None, "reranking_enable": False},
        )  # fmt: skip
    if rng.random() < 0.25:
        graph.add(
            "search", "tool", "Search", provider_id=SEARCH_TOOL, provider_type="builtin", provider_name=SEARCH_TOOL,
            tool_name="google_search", tool_label="GoogleSearch", tool_configurations={}, credential_id="",
            tool_parameters={"query": {"type": "mixed", "value": f"{{{{#{'.'.join(query)}#}}}}"}},
        )  # fmt: skip


def _models(graph: _Graph, rng: random.Random, query: list[str]) -> str:
    """Append model steps until the app has the wanted size; return the last one's id."""
    node_id, size, number = "", 2500, 0
    while size < TARGET_BYTES - 2500:
        number += 1
        words = rng.randint(120, 260)
        node_id = graph.add(
            f"llm{number}", "llm", f"Step {number}",
            model=_MODEL,
            prompt_template=[
                {"id": "s", "role": "system", "text": prose(rng, words)},
                {"id": "u", "role": "user", "text": f"{{{{#{'.'.join(query)}#}}}} [[delay=0.2]]"},
            ],
            context={"enabled": False, "variable_selector": []}, vision={"enabled": False}, variables=[],
        )  # fmt: skip
        size += words * 6 + 900
    return node_id


def _variables(rng: random.Random, mode: str) -> tuple[list[JsonDict], list[JsonDict]]:
    def variable(name: str, kind: str, value: object) -> JsonDict:
        return {"id": f"{rng.getrandbits(128):032x}", "name": name, "value_type": kind, "value": value}

    env = [variable("REGION", "string", rng.choice(("eu", "us", "ap")))]
    if rng.random() < 0.5:
        env.append(variable("CRM_TOKEN", "secret", f"tok-fleet-{rng.getrandbits(80):020x}"))
    if rng.random() < 0.3:
        env.append(variable("LIMIT", "number", rng.randint(1, 50)))
    conversation = [variable("topic", "string", "none")] if mode == "advanced-chat" else []
    return env, conversation


def chat_config(rng: random.Random, mode: str) -> JsonDict:
    """Return the configuration of a chat, agent or completion app of about ``TARGET_BYTES``."""
    off = {"enabled": False}
    name = "query" if mode == "completion" else "topic"
    field = {"label": name, "variable": name, "required": mode == "completion", "max_length": 4000, "default": ""}
    strategy = {"enabled": mode == "agent-chat", "max_iteration": 5, "strategy": "function_call", "tools": []}
    long = {"prompt": [{"role": "system", "text": prose(rng, 2600)}]}
    return {
        "opening_statement": "Hello.", "suggested_questions": ["What can you do?"],
        "suggested_questions_after_answer": off, "speech_to_text": off,
        "text_to_speech": {"enabled": False, "language": "", "voice": ""}, "retriever_resource": {"enabled": True},
        "annotation_reply": off, "more_like_this": off,
        "sensitive_word_avoidance": {"enabled": False, "type": "", "configs": []}, "external_data_tools": [],
        "model": {
            "provider": OPENAI, "name": "gpt-4o-mini", "mode": "chat",
            "completion_params": {"temperature": 0.7, "stop": []},
        },
        "user_input_form": [{"paragraph": field}], "dataset_query_variable": "",
        "pre_prompt": f"{prose(rng, 300)} {{{{{name}}}}}", "agent_mode": strategy, "prompt_type": "simple",
        "chat_prompt_config": long, "completion_prompt_config": {},
        "dataset_configs": {
            "datasets": {"datasets": []}, "reranking_enable": False, "retrieval_model": "multiple", "top_k": 4,
        },
        "file_upload": features()["file_upload"],
    }  # fmt: skip

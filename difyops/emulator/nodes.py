"""What each kind of workflow node does when it runs. A node reads the pool of variables and gives back a result.

Enough for difyops, not a workflow engine: code nodes are recognised, never executed; HTTP answers canned, and so do
tools whose key works.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from difyops.emulator.datasets import Dataset, Document, Segment, search
from difyops.emulator.instance import Instance
from difyops.emulator.model import ModelFault, Prompt, invoke
from difyops.emulator.providers import SEARCH_SECRET, SEARCH_TOOL
from difyops.emulator.shapes import JsonDict

_REFERENCE = re.compile(r"\{\{#([\w.\-]+)#\}\}")
_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEY_REFUSED = (
    f"An error occurred in the {SEARCH_TOOL}, please contact the author of {SEARCH_TOOL} for help, error type: "
    "ToolProviderCredentialValidationError, error details: Invalid API key. Your API key should be here: "
    "https://serpapi.com/manage-api-key"
)
_JINJA = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_RETRY: JsonDict = {"max_retries": 0, "retry_interval": 0, "retry_enabled": False}
_BOOM = (
    'Traceback (most recent call last):\n  File "<path>", line 17, in <module>\n    output_obj = main(**inputs_obj)\n'
    "                 ^^^^^^^^^^^^^^^^^^\n  File \"<path>\", line 6, in main\n    raise ValueError('boom requested')\n"
    "ValueError: boom requested\n"
)


class NodeFault(Exception):
    """A node that failed; its text becomes the run's error. ``inputs`` is what the node had read by then."""

    def __init__(self, text: str, inputs: JsonDict | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.inputs = inputs or {}


@dataclass(slots=True)
class Pool:
    """The variables of a run: ``(node id, name) -> value``; ``sys``, ``env`` and ``conversation`` are node ids too."""

    values: dict[tuple[str, str], Any] = field(default_factory=dict)

    def get(self, selector: list[str]) -> Any:
        """Return the value a selector points at, or None."""
        return self.values.get((selector[0], selector[1])) if len(selector) > 1 else None

    def put(self, node_id: str, outputs: JsonDict) -> None:
        """Keep the outputs of a node."""
        for name, value in outputs.items():
            self.values[(node_id, name)] = value

    def filled(self, template: str) -> str:
        """Return ``template`` with every ``{{#node.variable#}}`` replaced; what is not there becomes empty."""
        return _REFERENCE.sub(lambda match: _text(self.get(match.group(1).split("."))), template)


@dataclass(slots=True, kw_only=True)
class Result:
    """What a node gave: its outputs, and which of its edges to follow."""

    inputs: JsonDict = field(default_factory=dict)
    process_data: JsonDict = field(default_factory=dict)
    outputs: JsonDict = field(default_factory=dict)
    handle: str = "source"
    usage: JsonDict | None = None


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def execute(instance: Instance, data: JsonDict, pool: Pool) -> AsyncIterator[str | Result]:
    """Run one node: yields pieces of text while it talks (LLM only), then its result.

    Raises:
        NodeFault: the node failed.
    """
    match data.get("type"):
        case "llm":
            async for item in _llm(instance, data, pool):
                yield item
        case "code":
            yield await _code(instance, data, pool)
        case "knowledge-retrieval":
            yield _knowledge(instance, data, pool)
        case "http-request":
            await instance.pause(0.1)
            yield _http(instance, data, pool)
        case "tool":
            _use_tool_key(instance, data)
            yield _tool(data, pool)
        case kind:
            yield _SIMPLE.get(str(kind), _pass)(data, pool)


async def _llm(instance: Instance, data: JsonDict, pool: Pool) -> AsyncIterator[str | Result]:
    model, messages = data["model"], _messages(data, pool)
    prompt = Prompt(provider=model["provider"], model=model["name"], messages=messages)
    inputs: JsonDict = {}
    if instance.release.model_in_llm_inputs:
        inputs = {"model_provider": prompt.provider, "model_name": prompt.model}
    text, amounts = "", {}
    try:
        async for piece in invoke(instance, prompt):
            if isinstance(piece, str):
                text += piece
                yield piece
            else:
                amounts = piece
    except ModelFault as error:
        raise NodeFault(error.text, inputs) from error
    shown = [{**message, "files": []} for message in messages]
    yield Result(
        inputs=inputs,
        process_data={
            "model_mode": "chat", "prompts": shown, "usage": amounts, "finish_reason": "stop",
            "model_provider": prompt.provider, "model_name": prompt.model,
        },
        outputs={"text": text, "reasoning_content": "", "usage": amounts, "finish_reason": "stop"},
        usage=amounts,
    )  # fmt: skip


def _messages(data: JsonDict, pool: Pool) -> list[JsonDict]:
    template = data.get("prompt_template")
    parts = template if isinstance(template, list) else [{"role": "user", "text": (template or {}).get("text", "")}]
    messages = [{"role": part["role"], "text": pool.filled(part.get("text", ""))} for part in parts]
    memory = data.get("memory")
    if memory:
        query = pool.filled(memory.get("query_prompt_template") or "{{#sys.query#}}")
        if pool.get(["sys", "query"]) is None:
            raise NodeFault("Variable #sys.query# not found")
        messages.append({"role": "user", "text": query})
    return messages


async def _code(instance: Instance, data: JsonDict, pool: Pool) -> Result:
    inputs = _selected(data, pool)
    source = str(data.get("code", ""))
    if "time.sleep" in source:
        await instance.pause(float(inputs.get("secs") or 0))
    text = str(inputs.get("text") or next((value for value in inputs.values() if isinstance(value, str)), ""))
    if "boom" in source and text == "boom":
        raise NodeFault(_BOOM, inputs)
    known: JsonDict = {"result": text.upper() if ".upper()" in source else text, "n": len(text)}
    declared = data.get("outputs") or {}
    outputs = {name: known.get(name, _default(spec.get("type", ""))) for name, spec in declared.items()}
    return Result(inputs=inputs, outputs=outputs)


def _default(kind: str) -> object:
    return {"number": 0, "object": {}, "boolean": False}.get(kind, [] if kind.startswith("array") else "")


def _selected(data: JsonDict, pool: Pool) -> JsonDict:
    return {item["variable"]: pool.get(item["value_selector"]) for item in data.get("variables") or []}


def _knowledge(instance: Instance, data: JsonDict, pool: Pool) -> Result:
    query = _text(pool.get(data.get("query_variable_selector") or []))
    top_k = int((data.get("multiple_retrieval_config") or {}).get("top_k") or 2)
    hits: list[tuple[float, Dataset, Document, Segment]] = []
    for dataset_id in data.get("dataset_ids") or []:
        dataset = instance.datasets.get(dataset_id)
        if dataset is not None:
            found = search(dataset, query, instance.moment(), top_k)
            hits += [(score, dataset, document, segment) for score, document, segment in found]
    hits = sorted(hits, key=lambda hit: -hit[0])[:top_k]
    shown = [_hit(*hit, position) for position, hit in enumerate(hits, 1)]
    return Result(inputs={"query": query}, process_data={"usage": None}, outputs={"result": shown})


def _hit(score: float, dataset: Dataset, document: Document, segment: Segment, position: int) -> JsonDict:
    segment.hit_count += 1
    return {
        "metadata": {
            "source": "knowledge", "dataset_id": dataset.id, "dataset_name": dataset.name,
            "document_id": document.id, "document_name": document.name, "data_source_type": "upload_file",
            "segment_id": segment.id, "retriever_from": "workflow", "score": score, "child_chunks": [],
            "segment_hit_count": segment.hit_count, "segment_word_count": len(segment.content),
            "segment_position": segment.position, "segment_index_node_hash": segment.content_hash,
            "doc_metadata": None, "position": position,
        },
        "title": document.name, "files": None, "content": segment.content, "summary": None,
    }  # fmt: skip


def _http(instance: Instance, data: JsonDict, pool: Pool) -> Result:
    url, headers = pool.filled(str(data.get("url", ""))), pool.filled(str(data.get("headers", "")))
    request = f"{str(data.get('method', 'get')).upper()} {url} HTTP/1.1\r\n"
    is_let_in = instance.control.answers_outside(f"{url}\n{headers}")
    status, body = (200, '{"ok": true}') if is_let_in else (401, '{"error": "unauthorized"}')
    outputs = {"status_code": status, "body": body, "headers": {"content-type": "application/json"}, "files": []}
    return Result(process_data={"request": request}, outputs=outputs)


def _template(data: JsonDict, pool: Pool) -> Result:
    inputs = _selected(data, pool)
    text = _JINJA.sub(lambda match: str(inputs.get(match.group(1))), str(data.get("template", "")))
    return Result(inputs=inputs, outputs={"output": text})


def _if_else(data: JsonDict, pool: Pool) -> Result:
    shown: list[JsonDict] = []
    groups: list[JsonDict] = []
    chosen = "false"
    for case in data.get("cases") or []:
        results = [_holds(condition, pool, shown) for condition in case.get("conditions") or []]
        both = case.get("logical_operator") == "and"
        final = (all(results) if both else any(results)) if results else False
        groups.append({"group": _group(case), "results": results, "final_result": final})
        if final:
            chosen = str(case.get("case_id") or case.get("id"))
            break
    outputs = {"result": chosen != "false", "selected_case_id": chosen}
    return Result(
        inputs={"conditions": shown}, process_data={"condition_results": groups}, outputs=outputs, handle=chosen
    )


def _group(case: JsonDict) -> JsonDict:
    conditions = [
        {
            "variable_selector": item["variable_selector"],
            "comparison_operator": item["comparison_operator"],
            "value": item.get("value"),
            "sub_variable_condition": None,
        }
        for item in case.get("conditions") or []
    ]
    return {"case_id": case.get("case_id"), "logical_operator": case.get("logical_operator"), "conditions": conditions}


def _holds(condition: JsonDict, pool: Pool, shown: list[JsonDict]) -> bool:
    actual, expected = pool.get(condition["variable_selector"]), condition.get("value")
    operator = condition["comparison_operator"]
    shown.append({"actual_value": actual, "expected_value": expected, "comparison_operator": operator})
    left, right = _text(actual), _text(expected)
    answers = {
        "contains": right in left, "not contains": right not in left, "start with": left.startswith(right),
        "end with": left.endswith(right), "is": left == right, "is not": left != right, "=": left == right,
        "≠": left != right, "empty": not left, "not empty": bool(left), "exists": actual is not None,
    }  # fmt: skip
    return answers.get(operator, False)


def _assigner(data: JsonDict, pool: Pool) -> Result:
    base = {"title": data.get("title"), "desc": data.get("desc", ""), "version": data.get("version", "2")}
    more = {"error_strategy": None, "default_value": None, "retry_config": _RETRY, "items": data.get("items") or []}
    updated: list[JsonDict] = []
    process: JsonDict = {}
    for item in data.get("items") or []:
        value = pool.get(item["value"]) if item.get("input_type") == "variable" else item.get("value")
        selector = item["variable_selector"]
        pool.values[(selector[0], selector[1])] = value
        process[selector[1]] = value
        updated.append({"name": selector[1], "selector": selector, "value_type": "string", "new_value": value})
    return Result(inputs={**base, **more}, process_data={**process, "__updated_variables": updated})


def _answer(data: JsonDict, pool: Pool) -> Result:
    return Result(outputs={"answer": pool.filled(str(data.get("answer", ""))), "files": []})


def _end(data: JsonDict, pool: Pool) -> Result:
    outputs = {item["variable"]: pool.get(item["value_selector"]) for item in data.get("outputs") or []}
    outputs = {name: value for name, value in outputs.items() if value is not None}
    return Result(inputs=outputs, outputs=dict(outputs))


def _use_tool_key(instance: Instance, data: JsonDict) -> None:
    """Take the credential the node names by its id, else the one in use; a provider that has none answers anyway.

    Raises:
        NodeFault: the credential named was deleted, or its key was revoked.
    """
    provider, named = instance.tool, str(data.get("credential_id") or "")
    if provider.name not in (data.get("provider_id"), data.get("provider_name")) or not provider.credentials:
        return
    used = provider.find(named) if _ID.fullmatch(named) else provider.listed()[0]
    if used is None:
        raise NodeFault(f"provider has been deleted: {named}")
    key = used.values[SEARCH_SECRET]
    instance.control.count_provider_key(key)
    if key in instance.control.revoked:
        raise NodeFault(_KEY_REFUSED)


def _tool(data: JsonDict, pool: Pool) -> Result:
    parameters = {name: item.get("value") for name, item in (data.get("tool_parameters") or {}).items()}
    filled = {name: pool.filled(value) if isinstance(value, str) else value for name, value in parameters.items()}
    return Result(inputs=filled, outputs={"text": f"{data.get('tool_name', 'tool')}: ok", "files": [], "json": []})


def _first_of(data: JsonDict, pool: Pool) -> Result:
    selectors = data.get("variables") or []
    value = next((found for found in map(pool.get, selectors) if found is not None), None)
    return Result(inputs={}, outputs={"output": value})


def _classifier(data: JsonDict, pool: Pool) -> Result:
    classes = data.get("classes") or [{"id": "1", "name": ""}]
    outputs = {"class_name": classes[0].get("name", ""), "class_id": classes[0]["id"]}
    return Result(outputs=outputs, handle=str(classes[0]["id"]))


def _pass(data: JsonDict, pool: Pool) -> Result:
    return Result()


_SIMPLE = {
    "template-transform": _template,
    "if-else": _if_else,
    "assigner": _assigner,
    "answer": _answer,
    "end": _end,
    "variable-aggregator": _first_of,
    "question-classifier": _classifier,
}

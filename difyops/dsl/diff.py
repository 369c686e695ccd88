"""What changed between two documents, in terms of what the app does.

Both sides are redacted and reduced first (``canonical.normalized``), so layout, order and defaults never show and a
secret never does. Nodes are matched by id; when the two sides share no id at all (the same app in two environments) by
type and title. How two values are compared is in ``diff_values``, lines of texts in ``diff_text``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.counting import counted
from difyops.dsl.canonical import canonical, normalized
from difyops.dsl.diff_text import Line, LineBudget, line_diff
from difyops.dsl.diff_values import MISSING, Step, compare, without_credentials
from difyops.dsl.marks import MARKER, SEALED
from difyops.dsl.matching import aligned_ids
from difyops.dsl.model import JsonObject, as_dict, as_list, text_of, word_set
from difyops.dsl.secrets import Redacted, redact

_PROMPTS = word_set(
    "pre_prompt answer instruction instructions query_prompt_template template prompt form_content"
    " jinja2_text system_prompt"
)
_PROMPT_ROOTS = word_set("prompt_template chat_prompt_config completion_prompt_config")
_META = word_set("title desc description")
_DEPENDENCIES = word_set("plugin_unique_identifier tool_node_version")
_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference. ``field`` is the dotted path inside ``place``; ``lines`` is set for prompts, code and long texts.

    ``action`` is added, removed or changed; ``kind`` is node, edge, prompt, code, model, parameter, variable, feature,
    config, dependency or meta. ``before`` and ``after`` are JSON values without secrets, ``None`` for a missing side.
    ``lines`` are ``(mark, text)`` as in ``diff_text.line_diff``.
    """

    action: str
    kind: str
    place: str
    field: str | None = None
    before: Any = None
    after: Any = None
    lines: tuple[Line, ...] = ()

    @property
    def is_secret_variable(self) -> bool:
        """Return whether only the value of a secret variable changed, or of a secret reference of an agent."""
        is_variable = self.kind == "variable" or "secret_refs" in (self.field or "")
        return is_variable and self.action == "changed" and self.before == self.after == SEALED


def diff(before: JsonObject, after: JsonObject) -> tuple[Difference, ...]:
    """Return what changed, in a fixed order: nodes, edges, variables, features, model config, dependencies, secrets.

    A secret that is clear on both sides and differs is one change whose both values are the marker. A sealed value
    that changed shows as ``<sealed>`` on both sides; what a mark does not tell counts as equal (``marks.agree``).
    """
    old_redacted, new_redacted = _redacted_pair(before, after)
    old, new = aligned_ids(normalized(old_redacted.document), normalized(new_redacted.document))
    budget = LineBudget()
    changes = [
        *_nodes(as_dict(old.get("graph")), as_dict(new.get("graph")), budget),
        *_edges(as_dict(old.get("graph")), as_dict(new.get("graph"))),
    ]
    for part, place in _VARIABLES.items():
        changes += _members(as_dict(old.get(part)), as_dict(new.get(part)), place, _variable_kind, budget)
    changes += _fields(_graph_rest(old), _graph_rest(new), "graph", lambda path: "meta", budget)
    for part, (place, kind_of) in _SETTINGS.items():
        changes += _fields(as_dict(old.get(part)), as_dict(new.get(part)), place, kind_of, budget)
    changes += _fields(_dependencies(old), _dependencies(new), "dependencies", lambda path: "dependency", budget)
    return (*changes, *_secrets(old_redacted, new_redacted))


def cosmetic_only(before: JsonObject, after: JsonObject) -> bool:
    """Return whether the documents differ, but only in what does not change the app (layout, order, defaults)."""
    return canonical(before) != canonical(after) and not diff(before, after)


def describe(change: Difference) -> str:
    """Return the change as one printable line: ``changed node "LLM" (llm) model.name: "gpt-4o" -> "gpt-4o-mini"``."""
    where = f"{change.place} {change.field}" if change.field else change.place
    return _printable(f"{change.action} {where}{_summary(change)}")


def _summary(change: Difference) -> str:
    if change.lines:
        marks = [mark for mark, _ in change.lines]
        return f": +{marks.count('+')} -{counted(marks.count('-'), 'line')}"
    if change.action == "changed":
        if change.before == change.after == MARKER:
            return ": the value of the secret"
        if change.before == change.after:
            return ": a sealed value changed"
        return f": {_short(change.before)} -> {_short(change.after)}"
    value = change.after if change.action == "added" else change.before
    return f": {_short(value)}" if change.field else ""


def _redacted_pair(before: JsonObject, after: JsonObject) -> tuple[Redacted, Redacted]:
    """Redact both, and hide on each side what the other side shows to be a secret. Marks that are there stay."""
    old, new = redact(before, is_marked=True), redact(after, is_marked=True)
    if old.secrets or new.secrets:
        known = {*old.secrets.values(), *new.secrets.values()}
        return redact(before, known=known, is_marked=True), redact(after, known=known, is_marked=True)
    return old, new


def _nodes(old: JsonObject, new: JsonObject, budget: LineBudget) -> Iterator[Difference]:
    before, after = as_dict(old.get("nodes")), as_dict(new.get("nodes"))
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            shown = without_credentials(before[key])
            yield Difference(action="removed", kind="node", place=_node_place(key, before[key]), before=shown)
        elif key not in before:
            shown = without_credentials(after[key])
            yield Difference(action="added", kind="node", place=_node_place(key, after[key]), after=shown)
        else:
            yield from _fields(before[key], after[key], _node_place(key, after[key]), _node_kind, budget)


def _edges(old: JsonObject, new: JsonObject) -> Iterator[Difference]:
    before = {tuple(edge) for edge in as_list(old.get("edges"))}
    after = {tuple(edge) for edge in as_list(new.get("edges"))}
    nodes = {**as_dict(old.get("nodes")), **as_dict(new.get("nodes"))}
    for edge in sorted(before - after):
        yield Difference(action="removed", kind="edge", place=_edge_place(edge, nodes), before=list(edge))
    for edge in sorted(after - before):
        yield Difference(action="added", kind="edge", place=_edge_place(edge, nodes), after=list(edge))


def _members(
    old: JsonObject, new: JsonObject, place: str, kind_of: Callable[[tuple[Step, ...]], str], budget: LineBudget
) -> Iterator[Difference]:
    """Compare what has a name: a missing one is added or removed as a whole, else its fields are compared."""
    for name in sorted(old.keys() | new.keys()):
        where = f"{place} {_quoted(name)}"
        if name not in new:
            yield Difference(action="removed", kind="variable", place=where, before=without_credentials(old[name]))
        elif name not in old:
            yield Difference(action="added", kind="variable", place=where, after=without_credentials(new[name]))
        else:
            yield from _fields(old[name], new[name], where, kind_of, budget)


def _fields(
    old: JsonObject, new: JsonObject, place: str, kind_of: Callable[[tuple[Step, ...]], str], budget: LineBudget
) -> Iterator[Difference]:
    for path, before, after in compare(old, new):
        kind = kind_of(path)
        action = "added" if before is MISSING else "removed" if after is MISSING else "changed"
        shown_before, shown_after = without_credentials(before), without_credentials(after)
        yield Difference(
            action=action,
            kind=kind,
            place=place,
            field=".".join(map(str, path)) or None,
            before=shown_before,
            after=shown_after,
            lines=_lines(kind, shown_before, shown_after, budget),
        )


def _lines(kind: str, before: object, after: object, budget: LineBudget) -> tuple[Line, ...]:
    if not isinstance(before, str | None) or not isinstance(after, str | None):
        return ()
    old, new = before or "", after or ""
    if kind not in ("prompt", "code") and "\n" not in old + new:
        return ()
    if old == new:
        return (("~", "only a secret in it differs"),)
    return line_diff(old, new, budget)


def _secrets(old: Redacted, new: Redacted) -> Iterator[Difference]:
    """Yield one change for each secret known on both sides that differs; its repetitions elsewhere count once."""
    seen = set()
    for location in sorted(old.secrets.keys() & new.secrets.keys()):
        pair = (old.secrets[location], new.secrets[location])
        if pair[0] != pair[1] and pair not in seen and not location.is_generated:
            seen.add(pair)
            kind = "variable" if location.kind == "env" else "parameter"
            yield Difference(action="changed", kind=kind, place=location.label, before=MARKER, after=MARKER)


def _node_kind(path: tuple[Step, ...]) -> str:
    if path[0] in _META:
        return "meta"
    if path == ("type",):
        return "node"
    if path[0] == "code":
        return "code"
    return "dependency" if path[0] in _DEPENDENCIES else _setting_kind(path, "parameter")


def _setting_kind(path: tuple[Step, ...], otherwise: str) -> str:
    if path[0] in _PROMPT_ROOTS or path[-1] in _PROMPTS:
        return "prompt"
    if "completion_params" in path:
        return "parameter"
    return "model" if "model" in path else otherwise


def _variable_kind(path: tuple[Step, ...]) -> str:
    return "meta" if path[0] in _META else "variable"


_VARIABLES: Mapping[str, str] = {
    "environment_variables": "environment variable",
    "conversation_variables": "conversation variable",
    "rag_pipeline_variables": "pipeline variable",
}
_SETTINGS: Mapping[str, tuple[str, Callable[[tuple[Step, ...]], str]]] = {
    "features": ("features", lambda path: "feature"),
    "model_config": ("model config", lambda path: _setting_kind(path, "config")),
    "agent_soul": ("agent", lambda path: _setting_kind(path, "config")),
}


def _graph_rest(document: JsonObject) -> JsonObject:
    return {key: value for key, value in as_dict(document.get("graph")).items() if key not in ("nodes", "edges")}


def _dependencies(document: JsonObject) -> JsonObject:
    """Return the plugins by their name; the version is the value."""
    found: JsonObject = {}
    for item in as_list(document.get("dependencies")):
        value = as_dict(as_dict(item).get("value"))
        identifier = text_of(value.get("marketplace_plugin_unique_identifier"))
        found[identifier.partition(":")[0] or json.dumps(value, sort_keys=True)] = item
    return found


def _node_place(key: str, settings: JsonObject) -> str:
    kind = text_of(settings.get("type"))
    return f"node {_quoted(text_of(settings.get('title')) or key)}" + (f" ({kind})" if kind else "")


def _edge_place(edge: tuple[str, ...], nodes: JsonObject) -> str:
    source, handle, target, _ = edge
    names = [_quoted(text_of(as_dict(nodes.get(end)).get("title")) or end) for end in (source, target)]
    return f"edge {names[0]} -> {names[1]}" + (f" ({handle})" if handle != "source" else "")


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _printable(text: str) -> str:
    """Return ``text`` with control characters written as escapes; names come from the server."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

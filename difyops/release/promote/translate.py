"""A document of one instance in the words of another. Pure over what both sides have.

Everything that a document names outside itself becomes a row: what it is there and here, by which rule, or why there is
nothing for it. Dataset ids, credential ids, ids of people's own tools, models and plugin identifiers are replaced;
plain variables stay what the target has unless the bindings say otherwise; secrets are marks on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from difyops.dsl.locations import rewritten as with_texts
from difyops.dsl.locations import strings
from difyops.dsl.marks import MARKER
from difyops.dsl.model import as_dict, datasets, env_variables, models, text_of, tool_entries, tools
from difyops.dsl.plugin_names import named, rewritten
from difyops.dsl.portable import map_credentials, map_datasets
from difyops.release.promote.bindings import KEEP, TAKE, Bindings
from difyops.release.promote.parts import CUSTOM, Parts
from difyops.requirements import same_provider

JsonObject = dict[str, Any]
_PAIRS = (
    ("provider", "name"), ("provider", "model"), ("reranking_provider_name", "reranking_model_name"),
    ("embedding_provider_name", "embedding_model_name"), ("model_provider", "model"),
)  # fmt: skip

_ID_PLACES = ("provider_id", "provider_name", "provider")


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingRow:
    """One binding. ``kind``: dataset, model, plugin, tool, credential, variable, secret; ``problem``: unresolved."""

    kind: str
    name: str
    here: str = ""
    there: str = ""
    rule: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """The document for the target, secrets as marks, and the rows."""

    document: JsonObject
    rows: tuple[BindingRow, ...]


def translate(document: JsonObject, live: JsonObject, source: Parts, target: Parts, how: Bindings) -> Translated:
    """Translate ``document``; ``live``: what is live in the target (plain variables in clear)."""
    rows: list[BindingRow] = []
    changed = _datasets(document, source, target, how, rows)
    changed = _credentials(changed, source, target, how, rows)
    changed = _tools(changed, source, target, how, rows)
    changed = _models(changed, target, how, rows)
    changed = _plugins(changed, source, target, rows)
    changed = _variables(changed, live, how, rows)
    return Translated(document=changed, rows=tuple(rows))


def _pick(wanted: str, known: Mapping[str, str]) -> str | None:
    """Return the one id that an id or name means."""
    if wanted in known:
        return wanted
    found = [key for key, name in known.items() if name == wanted]
    return found[0] if len(found) == 1 else None


def _bound(key: str, name: str, bound: Mapping[str, str]) -> str | None:
    return bound.get(key) or bound.get(name)


def _one(
    kind: str, key: str, name: str, bound: Mapping[str, str], known: Mapping[str, str], missing: str
) -> BindingRow:
    """Find what stands for one thing: the bound one, else the one of the same name."""
    wanted = _bound(key, name, bound)
    found = _pick(wanted or name, known) if (wanted or name) else None
    rule = "bound" if wanted else "same name"
    if found is None:
        several = sum(item == (wanted or name) for item in known.values()) > 1
        why = f"several {kind}s are called {wanted or name!r} there" if several else missing
        return BindingRow(kind=kind, name=name or key, here=key, problem=why)
    return BindingRow(kind=kind, name=known[found], here=key, there=found, rule=rule)


def _datasets(document: JsonObject, source: Parts, target: Parts, how: Bindings, rows: list[BindingRow]) -> JsonObject:
    found = [
        _one("dataset", key, source.datasets.get(key, ""), how.datasets, target.datasets, "no dataset of this name")
        for key in sorted(datasets(document))
    ]
    rows += found
    return map_datasets(document, {row.here: row.there for row in found if row.there})[0]


def _credentials(
    document: JsonObject, source: Parts, target: Parts, how: Bindings, rows: list[BindingRow]
) -> JsonObject:
    mapping: dict[str, str] = {}
    for provider, kind, _, credential in sorted(tools(document), key=str):
        if not credential or credential in mapping or kind not in ("builtin", ""):
            continue
        name = source.credentials.get(provider, {}).get(credential, "")
        known = target.credentials.get(provider, {})
        row = _one("credential", credential, name, how.credentials, known, f"no credential of {provider} of this name")
        rows.append(row)
        if row.there:
            mapping[credential] = row.there
    return map_credentials(document, mapping)[0]


def _tools(document: JsonObject, source: Parts, target: Parts, how: Bindings, rows: list[BindingRow]) -> JsonObject:
    mapping: dict[str, str] = {}
    for entry in tool_entries(document):  # in the tools of an agent node the id stands as the provider's name
        key = text_of(entry.get("provider_id")) or text_of(entry.get("provider_name"))
        kind = text_of(entry.get("provider_type") or entry.get("type"))
        if kind not in CUSTOM or key in mapping:
            continue
        name = source.tools.get(key) or text_of(entry.get("provider_name"))
        row = _one("tool", key, name, how.tools, target.tools, "no tool of this name")
        rows.append(row)
        mapping[key] = row.there or key
    if not mapping:
        return document
    texts = {path: mapping[text] for path, text in strings(document) if path[-1] in _ID_PLACES and text in mapping}
    return with_texts(document, texts)


def _models(document: JsonObject, target: Parts, how: Bindings, rows: list[BindingRow]) -> JsonObject:
    mapping: dict[tuple[str, str], tuple[str, str]] = {}
    for provider, model in sorted(models(document)):
        if not provider:
            continue
        wanted = how.models.get(f"{provider}/{model}") or how.models.get(model)
        there = _model_of(wanted, provider) if wanted else (provider, model)
        usable = any(same_provider(known, there[0]) and name == there[1] for known, name in target.stock.models)
        problem = "" if usable else f"the model {there[1]!r} of {there[0]} cannot be used there"
        rule = "bound" if wanted else "same"
        rows.append(BindingRow(
            kind="model", name=f"{provider}/{model}", here=f"{provider}/{model}", there="/".join(there), rule=rule,
            problem=problem,
        ))  # fmt: skip
        if there != (provider, model):
            mapping[(provider, model)] = there
    return _with_models(document, mapping) if mapping else document


def _model_of(text: str, provider: str) -> tuple[str, str]:
    """Read ``provider/model``, or a model of the same provider; providers have slashes themselves."""
    if "/" not in text:
        return provider, text
    found = text.rpartition("/")
    return found[0], found[2]


def _with_models(value: Any, mapping: Mapping[tuple[str, str], tuple[str, str]]) -> Any:
    if isinstance(value, list):
        return [_with_models(item, mapping) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _with_models(item, mapping) for key, item in value.items()}
    for first, second in _PAIRS:
        there = mapping.get((text_of(value.get(first)), text_of(value.get(second))))
        if there is not None:
            changed[first], changed[second] = there
    return changed


def _plugins(document: JsonObject, source: Parts, target: Parts, rows: list[BindingRow]) -> JsonObject:
    """Name the plugins that the document uses, with both versions, and put the target's identifiers in."""
    used = named(document, {*source.plugins, *target.plugins})
    for plugin in sorted(used):
        here, there = source.plugins.get(plugin, ""), target.plugins.get(plugin, "")
        problem = "" if there else "this plugin is not installed there"
        rule = "same version" if here == there else f"{_version(here)} here, {_version(there)} there"
        rows.append(BindingRow(kind="plugin", name=plugin, here=here, there=there, rule=rule, problem=problem))
        if there and used[plugin] - {there}:
            document = rewritten(document, plugin, there)
    return document


def _version(identifier: str) -> str:
    return identifier.partition(":")[2].partition("@")[0] or "none"


def _variables(document: JsonObject, live: JsonObject, how: Bindings, rows: list[BindingRow]) -> JsonObject:
    if not env_variables(document):
        return document
    there = {text_of(item.get("name")): item for item in env_variables(live)}
    changed = [dict(_variable(item, there, how, rows)) for item in env_variables(document)]
    return {**document, "environment_variables": changed}


def _variable(item: JsonObject, there: Mapping[str, JsonObject], how: Bindings, rows: list[BindingRow]) -> JsonObject:
    name = text_of(item.get("name"))
    if item.get("value_type") == "secret":
        return {**item, "value": MARKER}
    rule = how.variables.get(name, "")
    has = name in there and there[name].get("value_type") == item.get("value_type")
    if rule.startswith("="):
        rows.append(BindingRow(kind="variable", name=name, rule="bound"))
        return {**item, "value": _typed(rule[1:], item.get("value"))}
    if rule == KEEP and not has:
        rows.append(
            BindingRow(kind="variable", name=name, problem="it is to be kept, and the target has none of this type")
        )
        return item
    keeps = has and rule != TAKE
    rows.append(BindingRow(kind="variable", name=name, rule="as it is there" if keeps else "taken along"))
    return {**item, "value": there[name].get("value")} if keeps else item


def _typed(text: str, like: Any) -> Any:
    if isinstance(like, bool) or not isinstance(like, int | float):
        return text
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


def unresolved(rows: tuple[BindingRow, ...]) -> Iterator[BindingRow]:
    """Yield what cannot be resolved."""
    return (row for row in rows if row.problem)


def without_secrets(document: Mapping[str, Any]) -> JsonObject:
    """Return a document in which every secret variable is a mark: its value was never asked for."""
    if "environment_variables" not in document:
        return dict(document)
    changed = [
        {**item, "value": MARKER} if item.get("value_type") == "secret" else item
        for item in env_variables(as_dict(dict(document)))
    ]
    return {**document, "environment_variables": changed}

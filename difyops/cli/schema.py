"""``difyops schema``: the JSON Schema of what ``-o json`` prints, by kind, and of the files that difyops reads."""

from __future__ import annotations

import json
from importlib import import_module, resources
from typing import Annotated, Any

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome, Table

noun = group("Print the JSON Schema of what -o json prints.")

# what each file is, and the dataclass that says what may stand in it
FILES = {
    "config": ("difyops.yaml, and the user's config.yaml", "config_file:ConfigFile"),
    "runbook": ("a runbook: runbooks/NAME.yaml", "runbook.model:Runbook"),
    "slo": ("goals: slo.yaml", "slo.goals_file:GoalsFile"),
    "budgets": ("budgets.json, which `cost budget set` writes", "cost.budgets_file:BudgetsFile"),
    "prices": ("prices.json, which `cost prices set` writes", "cost.own_prices:PricesFile"),
    "rates": ("rates of currencies, for --rates of `cost`", "cost.money:Rates"),
    "bindings": ("what stands for what, for `release promote`", "release.promote.bindings:BindingsFile"),
    "map": ("what stands for what, for --map of `snapshot restore`", "snapshot.restore:TranslationFile"),
    "case": ("one line of a file of cases, for `eval`", "evaluation.cases:Case"),
    "smoke": ("test runs by app, for --inputs of `drill run`", "asking:Smoke"),
}
_SECTIONS = {
    "contexts": "config_file:Context",
    "panels": "broadcast.panel:Panel",
    "secrets": "rotation.policy:SecretsSection",
    "seal": "sealing.access:SealSection",
    "webhook": "webhook.rules:WebhookRules",
    "plugins": "plugins_of_dify.holds:Holds",
}
# what commands print that may run on several contexts (--shard)
OF_SEVERAL = frozenset(
    {
        "app.list", "cost.budget", "cost.forecast", "cost.summary", "doctor", "fleet.status", "plugin.list",
        "plugin.outdated", "runbook.run", "secret.list", "slo.check", "slo.report", "slo.status", "snapshot.create",
        "snapshot.diff", "snapshot.drift", "snapshot.list", "snapshot.verify", "trigger.audit", "trigger.history",
        "trigger.list", "validate", "validate.batch",
    }
)  # fmt: skip
_OBJECT = ("properties", "required", "additionalProperties")
_BY_NAME = ("contexts", "panels", "smoke")  # mappings of names


@command(noun, "schema")
def schema(
    session: Session,
    kind: Annotated[str | None, typer.Argument(metavar="[JSON-KIND]", help="As the envelope names it.")] = None,
    files: Annotated[bool, typer.Option("--files", help="The files that difyops reads, for editors.")] = False,
) -> Outcome:
    """Print the JSON Schema of a kind, envelope included; without one, list the kinds.

    Examples:
        difyops schema
        difyops schema app.list
        difyops schema --files config
    """
    known = sorted(FILES) if files else kinds()
    if kind is None:
        rows = [{"kind": name, "data": FILES[name][0] if files else _summary(name)} for name in known]
        table = Table(columns=("kind", "data"), rows=[tuple(row.values()) for row in rows])
        return Outcome(kind="schema.list", data=rows, blocks=[table], names=known)
    if kind not in known:
        raise UsageError(f"There is no kind {kind!r}.", hint=f"One of: {', '.join(known)}.")
    document = file_schema(kind) if files else envelope_of(kind)
    raw = (json.dumps(document, indent=2) + "\n").encode()
    return Outcome(kind="schema", data=document, raw=raw, names=[kind])


def kinds() -> list[str]:
    """Return the names of all kinds: one file in ``difyops/schemas`` is one kind."""
    return sorted(item.name.removesuffix(".json") for item in _folder().iterdir() if item.name.endswith(".json"))


def data_of(kind: str) -> dict[str, Any]:
    """Return the schema of the ``data`` of a kind, as it was learned."""
    found: dict[str, Any] = json.loads((_folder() / f"{kind}.json").read_text(encoding="utf-8"))
    return found


def printed_of(kind: str) -> dict[str, Any]:
    """Return the schema of the ``data`` of a kind, as one context prints it or, row by row, several do."""
    found = data_of(kind)
    if kind not in OF_SEVERAL:
        return found
    if found.get("type") == "array":
        return {**found, "items": _with_context(found.get("items", {}))}
    row = _with_context({"type": "object", **{name: found[name] for name in _OBJECT if name in found}})
    if rows := found.get("items"):
        row = {"anyOf": [_with_context(rows), row]}
    return {**found, "type": ["array", "object"], "items": row}


def _with_context(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "properties": {"context": {"type": "string"}, **row["properties"]}} if "properties" in row else row


def envelope_of(kind: str) -> dict[str, Any]:
    """Return the schema of the whole document: envelope and data. Fields may be added, never taken away."""
    error = {
        "type": ["object", "null"],
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string"},
            "hint": {"type": ["string", "null"]},
            "retryable": {"type": "boolean"},
            "details": {"type": "object"},
        },
        "required": ["code", "message", "hint", "retryable"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "type": "object",
        "properties": {
            "schema": {"const": "difyops/v1"},
            "kind": {"const": kind},
            "ok": {"type": "boolean"},
            "data": printed_of(kind),
            "warnings": {"type": "array", "items": {"type": "string"}},
            "error": error,
        },
        "required": ["schema", "kind", "ok", "data", "warnings", "error"],
        "additionalProperties": False,
    }


def file_schema(name: str) -> dict[str, Any]:
    """Return the schema of a file that difyops reads."""
    found = _of_class(name, FILES[name][1])
    if name == "config":
        found["properties"] |= {section: _of_class(section, place) for section, place in _SECTIONS.items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **found}


def _of_class(name: str, place: str) -> dict[str, Any]:
    from difyops.settings import schema_of

    module, _, kind = place.partition(":")
    found = schema_of(getattr(import_module(f"difyops.{module}"), kind))
    return {"type": "object", "additionalProperties": found} if name in _BY_NAME else found


def _summary(kind: str) -> str:
    """Return what the data is, in a few words."""
    shape = data_of(kind)
    rows = shape.get("items") or shape
    names = list(rows.get("properties") or {})
    what = "rows of " if "items" in shape else ""
    return what + (", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or str(shape.get("type", "anything")))


def _folder() -> Any:
    return resources.files("difyops") / "schemas"

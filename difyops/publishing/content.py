"""A draft or a version exactly as it is, with its environment in clear; and whether two are the same.

The server's hash covers the graph (and up to 1.13 the features), so the rest is compared beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api.console import Console
from difyops.api.model import Workflow
from difyops.dsl.canonical import same_meaning
from difyops.dsl.load import load_dsl
from difyops.dsl.model import as_dict, env_variables
from difyops.secret_text import SecretText

JsonObject = dict[str, Any]
VARIABLE_PARTS = ("environment_variables", "conversation_variables")


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Graph, features and variables of a draft or version. ``document`` is what has to be sent to have the same again.

    ``hash`` is the server's, of the graph at least; ``None`` where the content was not read from a server.
    """

    document: JsonObject = field(repr=False)
    hash: str | None = None

    @classmethod
    def of(cls, workflow: Workflow, values: Mapping[str, Any]) -> Content:
        """Return the content of a draft or version whose environment is ``values`` in clear."""
        return cls(document=_in_clear(workflow, values), hash=workflow.hash)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Content:
        """Return the content that ``as_kept`` wrote."""
        return cls(document=kept["document"], hash=kept.get("hash"))

    def as_kept(self) -> JsonObject:
        """Return the form that a private file holds."""
        return {"document": self.document, "hash": self.hash}

    def value(self, name: str) -> SecretText | None:
        """Return an environment variable's value, ``None`` when there is no such variable."""
        text = self.text(name)
        return SecretText(text) if text is not None else None

    def text(self, name: str) -> str | None:
        """Return an environment variable's value as it is, not yet known as a secret; ``None``: no such variable."""
        found = [item for item in self.document["environment_variables"] if item.get("name") == name]
        return str(found[0].get("value")) if found else None

    def holds(self, name: str, value: SecretText | None) -> bool:
        """Say whether an environment variable has this value."""
        return value is not None and self.text(name) == value.reveal()

    def with_value(self, name: str, value: SecretText) -> Content:
        """Return the same with the value of one environment variable changed."""
        variables = [
            {**item, "value": value.reveal()} if item.get("name") == name else item
            for item in self.document["environment_variables"]
        ]
        return Content(document={**self.document, "environment_variables": variables}, hash=self.hash)

    def is_same(self, other: Content) -> bool:
        """Say whether both are the same to the letter: graph (by hash where both have one), features, variables."""
        if _variables(self.document) != _variables(other.document):
            return False
        if self.document.get("features") != other.document.get("features"):
            return False
        if self.hash and other.hash:
            return self.hash == other.hash
        return bool(self.document.get("graph") == other.document.get("graph"))

    def means(self, other: Content) -> bool:
        """Say whether both run the same: layout and sticky notes apart, values of secret variables included."""
        return same_meaning(self.document, other.document) and _secrets(self.document) == _secrets(other.document)


async def draft_content(console: Console, app_id: str) -> Content | None:
    """Return the draft, ``None`` when there is none."""
    draft = await console.draft(app_id)
    return Content.of(draft, await draft_values(console, app_id, draft)) if draft else None


async def draft_values(console: Console, app_id: str, draft: Workflow) -> dict[str, Any]:
    """Return the draft's environment in clear, by name."""
    if not draft.environment_variables:
        return {}
    if console.capabilities.can("draft_environment_variables"):
        return await console.clear_environment(app_id)
    return exported_values(await console.export(app_id, clear_secrets=True))


async def version_content(console: Console, app_id: str, version: Workflow) -> Content:
    """Return a published version.

    Servers before 1.8.1 export drafts only: there a secret has the value that the draft holds under the same name.

    Raises:
        RequestRejected, ServerFault: the version cannot be exported.
    """
    if not any(item.get("value_type") == "secret" for item in version.environment_variables):
        return Content.of(version, {})
    of = version.id if console.capabilities.can("export_version") else None
    return Content.of(version, exported_values(await console.export(app_id, version_id=of, clear_secrets=True)))


def exported_values(text: str) -> dict[str, Any]:
    """Return the environment of an export by name; in clear, if it was exported so."""
    return environment_of(load_dsl(text))


def environment_of(dsl: JsonObject) -> dict[str, Any]:
    """Return the environment of an export that was read, by name."""
    variables = env_variables(as_dict(dsl.get("workflow")))
    return {str(item.get("name")): item.get("value") for item in variables}


def aligned(document: JsonObject, draft: Workflow | None) -> JsonObject:
    """Give variables the ids that the draft has for the same names: the server tells variables apart by id."""
    if draft is None:
        return document
    ids = {
        (part, item.get("name")): item.get("id")
        for part, items in (
            ("environment_variables", draft.environment_variables),
            ("conversation_variables", draft.conversation_variables),
        )
        for item in items
    }
    changed = dict(document)
    for part in ("environment_variables", "conversation_variables"):
        changed[part] = [
            {**item, "id": ids.get((part, item.get("name"))) or item.get("id")} for item in document.get(part) or ()
        ]
    return changed


def _in_clear(workflow: Workflow, values: Mapping[str, Any]) -> JsonObject:
    """Return the document with the clear value of each secret; plain variables are as the server lists them."""
    variables = [
        {**item, "value": values[str(item.get("name"))]}
        if item.get("value_type") == "secret" and str(item.get("name")) in values
        else dict(item)
        for item in workflow.environment_variables
    ]
    return {**workflow.document, "environment_variables": variables}


def _secrets(document: JsonObject) -> dict[str, Any]:
    return {
        str(item.get("name")): item.get("value")
        for item in document.get("environment_variables") or ()
        if item.get("value_type") == "secret"
    }


def _variables(document: JsonObject) -> list[list[JsonObject]]:
    return [[_plain(item) for item in document.get(part) or ()] for part in VARIABLE_PARTS]


def _plain(item: Mapping[str, Any]) -> JsonObject:
    """Return what decides a variable. An export spells the number type in another way than the editor does."""
    kind = item.get("value_type")
    value = item.get("value")
    return {
        "name": item.get("name"),
        "value_type": "number" if kind in ("integer", "float") else kind,
        "value": int(value) if isinstance(value, float) and value.is_integer() else value,
        "description": item.get("description") or "",
    }

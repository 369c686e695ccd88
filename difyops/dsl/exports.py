"""Portable exports (DSL texts) without the secrets that stand in them, found by the same rules as in a document."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.marks import MARKER, Mark, unknown
from difyops.dsl.model import DslError, JsonObject
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.secrets import MIN_KNOWN, redact
from difyops.secret_text import SecretText

_UNBROKEN = re.compile(r"[\w\-+/=.:@~$^()]+", re.ASCII)  # what YAML never escapes or folds


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedExport:
    """A DSL text without secrets, and the clear ones it held. ``is_whole``: it was no DSL and is one mark now."""

    text: str
    secrets: tuple[SecretText, ...] = field(default=(), repr=False)
    is_whole: bool = False


def redact_export(
    text: str, *, known: Collection[SecretText] = (), mark: Mark = unknown, policy: SealPolicy = DEFAULT
) -> RedactedExport:
    """Return an export with a mark in place of every secret.

    ``known`` are secrets of the same app, found elsewhere. A text without any comes back byte for byte; else it is
    changed only where a secret stood, if reading it again proves that; else it is written anew. Secret variables that
    the platform left blank stay blank. What is no DSL becomes one mark as a whole.
    """
    try:
        dsl = load_dsl(text)
    except DslError:
        return RedactedExport(text=mark(text), secrets=(SecretText(text),), is_whole=True)
    cleaned, found = _cleaned(dsl, known, mark, policy)
    if not found:
        return RedactedExport(text=text)
    cut = text
    for secret in sorted({secret.reveal() for secret in found}, key=len, reverse=True):
        if not _UNBROKEN.fullmatch(secret) or len(secret) < MIN_KNOWN:
            return RedactedExport(text=dump_yaml(cleaned), secrets=found)
        cut = cut.replace(secret, mark(secret))
    return RedactedExport(text=cut if _means(cut, cleaned) else dump_yaml(cleaned), secrets=found)


def in_clear(text: str, policy: SealPolicy = DEFAULT) -> list[str]:
    """Return the labels of the places in a kept export that hold a secret in clear.

    Raises:
        DslError: it is no DSL.
    """
    documents = _documents(load_dsl(text)).values()
    found = [redact(document, is_marked=True, policy=policy).secrets for document in documents]
    return [spot.label for secrets in found for spot in secrets]


def _means(text: str, dsl: JsonObject) -> bool:
    try:
        return load_dsl(text) == dsl
    except DslError:
        return False


def _cleaned(
    dsl: JsonObject, known: Collection[SecretText], mark: Mark, policy: SealPolicy
) -> tuple[JsonObject, tuple[SecretText, ...]]:
    cleaned, found = dict(dsl), dict.fromkeys(known)
    for part, document in _documents(dsl).items():
        redacted = redact(document, known=known, mark=mark, policy=policy)
        found.update(dict.fromkeys(redacted.secrets.values()))
        inner = redacted.document
        cleaned[part] = _blank_again(inner, document) if part == "workflow" else inner[part]
    return cleaned, tuple(secret for secret in found if secret not in set(known) or _stands_in(dsl, secret))


def _stands_in(value: Any, secret: SecretText) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if secret.reveal() in item:
                return True
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _documents(dsl: JsonObject) -> dict[str, JsonObject]:
    """Return the parts of a DSL that are documents of their own, and everything else as texts with names."""
    parts = {}
    for part, value in dsl.items():
        if part == "workflow" and isinstance(value, dict):
            parts[part] = value
        elif isinstance(value, dict | list):
            parts[part] = {part: value}
    return parts


def _blank_again(document: JsonObject, before: JsonObject) -> JsonObject:
    """Return ``document`` with the secret variables that the platform had left blank (or masked) as they were."""
    part = "environment_variables"
    if not isinstance(document.get(part), list):
        return document
    pairs = zip(document[part], before[part], strict=True)
    return {**document, part: [old if new != old and new.get("value") == MARKER else new for new, old in pairs]}

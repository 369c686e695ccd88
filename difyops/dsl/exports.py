"""Portable exports (DSL texts) without the secrets that stand in them, found by the same rules as in a document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.locations import Location
from difyops.dsl.marks import MARKER, Mark, unknown
from difyops.dsl.model import DslError, JsonObject
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.secrets import MIN_KNOWN, Redacted, redact
from difyops.dsl.suspicion import is_clear
from difyops.secret_text import SecretText

_PARTS = {
    "node": "graph",
    "env": "environment_variables",
    "conversation": "conversation_variables",
    "feature": "features",
    "config": "model_config",
    "soul": "agent_soul",
}
_UNBROKEN = re.compile(r"[\w\-+/=.:@~$^()]+", re.ASCII)  # what YAML never escapes or folds


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedExport:
    """A DSL text without secrets, and the clear ones it held. ``is_whole``: it was no DSL and is one mark now."""

    text: str
    secrets: tuple[SecretText, ...] = field(default=(), repr=False)
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRead:
    """An export as text, and what it holds: nothing where it is no DSL, for the reason in ``problem``."""

    text: str = field(repr=False)
    dsl: JsonObject = field(default_factory=dict, repr=False)
    problem: DslError | None = None

    @classmethod
    def of(cls, text: str) -> ExportRead:
        """Read an export, once for all that looks at it."""
        try:
            return cls(text=text, dsl=load_dsl(text))
        except DslError as error:
            return cls(text=text, problem=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """The document that the server gave beside an export, and what it is without secrets."""

    document: JsonObject = field(repr=False)
    redacted: Redacted


def redact_export(
    export: ExportRead | str,
    *,
    known: Collection[SecretText] = (),
    mark: Mark = unknown,
    policy: SealPolicy = DEFAULT,
    twin: Twin | None = None,
) -> RedactedExport:
    """Return an export with a mark in place of every secret.

    ``known`` are secrets of the same app, found elsewhere. A text without any comes back byte for byte; else it is
    changed only where a secret stood, if that is proved to be the same; else it is written anew. Secret variables that
    the platform left blank stay blank. What is no DSL becomes one mark as a whole. What the ``twin`` holds just so is
    not looked through again.
    """
    if isinstance(export, str):
        export = ExportRead.of(export)
    text = export.text
    if export.problem is not None:
        return RedactedExport(text=mark(text), secrets=(SecretText(text),), is_whole=True)
    cleaned = _by_twin(export.dsl, twin, known, mark, policy) if twin is not None else None
    if cleaned is None:
        cleaned = _cleaned(export.dsl, known, mark, policy)
    found = tuple(secret for secret in cleaned.found if secret in cleaned.cuts or _stands_in(export.dsl, secret))
    if not found:
        return RedactedExport(text=text)
    cut, is_proved = text, not _holds_marker(cleaned.dsl)
    for secret in sorted({secret.reveal() for secret in found}, key=len, reverse=True):
        if not _UNBROKEN.fullmatch(secret) or len(secret) < MIN_KNOWN:
            return RedactedExport(text=dump_yaml(cleaned.dsl), secrets=found)
        # It stands in the text as often as it was cut out of what the text means: then it stands nowhere else.
        is_proved = is_proved and cut.count(secret) == cleaned.cuts[SecretText(secret)]
        cut = cut.replace(secret, mark(secret))
    return RedactedExport(text=cut if is_proved or _means(cut, cleaned.dsl) else dump_yaml(cleaned.dsl), secrets=found)


def in_clear(text: str, policy: SealPolicy = DEFAULT) -> list[str]:
    """Return the labels of the places in a kept export that hold a secret in clear.

    Raises:
        DslError: it is no DSL.
    """
    documents = _documents(load_dsl(text)).values()
    found = [redact(document, is_marked=True, policy=policy).secrets for document in documents]
    return [location.label for secrets in found for location in secrets]


def _holds_marker(dsl: JsonObject) -> bool:
    """Say whether a mask of the server became a marker somewhere; where that cannot be told, it may have."""
    try:
        return MARKER.encode() in orjson.dumps(dsl)
    except TypeError:
        return True


def _means(text: str, dsl: JsonObject) -> bool:
    try:
        return load_dsl(text) == dsl
    except DslError:
        return False


@dataclass(slots=True, kw_only=True)
class _Cleaned:
    """What an export holds without secrets, which they were, and how often each was cut."""

    dsl: JsonObject
    found: dict[SecretText, None]
    cuts: Counter[SecretText] = field(default_factory=Counter)

    def put(self, part: str, redacted: Redacted, before: JsonObject) -> None:
        inner = redacted.document
        self.dsl[part] = _blank_again(inner, before) if part == "workflow" else inner[part]
        self.found.update(dict.fromkeys(redacted.secrets.values()))
        self.cuts.update(redacted.secrets.values())


def _cleaned(dsl: JsonObject, known: Collection[SecretText], mark: Mark, policy: SealPolicy) -> _Cleaned:
    done = _Cleaned(dsl=dict(dsl), found=dict.fromkeys(known))
    for part, document in _documents(dsl).items():
        done.put(part, redact(document, known=known, mark=mark, policy=policy), document)
    return done


def _by_twin(
    dsl: JsonObject, twin: Twin, known: Collection[SecretText], mark: Mark, policy: SealPolicy
) -> _Cleaned | None:
    """Return an export without secrets, the parts that its twin holds just so taken from there.

    ``None``: the rest holds a secret that the twin does not; it could stand in those parts as well.
    """
    workflow = dsl.get("workflow")
    if not isinstance(workflow, dict) or "type" in workflow:
        return None
    same = {
        key: twin.redacted.document[key]
        for key, value in workflow.items()
        if isinstance(value, dict | list) and twin.document.get(key) == value
    }
    done = _Cleaned(dsl=dict(dsl), found=dict.fromkeys(known))
    rest = {key: value for key, value in workflow.items() if key not in same}
    others = {part: value for part, value in dsl.items() if part != "workflow" and isinstance(value, dict | list)}
    if others.keys() & rest.keys():
        return None
    redacted = redact(rest | others, known=known, mark=mark, policy=policy)
    done.put("workflow", replace(redacted, document={key: redacted.document[key] for key in rest}), rest)
    done.dsl.update((part, redacted.document[part]) for part in others)
    if len(done.found) > len(set(known)):
        return None
    done.dsl["workflow"] = {**done.dsl["workflow"], **same}
    done.cuts.update(secret for location, secret in twin.redacted.secrets.items() if _part_of(location) in same)
    return done


def _part_of(location: Location) -> str:
    """Return the part of a workflow that a location is in."""
    return _PARTS.get(location.kind, location.place[0])


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
    return {**document, part: [old if _was_blank(new, old) else new for new, old in pairs]}


def _was_blank(new: Any, old: Any) -> bool:
    return new != old and new.get("value") == MARKER and not is_clear(str(old.get("value") or ""))

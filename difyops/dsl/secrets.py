"""Secrets out of a document, and back in.

``redact`` gives a document that may be stored and shown, and the secrets it held, each at its spot; ``reinject`` puts
them back. Where a text holds several (headers, an address), only the secrets are cut out and the rest stays readable.
Where secrets are is in ``secret_places``, what they look like in ``suspicion``, how they are addressed in ``spots``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.model import JsonObject, word_set
from difyops.dsl.secret_places import Span, found_in, is_secret_variable, merged
from difyops.dsl.secret_policy import DEFAULT, Policy
from difyops.dsl.spots import MARKER, Addresses, Path, Spot, rewritten, strings, text_at
from difyops.dsl.suspicion import is_clear
from difyops.secret_text import SecretText

__all__ = ["MARKER", "Redacted", "Spot", "redact", "redact_dsl_text", "reinject", "spots"]

_MIN_KNOWN = 8  # a shorter secret is not searched for elsewhere: it would match ordinary words
_STRUCTURE = word_set("id source target sourceHandle targetHandle type name variable key value_type")
_UNBROKEN = re.compile(r"[\w\-+/=.:@~$^()]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A document without secrets, and the clear ones it held. A spot without a value was masked or blank."""

    document: JsonObject
    secrets: Mapping[Spot, SecretText] = field(repr=False)


def redact(document: JsonObject, *, known: Collection[SecretText] = (), policy: Policy = DEFAULT) -> Redacted:
    """Return the document with every secret replaced by ``MARKER``, and the secrets.

    What is one is for ``secret_places``; ``policy`` adds and excepts. Texts elsewhere (a prompt, say) that repeat
    one of them, or one of ``known``, lose it too. Doing it twice changes nothing, and ``reinject(redacted, secrets)``
    gives the document back when all its secrets were clear.
    """
    cuts: dict[Path, tuple[str, list[Span]]] = {}
    found: set[str] = {secret.reveal() for secret in known}
    for path, hits in found_in(document, policy).items():
        text = text_at(document, path)
        cuts[path] = (text, [(hit.start, hit.end) for hit in hits])
        found.update(text[hit.start : hit.end] for hit in hits)
    for path, text, spans in _repeated(document, found):
        cuts[path] = (text, merged([*cuts.get(path, (text, []))[1], *spans]))
    texts = {path: _cut(text, spans) for path, (text, spans) in cuts.items()}
    addresses = Addresses(document)
    secrets: dict[Spot, SecretText] = {}
    for path, (text, spans) in cuts.items():
        secrets.update(_collected(addresses.spots_in(path, texts[path]), text, spans))
    return Redacted(document=_masked_variables(rewritten(document, texts)), secrets=secrets)


def reinject(document: JsonObject, values: Mapping[Spot, SecretText]) -> tuple[JsonObject, list[Spot]]:
    """Return the document with ``values`` at their spots, and the spots for which there is no value.

    Webhook addresses without a value become empty, as in an export: the server makes them.
    """
    addresses = Addresses(document)
    texts: dict[Path, str] = {}
    missing: list[Spot] = []
    for path, text in _marked(document):
        pieces = text.split(MARKER)
        filled = pieces[0]
        for spot, piece in zip(addresses.spots_in(path, text), pieces[1:], strict=True):
            value = values.get(spot)
            if value is None and not spot.is_generated:
                missing.append(spot)
            filled += (value.reveal() if value is not None else "" if spot.is_generated else MARKER) + piece
        texts[path] = filled
    return rewritten(document, texts), missing


def spots(document: Mapping[str, Any]) -> list[Spot]:
    """Return the spot of every ``MARKER`` in the document, in document order."""
    addresses = Addresses(document)
    return [spot for path, text in _marked(document) for spot in addresses.spots_in(path, text)]


def redact_dsl_text(text: str, known: Collection[SecretText]) -> str:
    """Return a portable export (``include_secret=false``) without the secrets that its app keeps outside variables.

    ``known`` is what ``redact`` found in the document of the same app and version. When the text holds none of it, it
    comes back byte for byte: an export differs from its document only by having fewer secrets. Secrets that YAML never
    escapes or folds are cut out of the text; it is parsed and written anew only for others. Secret variables stay
    blank, as the platform exports them.

    Raises:
        DslError: the text has to be parsed and is not a DSL.
    """
    held = [secret.reveal() for secret in known if _may_hold(text, secret.reveal())]
    if all(_UNBROKEN.fullmatch(value) and len(value) >= _MIN_KNOWN for value in held):
        for value in sorted(held, key=len, reverse=True):
            text = text.replace(value, MARKER)
        return text
    dsl = load_dsl(text)
    for part, inner in (("workflow", dsl.get("workflow")), ("model_config", {"model_config": dsl.get("model_config")})):
        if isinstance(inner, dict) and part in dsl:
            document = redact(inner, known=known).document
            dsl[part] = _masked_variables(document, "") if part == "workflow" else document["model_config"]
    return dump_yaml(dsl)


def _repeated(document: JsonObject, found: Collection[str]) -> Iterator[tuple[Path, str, list[Span]]]:
    """Yield where texts repeat a secret found elsewhere. What holds the graph together (ids, names) is left alone."""
    sought = {value for value in found if len(value) >= _MIN_KNOWN and is_clear(value) and value not in MARKER}
    values = sorted(sought, key=lambda value: (-len(value), value))
    if not values:
        return
    pattern = re.compile("|".join(map(re.escape, values)))
    for path, text in strings(document):
        if path[-1] not in _STRUCTURE:
            spans = [match.span() for match in pattern.finditer(text)]
            if spans:
                yield path, text, spans


def _cut(text: str, spans: list[Span]) -> str:
    pieces, last = [], 0
    for start, end in spans:
        pieces += [text[last:start], MARKER]
        last = end
    return "".join([*pieces, text[last:]])


def _collected(places: list[Spot], text: str, spans: list[Span]) -> Iterator[tuple[Spot, SecretText]]:
    """Yield the clear secrets cut out of ``text``; ``places`` also counts markers that were there before."""
    index = last = 0
    for start, end in spans:
        index += text.count(MARKER, last, start)
        if is_clear(text[start:end]):
            yield places[index], SecretText(text[start:end])
        index, last = index + 1, end


def _marked(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    return ((path, text) for path, text in strings(document) if MARKER in text)


def _masked_variables(document: JsonObject, value: str = MARKER) -> JsonObject:
    """Return the document with ``value`` in every secret variable, whatever was there: blank, a mask, a number."""
    variables = document.get("environment_variables")
    if not isinstance(variables, list) or not any(map(is_secret_variable, variables)):
        return document
    masked = [{**item, "value": value} if is_secret_variable(item) else item for item in variables]
    return {**document, "environment_variables": masked}


def _may_hold(text: str, secret: str) -> bool:
    """Return whether YAML ``text`` may hold ``secret``; only unbroken words are never escaped or folded by YAML."""
    return not _UNBROKEN.fullmatch(secret) or secret in text

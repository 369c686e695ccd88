"""Secrets out of a document, and back in.

``redact`` gives a document that may be stored and shown, and the secrets it held, each at its location; ``reinject``
puts them back. Where a text holds several (headers, an address), only the secrets are cut out, the rest is readable.
Where secrets are is in ``secret_places``, what they look like in ``suspicion``, how they are named in ``locations``,
what stands in their place in ``marks``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from difyops.dsl.locations import Location, Locations, Path, rewritten, strings, text_at
from difyops.dsl.marks import MARK, MARKER, Mark, escaped, is_sealed, marks, overlaps_mark, unescaped, unknown
from difyops.dsl.model import JsonObject, word_set
from difyops.dsl.secret_places import Span, found_in, is_secret_variable, merged
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.suspicion import is_clear
from difyops.secret_text import SecretText

__all__ = ["MARKER", "Location", "Redacted", "locations", "marks_of", "plain", "redact", "reinject"]

MIN_KNOWN = 8  # a shorter secret is not searched for elsewhere: it would match ordinary words
_STRUCTURE = word_set("id source target sourceHandle targetHandle type name variable key value_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A document without secrets, and the clear ones it held, with the mark that each became."""

    document: JsonObject
    secrets: Mapping[Location, SecretText] = field(repr=False)
    marks: Mapping[Location, str] = field(default_factory=dict)


def redact(
    document: JsonObject,
    *,
    known: Collection[SecretText] = (),
    mark: Mark = unknown,
    is_marked: bool = False,
    policy: SealPolicy = DEFAULT,
) -> Redacted:
    """Return the document with a mark in place of every secret, and the secrets.

    What is one is for ``secret_places``; ``policy`` adds and excepts. ``mark`` makes the mark of a clear secret; what
    is masked or blank gets ``MARKER``. Texts elsewhere (a prompt, say) that repeat one of the secrets, or one of
    ``known``, lose it too. What looks like a mark already is escaped, unless the document ``is_marked``: then it stays,
    and doing it twice changes nothing. ``plain`` of what ``reinject`` gives is the document again when all its secrets
    were clear.
    """
    written = _written(document)
    if not is_marked and _may_hold(written, "<difyops:", 0):
        alike = {path: escaped(text) for path, text in strings(document) if "<difyops:" in text}
        document = rewritten(document, alike)
        written = _written(document)
    cuts: dict[Path, tuple[str, list[Span]]] = {}
    found: Counter[str] = Counter(dict.fromkeys((secret.reveal() for secret in known), 0))
    for path, hits in found_in(document, policy).items():
        text = text_at(document, path)
        spans = [(hit.start, hit.end) for hit in hits if not overlaps_mark(text, hit.start, hit.end)]
        if spans:
            cuts[path] = (text, spans)
            found.update(text[start:end] for start, end in spans)
    sought = [value for value, times in found.items() if _is_sought(value) and _may_hold(written, value, times)]
    for path, text, spans in _repeated(strings(document), sought) if sought else ():
        cuts[path] = (text, merged([*cuts.get(path, (text, []))[1], *spans]))
    if not cuts:
        return Redacted(document=_masked_variables(dict(document)), secrets={})
    texts = {path: _cut(text, spans, mark) for path, (text, spans) in cuts.items()}
    addresses = Locations(document)
    secrets: dict[Location, SecretText] = {}
    for path, (text, spans) in cuts.items():
        secrets.update(_collected(addresses.locations_in(path, texts[path]), text, spans))
    return Redacted(
        document=_masked_variables(rewritten(document, texts)),
        secrets=secrets,
        marks={location: mark(secret.reveal()) for location, secret in secrets.items()},
    )


def reinject(document: JsonObject, values: Mapping[Location, SecretText]) -> tuple[JsonObject, list[Location]]:
    """Return the document with ``values`` at their locations, and the locations for which there is no value.

    Webhook addresses without a value become empty, as in an export: the server makes them.
    """
    addresses = Locations(document)
    texts: dict[Path, str] = {}
    missing: list[Location] = []
    for path, text in _marked(document):
        filled, last = "", 0
        for location, found in zip(addresses.locations_in(path, text), marks(text), strict=True):
            value = values.get(location)
            if value is None and not location.is_generated:
                missing.append(location)
            filled += text[last : found.start()]
            filled += value.reveal() if value is not None else "" if location.is_generated else found.group()
            last = found.end()
        texts[path] = filled + text[last:]
    return rewritten(document, texts), missing


def plain(document: JsonObject) -> JsonObject:
    """Return a document that goes to an instance: texts that only looked like marks are as they were."""
    return rewritten(
        document, {path: unescaped(text) for path, text in strings(document) if "<difyops:literal:" in text}
    )


def locations(document: Mapping[str, Any]) -> list[Location]:
    """Return the location of every mark in the document, in document order."""
    return [location for location, _ in marks_of(document)]


def marks_of(document: Mapping[str, Any]) -> list[tuple[Location, str]]:
    """Return every mark of the document with its location, in document order."""
    addresses = Locations(document)
    return [
        (location, found.group())
        for path, text in _marked(document)
        for location, found in zip(addresses.locations_in(path, text), marks(text), strict=True)
    ]


def _written(document: JsonObject) -> bytes | None:
    """Return a document as JSON, ``None`` where it cannot be written: numbers and texts that JSON does not know."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return None


def _may_hold(written: bytes | None, text: str, times: int) -> bool:
    """Say whether a text may stand in a document more often than so many times; what is written tells it at once."""
    try:
        return written is None or written.count(orjson.dumps(text)[1:-1]) > times
    except TypeError:
        return True


def _is_sought(value: str) -> bool:
    """Say whether a secret is looked for in other texts, too."""
    return len(value) >= MIN_KNOWN and is_clear(value) and "difyops:" not in value


def _repeated(every: Iterable[tuple[Path, str]], sought: Collection[str]) -> Iterator[tuple[Path, str, list[Span]]]:
    """Yield where texts hold a secret found elsewhere. What holds the graph together (ids, names) is left alone."""
    values = sorted(sought, key=lambda value: (-len(value), value))
    pattern = re.compile("|".join(map(re.escape, values)))
    for path, text in every:
        if path[-1] not in _STRUCTURE and any(value in text for value in values):
            spans = [match.span() for match in pattern.finditer(text) if not overlaps_mark(text, *match.span())]
            if spans:
                yield path, text, spans


def _cut(text: str, spans: list[Span], mark: Mark) -> str:
    pieces, last = [], 0
    for start, end in spans:
        secret = text[start:end]
        pieces += [text[last:start], mark(secret) if is_clear(secret) else MARKER]
        last = end
    return "".join([*pieces, text[last:]])


def _collected(places: list[Location], text: str, spans: list[Span]) -> Iterator[tuple[Location, SecretText]]:
    """Yield the clear secrets cut out of ``text``; ``places`` also counts marks that were there before."""
    index = last = 0
    for start, end in spans:
        index += sum(1 for _ in MARK.finditer(text, last, start))
        if is_clear(text[start:end]):
            yield places[index], SecretText(text[start:end])
        index, last = index + 1, end


def _marked(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    return ((path, text) for path, text in strings(document) if MARK.search(text))


def _masked_variables(document: JsonObject, value: str = MARKER) -> JsonObject:
    """Return the document with ``value`` in every secret variable without a fingerprint: blank, a mask, a number."""
    variables = document.get("environment_variables")
    if not isinstance(variables, list) or not any(map(is_secret_variable, variables)):
        return document
    masked = [
        {**item, "value": value} if is_secret_variable(item) and not is_sealed(str(item.get("value"))) else item
        for item in variables
    ]
    return {**document, "environment_variables": masked}

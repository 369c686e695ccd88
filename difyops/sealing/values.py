"""The sealed values of one app: which marks there are and where, in clear; the values themselves, in an age file.

    apps/<app id>/sealed.json   {"values": {mark: [place, ...]}, "draft": fingerprint}
    apps/<app id>/sealed.age    {"app": id, "values": {mark: {"value": text, "places": [place, ...]}}}, encrypted

``draft`` is the fingerprint of the draft as the server shows it, its secret variables masked: an unchanged one need not
be read in clear again. A place is ``live:`` or ``draft:`` and the key of a location, ``export:`` and a number, or
``export`` for the whole text; ``app:``, a field of ``app.json`` and a number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.api.shapes import each, obj, rows, text
from difyops.dsl.canonical import canonical
from difyops.dsl.secrets import Location, Redacted, marks_of
from difyops.errors import StoreError
from difyops.sealing.age import Identity, seal, unseal
from difyops.secret_text import SecretText

Places = Mapping[str, str]  # place -> mark

_SUMMARY = obj({"values": each(rows(text)), "draft": text})
_VALUES = obj({"app": text, "values": each(obj({"value": text, "places": rows(text)}))})


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFound:
    """What one reading of an app found: the mark at each place, and the value of each mark where it is known.

    ``draft``: the fingerprint of the draft as it was shown, where it has secret variables.
    """

    places: Places = field(default_factory=dict)
    values: Mapping[str, SecretText] = field(default_factory=dict, repr=False)
    draft: str = ""

    def joined(self, other: SealedFound) -> SealedFound:
        """Return both together."""
        return SealedFound(
            places={**self.places, **other.places},
            values={**self.values, **other.values},
            draft=other.draft or self.draft,
        )

    def only(self, *parts: str) -> SealedFound:
        """Return what stands in some parts: live, draft, export."""
        places = {place: mark for place, mark in self.places.items() if place.partition(":")[0] in parts}
        kept = set(places.values())
        return SealedFound(places=places, values={mark: value for mark, value in self.values.items() if mark in kept})

    def without(self, part: str) -> SealedFound:
        """Return what stands in other parts than ``part``."""
        return self.only(*({place.partition(":")[0] for place in self.places} - {part}))


def found_in(part: str, redacted: Redacted) -> SealedFound:
    """Return the sealed values of a document; ``part`` is live or draft."""
    return SealedFound(
        places={f"{part}:{location.key}": mark for location, mark in redacted.marks.items()},
        values={mark: redacted.secrets[location] for location, mark in redacted.marks.items()},
    )


def summary(found: SealedFound) -> bytes:
    """Return the bytes of ``sealed.json``."""
    by_mark: dict[str, list[str]] = {}
    for place, mark in sorted(found.places.items()):
        by_mark.setdefault(mark, []).append(place)
    return canonical({"values": by_mark, "draft": found.draft})


def summarized(content: bytes) -> SealedFound:
    """Return what a ``sealed.json`` names: places and marks, no values.

    Raises:
        StoreError: it is damaged.
    """
    try:
        body = json.loads(content)
        if (complaint := _SUMMARY(body)) is not None:
            raise ValueError(complaint)
    except (ValueError, RecursionError) as error:
        raise StoreError("A sealed.json in the store is damaged.", hint="difyops snapshot verify") from error
    places = {place: mark for mark, named in body["values"].items() for place in named}
    return SealedFound(places=places, draft=body["draft"])


def encrypted(app_id: str, found: SealedFound, recipients: Sequence[str]) -> bytes:
    """Return the bytes of ``sealed.age``."""
    values = {
        mark: {"value": value.reveal(), "places": sorted(place for place, one in found.places.items() if one == mark)}
        for mark, value in found.values.items()
    }
    return seal(canonical({"app": app_id, "values": values}), recipients)


def opened(app_id: str, content: bytes, identities: Sequence[Identity]) -> SealedFound:
    """Return what a ``sealed.age`` holds.

    Raises:
        CannotOpen: no identity opens it. StoreError: it belongs to another app, or is damaged inside.
    """
    try:
        body: dict[str, Any] = json.loads(unseal(content, identities))
        if (complaint := _VALUES(body)) is not None:
            raise ValueError(complaint)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"The sealed values of app {app_id} are damaged.", hint="difyops snapshot verify") from error
    if body["app"] != app_id:
        raise StoreError(f"The sealed values of app {app_id} are those of another app; they are not used.")
    values = {mark: SecretText(item["value"]) for mark, item in body["values"].items()}
    places = {place: mark for mark, item in body["values"].items() for place in item["places"]}
    return SealedFound(places=places, values=values)


def at_locations(document: Mapping[str, Any], part: str, found: SealedFound) -> dict[Location, SecretText]:
    """Return the value of each mark in a document, where the age file names that very place."""
    marked: Iterable[tuple[Location, str]] = marks_of(document)
    return {
        location: found.values[mark]
        for location, mark in marked
        if found.places.get(f"{part}:{location.key}") == mark and mark in found.values
    }

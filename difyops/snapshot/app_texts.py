"""Secrets in the texts beside an app's content: its description, and what its web page shows.

They are sealed in ``app.json`` like those of the documents. Their places are ``app:`` and the field's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from difyops.dsl.marks import MARK, agree, escaped, unescaped
from difyops.dsl.secret_places import found_in_text
from difyops.sealing.store import Seal
from difyops.sealing.values import SealedFound
from difyops.secret_text import SecretText
from difyops.snapshot.layout import RecordedApp

PART = "app"
_LOST = "…"
_LIKE_A_MARK = re.compile(r"<difyops:[\w:]{1,120}>")  # a mark, or a text that looked like one and was escaped


def sealed_texts(record: RecordedApp, seal: Seal, *, is_marked: bool = False) -> tuple[RecordedApp, SealedFound]:
    """Return a record with marks in place of the secrets of its texts, and these.

    ``is_marked``: the record is of a snapshot, and its marks are marks.
    """
    values: dict[str, SecretText] = {}
    places: dict[str, str] = {}

    def sealed(name: str, text: str) -> str:
        clean, secrets = _sealed(text if is_marked else escaped(text), seal)
        for number, secret in enumerate(secrets):
            mark = seal.mark(secret)
            if seal.key is not None:
                places[f"{PART}:{name}:{number}"], values[mark] = mark, SecretText(secret)
        return clean

    site = {name: sealed(f"site.{name}", text) if isinstance(text, str) else text for name, text in record.site.items()}
    description = sealed("description", record.description)
    return replace(record, description=description, site=site), SealedFound(places=places, values=values)


def clear_text(text: str, now: str, values: Mapping[str, SecretText], seal: Seal) -> str:
    """Return a kept text with its secrets: as it is ``now``, where that is the same text; else with those of
    ``values``. A secret that nobody has any more is left out; a mark never gets into an app.
    """
    if agree(text, _sealed(escaped(now), seal)[0]) and MARK.search(text):
        return now
    return unescaped(MARK.sub(lambda found: values[found[0]].reveal() if found[0] in values else _LOST, text))


def _sealed(text: str, seal: Seal) -> tuple[str, list[str]]:
    pieces, secrets, last = list[str](), list[str](), 0
    for hit in found_in_text(text):
        secret = text[hit.start : hit.end]
        if any(found.start() < hit.end and hit.start < found.end() for found in _LIKE_A_MARK.finditer(text)):
            continue
        pieces += [text[last : hit.start], seal.mark(secret)]
        secrets.append(secret)
        last = hit.end
    return "".join([*pieces, text[last:]]), secrets

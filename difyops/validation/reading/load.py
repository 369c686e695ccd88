"""A strict text to its value, with what the options let pass: repeated keys, and the edits that tell of them."""

from __future__ import annotations

import json
from typing import Any

import orjson

from difyops.validation.reading import strict
from difyops.validation.reading.model import EnforceOptions, RefusedText


def load(text: str, options: EnforceOptions) -> tuple[Any, list[str]]:
    """Return the value, and the names of members that were given twice where the options allow that.

    Raises:
        Refused: a rule forbids the value. ValueError: it is not JSON.
    """
    try:
        return strict.loads(text, options), []
    except RefusedText as error:
        if error.code != "duplicate_keys" or options.duplicates == "refuse":
            raise
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                repeated.append(name)
                if options.duplicates == "first":
                    continue
            found[name] = value
        return found

    try:
        value = json.loads(text, object_pairs_hook=members)
    except RecursionError:
        raise RefusedText("too_deep") from None
    strict.check_depth(text, options.max_depth)
    strict.check_surrogates(text)
    return value, repeated


def key_of(value: object) -> bytes:
    """Return bytes that are equal for equal JSON values; 1, 1.0 and true differ."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, sort_keys=True).encode()

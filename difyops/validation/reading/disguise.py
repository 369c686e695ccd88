"""A whole answer in disguise: escaped once too often, HTML entities, cells of CSV, a quotation of mail."""

from __future__ import annotations

import html
import json
import re

_OPENS = re.compile(r"\s*(?:```\w*\s*)?[{\[]")
_ESCAPED = re.compile(r'[{\[](?:[\s{\[]|\\[nrt])*\\"')
_PLAIN_QUOTE = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*', re.DOTALL)
_ENTITY = re.compile(r"&(?:quot|#34|#x22);")
_CSV = re.compile(r'[{\[,:]\s*""[^",:}\]\s]')
_MARKED = re.compile(r"(?m)^>.*$")
_MARK = re.compile(r"(?m)^> ?")
_MARKED_JSON = re.compile(r"(?m)^>\s*(?:[{\[]|```|~~~)")


def undisguised(text: str) -> tuple[str, str] | None:
    """Return the text that this one stands for as a whole, and the name of its disguise; ``None`` when it has none."""
    if (text.startswith(">") or "\n>" in text) and _MARKED_JSON.search(text):
        bare = _MARKED.sub("", text)
        if "{" not in bare and "[" not in bare:
            return _MARK.sub("", text), "quote marks"
    if not _OPENS.match(text):
        return None
    if '\\"' in text and _ESCAPED.match(text.lstrip()):
        body = text.strip()
        if _PLAIN_QUOTE.fullmatch(body):
            try:
                return str(json.loads(f'"{body}"', strict=False)), "encoded twice"
            except ValueError:
                return None
    if '"' not in text and "&" in text and _ENTITY.search(text):
        return html.unescape(text), "HTML entities"
    if '""' in text and len(_CSV.findall(text[:100_000])) > 1:
        return text.replace('""', '"'), "doubled quotes"
    return None

"""YAML that people wrote, changed in place: comments, order, quotes and indentation stay as they are.

The only home of ruamel.yaml.
"""

from __future__ import annotations

import io
import re
from typing import Any

from difyops.dsl.load import dump_yaml, load_yaml
from difyops.dsl.model import DslError

_COMMENT = re.compile(r"^([^'\"\n]*\s)?#", re.MULTILINE)  # behind a quote a # may be part of a text


def edited(text: str, wanted: dict[str, Any]) -> str:
    """Return ``text`` changed so that it holds ``wanted``; only what differs is written anew.

    A text in which that cannot be done (anchors that would change elsewhere, say) is written anew as a whole.

    Raises:
        DslError: it would have to be written anew, and has comments that would be lost.
    """
    try:
        changed = _edited(text, wanted)
        if load_yaml(changed) == wanted:
            return changed
    except (DslError, ValueError, TypeError):
        pass
    if _COMMENT.search(text):
        raise DslError("it cannot be changed in place, and written anew it would lose its comments")
    return dump_yaml(wanted)


def _edited(text: str, wanted: dict[str, Any]) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.util import load_yaml_guess_indent

    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 4096
    try:
        _, step, dash = load_yaml_guess_indent(text)
        if step:
            writer.indent(mapping=2 if dash else step, sequence=step, offset=dash or 0)
        document = writer.load(text)
        if not isinstance(document, dict):
            return dump_yaml(wanted)
        _bring(document, wanted)
        out = io.StringIO()
        writer.dump(document, out)
    except YAMLError as error:
        raise ValueError(str(error)) from error
    return out.getvalue()


def _bring(node: Any, wanted: dict[str, Any]) -> None:
    """Make ``node`` hold ``wanted``, and leave alone what does already."""
    for key in [key for key in node if key not in wanted]:
        del node[key]
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(node.get(key), dict):
            _bring(node[key], value)
        elif key not in node or node[key] != value or type(node[key]) is bool is not type(value):
            node[key] = _scalar(value)


def _scalar(value: Any) -> Any:
    """Return the value to write; text that YAML 1.1 would read as something else (``on``, ``1:20``) in quotes."""
    from ruamel.yaml.scalarstring import SingleQuotedScalarString

    if isinstance(value, dict):
        return {key: _scalar(item) for key, item in value.items()}
    if isinstance(value, str) and "'" in dump_yaml({"x": value}):
        return SingleQuotedScalarString(value)
    return value

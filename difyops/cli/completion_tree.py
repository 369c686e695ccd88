"""All commands as the quick completion reads them, written into the wheel or, elsewhere, in the background of a Tab."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from difyops.cli.completion import read, state_folder
from difyops.cli.quick_completion import FILE, stamp

Commands = tuple[Any, Mapping[str, tuple[Any, str]]]  # the parser of all, and each noun's with its help


def write_in_background(commands: Callable[[], Commands]) -> None:
    """Write the file where it is missing or old, while the shell goes on; a read-only home is fine."""
    if read(f"{state_folder()}/{FILE}").get("of") == stamp() or os.fork():
        return
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # whoever reads what Tab offers waits until nobody can write to it
            os.dup2(nowhere, descriptor)
        write(Path(state_folder()), stamp(), commands())
    finally:
        os._exit(0)


def write(folder: Path, made_of: str, commands: Commands) -> None:
    """Write the file. ``made_of`` says for which commands it holds."""
    from difyops import atomic_file

    atomic_file.make_private_folder(folder)
    atomic_file.write(folder / FILE, json.dumps(tree(made_of, commands)).encode(), mode=atomic_file.PRIVATE)


def tree(made_of: str, commands: Commands) -> dict[str, Any]:
    """Return every command with its options, arguments, texts, and how each value is completed."""
    root, nouns = commands
    below = {name: _node(parser, text) for name, (parser, text) in nouns.items()}
    return {"of": made_of, "root": {**_node(root, "", below=False), "commands": below}}


def _node(parser: Any, text: str, *, below: bool = True) -> dict[str, Any]:
    context = parser.make_context("difyops", [], resilient_parsing=True)
    node: dict[str, Any] = {"help": text, "options": [], "arguments": []}
    for parameter in parser.get_params(context):
        if parameter.param_type_name == "argument":
            node["arguments"].append({"several": parameter.nargs == -1, **_words(parameter, context)})
            continue
        node["options"].append(
            {
                "names": [*parameter.opts, *parameter.secondary_opts],
                "takes": not parameter.is_flag and not parameter.count,
                "several": parameter.multiple,
                "hidden": parameter.hidden,
                "help": parameter.help or "",
                **_words(parameter, context),
            }
        )
    if below and (commands := getattr(parser, "commands", None)) is not None:
        node["commands"] = {name: _node(item, item.get_short_help_str()) for name, item in commands.items()}
    return node


def _words(parameter: Any, context: Any) -> dict[str, Any]:
    """Return how a value is completed: by the word that stands for it in the help, or from values that never change."""
    word = "".join(character for character in parameter.metavar or "" if character not in "[].")
    if parameter._custom_shell_complete is not None and word != "FORMAT":
        return {"word": parameter.metavar, "values": None}
    return {"word": "", "values": [item.value for item in parameter.shell_complete(context, "")]}

"""What Tab offers, read from a file of all commands: no parser is loaded, and nothing that takes its time.

A wheel has that file, an editable installation has it beside. Once a command was edited, the first Tab is answered by
the parser, which has the file written in the background (``completion_tree``). Where this here cannot tell, the parser
answers, in the same words. Names of apps and the like come from ``completion``, for both.
"""

from __future__ import annotations

import os
import sys

from difyops import __version__
from difyops.cli.completion import completer_for, read, state_folder

TYPE_CHECKING = False  # as in ``completion``
if TYPE_CHECKING:
    from typing import Any

    Offered = list[tuple[str, str]]

FILE = "completion-tree.json"
ZSH = """#compdef difyops
_difyops() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _DIFYOPS_COMPLETE=complete_zsh ${words[1]})
}
if [ "$funcstack[1]" = "_difyops" ]; then
  _difyops "$@"
else
  compdef _difyops difyops
fi
"""


def stamp() -> str:
    """Return what changes when a command may have changed: the version, and the newest of the doors."""
    folder = os.path.dirname(__file__)  # noqa: PTH120 - pathlib takes longer to load than all of this
    with os.scandir(folder) as entries:
        newest = max(entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(".py"))
    return f"{__version__} {newest}"


def answer(environment: dict[str, str]) -> str | None:
    """Return what the shell is to be told, ``None`` where only the parser knows."""
    instruction = environment.get("_DIFYOPS_COMPLETE", "")
    if instruction == "source_zsh":
        return ZSH
    if instruction not in ("complete_bash", "complete_zsh"):
        return None
    tree = _tree()
    if tree is None:
        return None
    if instruction == "complete_bash":
        words = _split(environment.get("COMP_WORDS", ""))
        place = int(environment.get("COMP_CWORD") or 0)
        given, incomplete = words[1:place], words[place] if place < len(words) else ""
    else:
        line = environment.get("_TYPER_COMPLETE_ARGS", "")
        given, incomplete = _split(line)[1:], ""
        if given and not line.endswith(" "):
            given, incomplete = given[:-1], given[-1]
    offered = _offered(tree, given, incomplete)
    if offered is None:
        return None
    return _for_zsh(offered) if instruction == "complete_zsh" else "\n".join(value for value, _ in offered)


def _tree() -> Any:
    shipped = read(f"{os.path.dirname(__file__)}/{FILE}")  # noqa: PTH120
    if shipped.get("of") == __version__:
        return shipped["root"]
    for folder in (f"{sys.prefix}/share/difyops", state_folder()):
        written = read(f"{folder}/{FILE}")
        if written.get("of") == stamp():
            return written["root"]
    return None


def _split(line: str) -> list[str]:
    if "'" not in line and '"' not in line and "\\" not in line:
        return line.split()
    import shlex

    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    found: list[str] = []
    try:
        found.extend(lexer)
    except ValueError:  # an open quote: what stands in it so far
        found.append(lexer.token)
    return found


def _offered(node: Any, given: list[str], incomplete: str) -> Offered | None:
    """Walk the words that were given; return what fits there. ``None``: the tree does not reach so far."""
    if "=" in incomplete or "--" in given:
        return None
    while "commands" in node and given:
        if given[0].startswith("-") or given[0] not in node["commands"]:
            return None
        node, given = node["commands"][given[0]], given[1:]
    options: list[dict[str, Any]] = node["options"]
    by_name = {name: option for option in options for name in option["names"]}
    seen: list[dict[str, Any]] = []
    waiting: dict[str, Any] | None = None
    arguments = 0
    for word in given:
        if waiting is not None:
            waiting = None
        elif word.startswith("-") and len(word) > 1:
            option = by_name.get(word.partition("=")[0])
            if option is None:
                return None
            seen.append(option)
            waiting = option if option["takes"] and "=" not in word else None
        else:
            arguments += 1
    if waiting is not None and not incomplete.startswith("-"):
        return _values(waiting, incomplete)
    if incomplete.startswith("-"):
        fitting = [item for item in options if not item["hidden"] and (item["several"] or item not in seen)]
        return [(name, item["help"]) for item in fitting for name in item["names"] if name.startswith(incomplete)]
    if "commands" in node:
        return [(name, below["help"]) for name, below in node["commands"].items() if name.startswith(incomplete)]
    here = next((item for place, item in enumerate(node["arguments"]) if item["several"] or place >= arguments), None)
    return [] if here is None else _values(here, incomplete)


def _values(parameter: dict[str, Any], incomplete: str) -> Offered:
    if parameter["values"] is not None:
        found = [name for name in parameter["values"] if name.startswith(incomplete)]
    else:
        complete = completer_for(parameter["word"])
        found = [] if complete is None else complete(incomplete)
    return [(name, "") for name in found]


def _for_zsh(offered: Offered) -> str:
    if not offered:
        return "_files"
    rows = [f'"{_quoted(name)}":"{_quoted(text)}"' if text else f'"{_quoted(name)}"' for name, text in offered]
    return "_arguments '*: :((" + "\n".join(rows) + "))'"


def _quoted(text: str) -> str:
    for character, written in (('"', '""'), ("'", "''"), ("$", "\\$"), ("`", "\\`"), (":", "\\\\:")):
        text = text.replace(character, written)
    return text

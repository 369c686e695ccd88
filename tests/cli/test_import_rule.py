"""The import rule of the house, over the syntax tree: imports only go down, each package has one home."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path

HOUSE = Path(__file__).parents[2] / "difyops"
GROUND = {"errors", "counting", "clock", "secret_text", "atomic_file", "file_owner", "outcome", "dry_run", "ending"}
TRUNK = {
    "plugins",
    "settings",
    "setting_problems",
    "setting_values",
    "settings_file",
    "reports",
    "api",
    "dsl",
    "git_store",
    "ledger",
    "fanout",
    "targets",
    "config",
    "config_environment",
    "config_file",
    "config_writing",
    "credentials",
    "statistics",
    "trust",
    "history",
    "changes",
    "publishing",
    "switching",
    "workspace",
    "requirements",
    "asking",
    "sealing",
    "twin_secrets",
    "signing_keys",
    "replay",
    "waiting",
    "scratch",
    "postgres",
    "state_address",
    "shared_state",
    "state_move",
    "state_look",
}
ROOMS = {"snapshot", "broadcast", "rotation", "validation", "runbook", "perf", "cost", "slo", "drill", "webhook"} | {
    "trigger",
    "plugins_of_dify",
    "release",
    "evaluation",
    "incident",
}
# Rooms that join other rooms.
CONDUCTORS = {"runbook", "slo", "drill", "fleet", "release", "evaluation", "incident", "plugins_of_dify"}
MAY = (
    dict.fromkeys(GROUND | {"emulator"}, GROUND)
    | dict.fromkeys(TRUNK | ROOMS - CONDUCTORS, GROUND | TRUNK)
    | dict.fromkeys(CONDUCTORS | {"render"}, GROUND | TRUNK | ROOMS)
    | {"cli": GROUND | TRUNK | ROOMS | {"render", "emulator"}, "__main__": {"cli"}, "__init__": set()}
)
HOMES = {
    "typer": {"cli"}, "rich": {"render"}, "httpx": {"api"},
    "aiohttp": {"api"}, "aiohttp_socks": {"api"}, "yaml": {"dsl", "emulator"}, "ruamel": {"dsl"}, "git": {"git_store"},
    "sqlite3": {"ledger", "history", "webhook"},
    "keyring": {"credentials"}, "jsonschema": {"validation"}, "jsonschema_rs": {"validation"},
    "json_repair": {"validation"}, "referencing": {"validation"}, "starlette": {"emulator", "webhook"},
    "uvicorn": {"emulator", "webhook"},
    "platformdirs": {"config"}, "orjson": {"dsl", "validation", "webhook"}, "msgspec": {"validation"},
    "redis": {"runbook"}, "kombu": {"runbook"},
    "psycopg": {"postgres"}, "duckdb": {"history"}, "cronsim": {"publishing"}, "pyrage": {"sealing"},
    "cryptography": {"signing_keys"}, "ahocorasick_rs": {"dsl"},
}  # fmt: skip
IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<module>[\w.]+)[ \t]+)?import[ \t]+(?P<names>\([^)]*\)|[^\n]*)", re.MULTILINE
)
SPEAKS_HTTP = {"api", "emulator", "webhook"}  # who knows endpoints: the platform's, the emulator's, its own
PATH = re.compile(r"/(console/api|v1|openapi|apps|datasets|workspaces|account|installed-apps|agent)(/|$|\{)")
OURS_OR_STANDARD = {"difyops", *sys.stdlib_module_names}


@lru_cache(maxsize=1)
def imports() -> list[tuple[str, str, str]]:
    """Return what ``found`` yields, read once."""
    return list(found())


def found() -> Iterator[tuple[str, str, str]]:
    """Yield (unit, imported module, place) of every import in the package, those inside functions included."""
    for path in sorted(HOUSE.rglob("*.py")):
        unit = path.relative_to(HOUSE).parts[0].removesuffix(".py")
        text = path.read_text(encoding="utf-8")
        for match in IMPORT.finditer(text):
            place = f"{path.relative_to(HOUSE.parent)}:{text.count(chr(10), 0, match.end())}"
            assert not (match["module"] or "").startswith("."), f"{place}: relative import"
            words = names_in(match)
            for name in [f"{match['module']}.{word}" for word in words] if match["module"] else words:
                yield unit, name, f"{place}: {name}"


def names_in(match: re.Match[str]) -> list[str]:
    """Return the names that an import names, without what they are called here."""
    return [word.split()[0] for word in re.sub(r"#[^\n]*|[()]", "", match["names"]).split(",") if word.strip()]


def test_every_unit_has_its_place_in_the_plan() -> None:
    assert {unit for unit, _, _ in imports()} <= set(MAY)


def test_imports_only_go_down() -> None:
    assert [
        place
        for unit, name, place in imports()
        if name.startswith("difyops.") and name.split(".")[1] not in {*MAY[unit], unit, "__version__"}
    ] == []


def test_no_circle_stands_between_files() -> None:
    """Of all imports but those for types alone: one inside a function would only hide the circle."""
    modules = {_module(path): path for path in HOUSE.rglob("*.py")}
    known: dict[str, set[str]] = {}
    for name, path in modules.items():
        pairs = _followed(ast.parse(path.read_text(encoding="utf-8")))
        found = {f"{module}.{word}" if f"{module}.{word}" in modules else module for module, word in pairs}
        known[name] = (found & modules.keys()) - {name}
    assert list(TopologicalSorter(known).static_order())


def _module(path: Path) -> str:
    return ".".join(path.relative_to(HOUSE.parent).with_suffix("").parts).removesuffix(".__init__")


def _followed(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of each import of ours that is followed when the program runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("difyops"):
            yield from ((node.module, alias.name) for alias in node.names)
        yield from _followed(node)


def test_each_third_party_package_has_one_home() -> None:
    packages = [(unit, name.split(".")[0], place) for unit, name, place in imports()]
    assert [
        place
        for unit, package, place in packages
        if (package in HOMES and unit not in HOMES[package]) or not {package} <= OURS_OR_STANDARD | set(HOMES)
    ] == []


def test_no_room_calls_an_endpoint_path() -> None:
    """What a call's path is stands in ``api/`` alone; rooms ask for things by name."""
    found = []
    for path in sorted(HOUSE.rglob("*.py")):
        if path.relative_to(HOUSE).parts[0].removesuffix(".py") in SPEAKS_HTTP:
            continue
        text = path.read_text(encoding="utf-8")
        if not PATH.search(text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                words = [leaf for given in node.args for leaf in ast.walk(given) if isinstance(leaf, ast.Constant)]
                texts = [leaf.value for leaf in words if isinstance(leaf.value, str)]
                name = getattr(node.func, "attr", "")
                if name in ("get", "send", "request", "mapping") and any(PATH.match(word) for word in texts):
                    found.append(f"{path.relative_to(HOUSE)}:{node.lineno}")
    assert found == []

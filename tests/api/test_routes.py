"""Every path that we call exists in the releases that have it by our table; routes are read from the releases' code.

``routes/VERSION.txt`` lists the console and service paths of a release, one a line, parameters as ``{}``;
``after-1.16.1`` is a build of August 2026 on the way to 1.17 (its version text says 1.16.1).
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from difyops.api import capabilities
from difyops.api.capabilities import Capabilities

END = "."
API = Path(capabilities.__file__).parent
ROUTES = Path(__file__).parent / "routes"
VERSIONS = sorted(path.stem for path in ROUTES.glob("*.txt"))

# What stands in our code for a part of a path that is no parameter. Several: one of them must exist.
SPELLED = {
    "{_PLUGIN}/{path}": ("/workspaces/current/plugin/fetch-manifest", "/workspaces/current/plugin/marketplace/pkg"),
    "{_PLUGIN}": ("/workspaces/current/plugin",),
    "{_BASE}": ("/workspaces/current",),
    "{plugin.source}": ("marketplace", "github"),
    "{_CURRENT}": ("/workspaces/current",),
    "{BASE}": ("/console/api",),
    "{self._path(app)}": ("/agent/{}",),
    "{self.path}": ("/apps/{}/api-keys", "/datasets/api-keys"),
    "{self._path}": (
        "/workspaces/current/model-providers/{}",
        "/workspaces/current/model-providers/{}/models",
        "/workspaces/current/model-providers/{}/models/credentials",
        "/workspaces/current/tool-provider/builtin/{}",
    ),
    "{chatflow}": ("", "advanced-chat/"),
    "{'advanced-chat/' if chatflow else ''}": ("", "advanced-chat/"),
    "{name}": ("completion-conversations", "chat-conversations"),
}
# Beginnings of paths that are only ever continued; the continued path is looked for.
BASES = {
    "/console/api",
    "/workspaces/current/model-providers/{}",
    "/workspaces/current/tool-provider/builtin/{}",
    "/workspaces/current/plugin",
}
# What a release may lack: by which capability we do not ask it, or which path we ask in its place.
LATER = {
    "/openapi/v1/_catalog": "openapi_catalog",
    "/console/api/apps/{}/triggers": "triggers",
    "/console/api/apps/{}/trigger-enable": "triggers",
    "/console/api/apps/{}/workflows/{}/restore": "restore_version",
    "/console/api/apps/{}/workflows/draft/environment-variables": "draft_environment_variables",
    "/console/api/workspaces/current/tool-provider/builtin/{}/credentials": "tool_credentials",
    "/console/api/workspaces/current/model-providers/{}/credentials/switch": "model_credentials",
    "/console/api/workspaces/current/tool-provider/builtin/{}/add": "tool_credentials",
    "/console/api/workspaces/current/tool-provider/builtin/{}/default-credential": "tool_credentials",
    "/console/api/workspaces/current/tool-provider/builtin/{}/credential/schema/api-key": "tool_credentials",
}
LATER |= {
    "/v1/workflow/{}/events": "run_events",
    "/console/api/apps/{}/workflows/triggers/webhook": "triggers",
    "/console/api/workflow/{}/pause-details": "human_input",
    "/console/api/form/human_input/{}": "human_input",
}
# Not in the routes that were read from the code, and answered by real servers of 1.13.0 and 1.16.1 (tests/live).
ANSWERED = {"/console/api/workflow/{}/pause-details", "/console/api/form/human_input/{}"}
IN_PLACE_OF = {
    "/console/api/workspaces/current": "/console/api/workspaces/current/summary",
    "/console/api/workspaces/current/summary": "/console/api/workspaces/current",
    "/console/api/tag-bindings": "/console/api/tag-bindings/create",
    "/console/api/tag-bindings/create": "/console/api/tag-bindings",
}


@cache
def called() -> list[tuple[str, tuple[str, ...]]]:
    """Return ``(file, paths)`` of each path in the code of ``difyops/api``; one of the paths is the one meant."""
    found = []
    for file in sorted(API.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(map(_piece, node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                text = node.value
            else:
                continue
            paths = _paths(text)
            if paths and not set(paths) <= {f"/console/api{base}" for base in BASES} | BASES:
                found.append((file.name, paths))
    return found


def _piece(value: ast.expr) -> str:
    if isinstance(value, ast.FormattedValue):
        return f"{{{ast.unparse(value.value)}}}"
    return str(value.value) if isinstance(value, ast.Constant) else ""


def _paths(text: str) -> tuple[str, ...]:
    spellings = [text]
    for name, values in SPELLED.items():
        spellings = [item.replace(name, value) for item in spellings for value in values]
    plain = [re.sub(r"\{[^{}]*\}", "{}", item) for item in spellings]
    if not all(re.fullmatch(r"/[a-z]{2}[\w{}/.-]*|/v1/[\w{}/.-]+", item) for item in plain):
        return ()
    return tuple(
        item if item.startswith(("/v1", "/console/api", "/openapi")) else f"/console/api{item}" for item in plain
    )


def _tree(routes: set[str]) -> dict[str, Any]:
    """Return the routes as a tree of their steps; where one ends, there is a step that no path has."""
    tree: dict[str, Any] = {}
    for route in routes:
        node = tree
        for step in route.split("/"):
            node = node.setdefault(step, {})
        node[END] = {}
    return tree


def _is_in(steps: list[str], tree: dict[str, Any]) -> bool:
    """Say whether a release has a path; a parameter of its route takes any word of ours."""
    if not steps:
        return END in tree
    return any(step in tree and _is_in(steps[1:], tree[step]) for step in {steps[0], "{}"})


@pytest.mark.parametrize("version", VERSIONS)
def test_each_path_that_we_call_is_there_or_known_to_be_missing(version: str) -> None:
    has = set((ROUTES / f"{version}.txt").read_text(encoding="utf-8").split())
    routes = _tree(has)
    able = Capabilities("1.16.1" if version.startswith("after") else version)
    lost = []
    for file, paths in called():
        known = [IN_PLACE_OF.get(path) in has or (path in LATER and not able.can(LATER[path])) for path in paths]
        is_agent = all(path.startswith("/console/api/agent") for path in paths) and not able.can("agent_apps")
        known += [path in ANSWERED and able.can(LATER[path]) for path in paths]
        if not any(_is_in(path.split("/"), routes) for path in paths) and not any(known) and not is_agent:
            lost.append((file, paths))
    assert lost == []


def test_the_paths_are_really_found() -> None:
    paths = {path for _, several in called() for path in several}
    assert len(paths) > 60
    assert {"/console/api/apps/{}/export", "/v1/chat-messages", "/console/api/agent/{}/composer"} <= paths

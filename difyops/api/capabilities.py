"""What a server version can do: one table, keyed by the parsed ``X-Version``, corrected by what calls show.

A build can lie about its version (main builds, forks), so a capability learned from an answer (a route that is there,
or an HTML 404) wins over the table. Source: the code of releases from 1.0 to 1.16.1 (tests/api/routes), release notes
to 1.19. docs/versions.md tells people what that means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from difyops.errors import NotSupported

Version = tuple[int, int, int]
NEWEST = (1, 19)  # the newest release line that this version of difyops knows anything of

_SINCE: dict[str, Version] = {
    "publish_name": (1, 0, 1),
    "draft_environment_variables": (1, 5, 0),
    "tool_credentials": (1, 7, 0),
    "run_version": (1, 7, 2),
    "model_credentials": (1, 8, 0),
    "export_version": (1, 8, 1),
    "runs_by_trigger": (1, 9, 2),
    "triggers": (1, 10, 0),
    "human_input": (1, 13, 0),
    "restore_version": (1, 13, 3),
    "run_events": (1, 14, 0),
    "agent_apps": (1, 14, 2),
    "openapi_catalog": (1, 18, 0),
}
_NODE_TYPES: tuple[tuple[Version, frozenset[str]], ...] = (
    (
        (1, 0, 0),
        frozenset(
            (
                "start",
                "end",
                "answer",
                "llm",
                "knowledge-retrieval",
                "if-else",
                "code",
                "template-transform",
                "question-classifier",
                "http-request",
                "tool",
                "variable-aggregator",
                "variable-assigner",
                "assigner",
                "iteration",
                "iteration-start",
                "parameter-extractor",
                "document-extractor",
                "list-operator",
                "agent",
            )
        ),
    ),
    ((1, 0, 1), frozenset({"loop", "loop-start", "loop-end"})),
    ((1, 9, 0), frozenset({"datasource", "datasource-empty", "knowledge-index"})),
    ((1, 10, 0), frozenset({"trigger-webhook", "trigger-schedule", "trigger-plugin"})),
    ((1, 13, 0), frozenset({"human-input"})),
)
_DSL_VERSIONS: tuple[tuple[Version, str], ...] = (
    ((1, 16, 0), "0.7.0"),
    ((1, 13, 0), "0.6.0"),
    ((1, 10, 0), "0.5.0"),
    ((1, 8, 0), "0.4.0"),
    ((1, 7, 0), "0.3.1"),
    ((1, 4, 0), "0.3.0"),
    ((1, 3, 0), "0.2.0"),
    ((0, 0, 0), "0.1.5"),
)


@dataclass(slots=True)
class Capabilities:
    """What the server at hand can do. Mutable on purpose: ``learn`` corrects it while calls are made."""

    text: str = ""
    learned: dict[str, bool] = field(default_factory=dict)

    @property
    def version(self) -> Version | None:
        """Return the parsed version, ``None`` when the server does not say."""
        return parse(self.text)

    @property
    def is_newer_than_known(self) -> bool:
        """Say whether the server is of a release line that this version has never seen."""
        return self.version is not None and self.version[:2] > NEWEST

    def can(self, name: str) -> bool:
        """Say whether the server has ``name``. An unknown version is taken for a new one: calls will tell."""
        if name in self.learned:
            return self.learned[name]
        return self.version is None or self.version >= _SINCE[name]

    def learn(self, name: str, present: bool) -> None:
        """Record what a call showed."""
        self.learned[name] = present

    def require(self, name: str, doing: str) -> None:
        """Refuse what this server cannot do.

        Raises:
            NotSupported: with the version it came with.
        """
        if not self.can(name):
            since = ".".join(map(str, _SINCE[name]))
            raise NotSupported(f"{doing} needs server version {since} or newer; this one is {self.text or 'unknown'}.")

    def unknown_node_types(self, types: set[str]) -> set[str]:
        """Return the node types that this version does not know. Unknown versions know all."""
        version = self.version
        if version is None:
            return set()
        known: set[str] = set().union(*(names for since, names in _NODE_TYPES if version >= since))
        ever: set[str] = set().union(*(names for _, names in _NODE_TYPES))
        newest_known = version >= _NODE_TYPES[-1][0]
        return {kind for kind in types if kind not in known and (kind in ever or not newest_known)}

    @property
    def dsl_version(self) -> str:
        """Return the DSL version that this server writes."""
        version = self.version or (99, 0, 0)
        return next(dsl for since, dsl in _DSL_VERSIONS if version >= since)


def parse(text: str) -> Version | None:
    """Return ``(1, 13, 0)`` for ``1.13.0``, ``1.10.1-fix1`` or ``1.10.0-rc1``; ``None`` for anything else."""
    match = re.match(r"v?([0-9]{1,6})\.([0-9]{1,6})(?:\.([0-9]{1,6}))?", text.strip())
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None

"""Do the answers about one app agree? Less is believed only when a second answer of the same run says it too.

The app list, an app's detail, its version, its portable DSL and its triggers each tell part of the same thing. Where
one of them has lost what another still names, the app counts as unreadable: its last content is kept, and it is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from difyops.api import faults
from difyops.api.console import Console
from difyops.api.model import AGENT_MODE, CHAT_MODES, WORKFLOW_MODES, App
from difyops.dsl.exports import ExportRead
from difyops.dsl.model import as_dict, as_list, text_of
from difyops.errors import NotFound, NotSupported, UnreadableAnswer

READABLE_MODES = WORKFLOW_MODES | CHAT_MODES | {AGENT_MODE}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VARIABLES = ("environment_variables", "conversation_variables")
_ICON = ("icon", "icon_type", "icon_background", "use_icon_as_answer_icon", "max_active_requests")


def check_id(app_id: str) -> None:
    """Refuse an app whose id cannot name a folder of the store.

    Raises:
        UnreadableAnswer: that is so.
    """
    if not _NAME.fullmatch(app_id) or ".." in app_id or app_id.endswith((".", ".lock")):
        raise UnreadableAnswer(f"The id {app_id[:60]!r} cannot be the name of a folder.")


def check_mode(app: App) -> None:
    """Refuse an app of a mode that this version cannot read whole: what it has of it would pass for all of it.

    Raises:
        NotSupported: that is so.
    """
    if app.mode not in READABLE_MODES:
        raise NotSupported(
            f"Apps of mode {app.mode!r} are not known to this version of difyops; what they hold is not read.",
            hint="Upgrade difyops.",
        )


async def is_gone(console: Console, app_id: str) -> bool:
    """Say whether an app that a list leaves out is really gone: its detail says so as well.

    Raises:
        DifyopsError: that cannot be told.
    """
    try:
        check_id(app_id)
        await console.app(app_id)
    except NotFound as error:
        if error.server_code == faults.NO_ROUTE:
            raise UnreadableAnswer(
                "Whether the app is gone cannot be told: what answered is not the instance."
            ) from error
        return True
    return False


def left_out() -> UnreadableAnswer:
    """Return the error for an app that the list leaves out while its detail is there."""
    return UnreadableAnswer("list apps: the list leaves this app out, and the app is there.")


def merged(row: App, detail: App) -> App:
    """Return an app's detail with what only its row in the list still names.

    Raises:
        UnreadableAnswer: the two are not about the same app, or the detail has lost its live version.
    """
    if row.mode != detail.mode:
        raise UnreadableAnswer(f"read the app: it is of mode {detail.mode!r}, in the list of mode {row.mode!r}.")
    raw = dict(detail.raw)
    raw.update({key: row.raw[key] for key in _ICON if raw.get(key) is None and row.raw.get(key) is not None})
    return replace(
        detail,
        name=detail.name or row.name,
        description=detail.description or row.description,
        tags=detail.tags or row.tags,
        raw=raw,
    )


async def check_never_published(console: Console, row: App, known_live: str | None) -> None:
    """Believe a detail without a live version only when nothing else names one.

    Raises:
        UnreadableAnswer: the list or the instance itself names one.
    """
    if row.live_version is not None:
        raise UnreadableAnswer("read the app: it names no live version, and the list names one.")
    if known_live is not None and await console.published(row.id) is not None:
        raise UnreadableAnswer("read the app: it names no live version, and there is one.")


def check_workflow_export(export: ExportRead, document: Mapping[str, Any]) -> None:
    """Refuse a version and a DSL of it that do not hold the same nodes and variables.

    Raises:
        UnreadableAnswer: one of them has lost something, or the DSL is none.
    """
    _check_is_dsl(export)
    exported = as_dict(export.dsl.get("workflow"))
    if _node_ids(exported) != _node_ids(document):
        raise UnreadableAnswer("export the app: the DSL and the version do not have the same nodes.")
    if "features" in exported and exported["features"] != document.get("features"):  # a hash of 1.15 leaves them out
        raise UnreadableAnswer("export the app: the DSL and the version do not have the same features.")
    for name in _VARIABLES:
        if name in exported and len(as_list(exported[name])) != len(as_list(document.get(name))):
            raise UnreadableAnswer(f"export the app: the DSL and the version do not have the same {name}.")


def _node_ids(document: Mapping[str, Any]) -> Counter[str]:
    return Counter(str(as_dict(node).get("id")) for node in as_list(as_dict(document.get("graph")).get("nodes")))


def _check_is_dsl(export: ExportRead) -> None:
    if export.problem is not None:
        raise UnreadableAnswer(f"export the app: {export.problem.message}") from export.problem


def check_config_export(export: ExportRead, config: Mapping[str, Any]) -> None:
    """Refuse a model config that has lost what its DSL still holds.

    Raises:
        UnreadableAnswer: one of them has lost something, or the DSL is none.
    """
    _check_is_dsl(export)
    exported = as_dict(export.dsl.get("model_config"))
    if not exported:
        raise UnreadableAnswer("export the app: the DSL lacks the model config.")
    for key, value in exported.items():
        if value and not config.get(key):
            raise UnreadableAnswer(f"read the app: its model config lacks {key!r}, which its DSL holds.")
    if text_of(as_dict(config.get("model")).get("name")) not in export.text:
        raise UnreadableAnswer("export the app: the DSL lacks the model of the app.")

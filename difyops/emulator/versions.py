"""What differs between the Dify versions the emulator can be. One table, read by the routes; no behaviour here.

``1.13.0``, ``1.13.3``, ``1.15`` and ``1.16.1`` are held to recorded exchanges; the others follow the server's code and
documentation. A build may report another version than it is: ``reported`` is only the default for ``X-Version``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from difyops.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The capabilities and traps of one version. The defaults are 1.13.0's."""

    name: str
    reported: str
    dsl: str = "0.6.0"
    body_tokens: bool = False
    """Login answers tokens in the body, refresh takes one in the body, logout is GET, there is no CSRF (<= 1.9.1)."""
    base64_password: bool = True
    workspace_by_get: bool = False
    triggers: bool = True
    run_filters: bool = True
    """``workflow-runs`` knows ``status`` and ``triggered_from`` and has ``/count`` (>= 1.9.2)."""
    human_input: bool = True
    """Nodes that wait for a person, with a form in the console (>= 1.13.0)."""
    resumed_runs_stop: bool = False
    """A run that was resumed ends as ``stopped`` although its nodes ran (seen on 1.16.1, not on 1.13.0)."""
    worker_streams: bool = True
    """Streaming workflow runs happen in a worker: invalid inputs and dead workers show as silence (>= 1.13.0)."""
    flow_blocking_hangs: bool = False
    flow_message_end: bool = True
    sys_in_start: bool = True
    """Start nodes list ``sys.*`` among their inputs and outputs."""
    node_type_in_inputs: bool = False
    model_in_llm_inputs: bool = False
    hash_has_features: bool = True
    """The hash of drafts and versions covers their features (1.13; not from 1.15 on: recorded of 1.15 and 1.16.1)."""
    restore: bool = False
    stars_keep_secret: bool = False
    """The mask of twenty stars with the same id keeps the stored secret; before, the stars become the secret."""
    draft_variable_posts: bool = False
    rejects_unknown_node_types: bool = True
    """Saving a draft with an unknown node type is a 400; later versions notice only when it runs."""
    graph_errors_are_400: bool = False
    error_event_on_bad_run: bool = False
    rows_survive_stop: bool = True
    """After a stop the row may stay ``running`` for ever although the stream says ``stopped``."""
    unpublished_is_null: bool = False
    unknown_run_is_404: bool = False
    service_unknown_run_is_404: bool = False
    unknown_version_export_is_500: bool = False
    empty_patch_is_message: bool = False
    failed_imports_leave_orphans: bool = True
    icon_type_in_dsl: bool = False
    indexed_tag_ids: bool = False
    tag_bindings_moved: bool = False
    string_binding_counts: bool = False
    trigger_enable_is_400: bool = False
    dsl_version_route: bool = False
    run_events_route: bool = False
    model_in_conversations: bool = False
    null_status_count: bool = False
    bound_agent: bool = False
    provider_name: bool = False
    file_reference: bool = False
    empty_doc_metadata: bool = False
    vector_space_feature: bool = True
    collaboration_features: bool = False
    empty_413_message: bool = False
    vary_everywhere: bool = False
    redis_wait: float = 0.0
    """Seconds the server retries before it admits that Redis is gone."""
    daemon_error: str = "Failed to request plugin daemon, url: plugin/{tenant}/management/models"
    daemon_chat_stream_is_400: bool = True
    providers_are_cached: bool = False
    """The list of model providers still comes while the plugin daemon is away (>= 1.15)."""
    agents: bool = False
    """Agent apps (mode ``agent``) with routes of their own; the list of apps leaves them out."""
    repeated_tag_ids: bool = False
    """``tag_ids`` may be repeated; the indexed and bracketed forms are ignored: the whole list comes back."""
    permission_keys: bool = False
    """Apps carry ``permission_keys``, ``maintainer``, ``app_id``; imports ``permission_keys`` and ``warnings``."""
    garbage_version_leaves_app: bool = False
    """A new app whose DSL has an unreadable version and dependencies stays, although the import failed."""
    nothing_to_export_is_500: bool = False
    missing_draft_fields_are_400: bool = False
    document_rules: bool = False
    """The console's documents come with the rules by which they were cut (1.16)."""
    exports_drafts_only: bool = False
    """``workflow_id`` is ignored in exports, and nothing but an export tells a secret of the draft (< 1.5, < 1.8.1)."""
    lacks: tuple[str, ...] = ()
    """Patterns of routes that came later."""
    workspace_summary: bool = False
    """There is only ``GET /workspaces/current/summary`` (builds after 1.16.1)."""


_FIFTEEN = Release(
    name="1.15",
    reported="1.15.0",
    sys_in_start=False,
    node_type_in_inputs=True,
    model_in_llm_inputs=True,
    hash_has_features=False,
    restore=True,
    stars_keep_secret=True,
    draft_variable_posts=True,
    rejects_unknown_node_types=False,
    graph_errors_are_400=True,
    error_event_on_bad_run=True,
    rows_survive_stop=False,
    unpublished_is_null=True,
    unknown_run_is_404=True,
    service_unknown_run_is_404=True,
    unknown_version_export_is_500=True,
    empty_patch_is_message=True,
    failed_imports_leave_orphans=False,
    icon_type_in_dsl=True,
    indexed_tag_ids=True,
    tag_bindings_moved=True,
    string_binding_counts=True,
    trigger_enable_is_400=True,
    dsl_version_route=True,
    run_events_route=True,
    model_in_conversations=True,
    null_status_count=True,
    bound_agent=True,
    provider_name=True,
    file_reference=True,
    empty_doc_metadata=True,
    vector_space_feature=False,
    collaboration_features=True,
    empty_413_message=True,
    vary_everywhere=True,
    redis_wait=22.5,
    daemon_error="Request to Plugin Daemon Service failed-500",
    daemon_chat_stream_is_400=False,
    providers_are_cached=True,
)
_SIXTEEN = replace(
    _FIFTEEN,
    name="1.16.1",
    reported="1.16.1",
    dsl="0.7.0",
    agents=True,
    resumed_runs_stop=True,
    indexed_tag_ids=False,
    repeated_tag_ids=True,
    permission_keys=True,
    trigger_enable_is_400=False,
    garbage_version_leaves_app=True,
    nothing_to_export_is_500=True,
    missing_draft_fields_are_400=True,
    document_rules=True,
)

_RELEASES = (
    Release(
        name="1.4.3",
        reported="1.4.3",
        dsl="0.3.0",
        body_tokens=True,
        base64_password=False,
        workspace_by_get=True,
        triggers=False,
        run_filters=False,
        worker_streams=False,
        human_input=False,
        exports_drafts_only=True,
        lacks=(
            r"/draft/([a-z]+-)?variables$",
            r"/last-run$",
            r"/credentials/switch$",
            r"/tool-provider/builtin/.*/(add|default-credential|credentials|credential/(info|schema/[^/]+))$",
            r"^/v1/workflows/\{[^}]*\}/run$",
        ),
    ),
    Release(
        name="1.9.1",
        reported="1.9.1",
        dsl="0.4.0",
        body_tokens=True,
        base64_password=False,
        workspace_by_get=True,
        triggers=False,
        run_filters=False,
        worker_streams=False,
        human_input=False,
    ),
    Release(name="1.11.2", reported="1.11.2", dsl="0.5.0", worker_streams=False, human_input=False),
    Release(name="1.13.0", reported="1.13.0", flow_blocking_hangs=True, flow_message_end=False),
    Release(
        name="1.13.3",
        reported="1.13.3",
        sys_in_start=False,
        node_type_in_inputs=True,
        restore=True,
        stars_keep_secret=True,
        service_unknown_run_is_404=True,
        icon_type_in_dsl=True,
    ),
    _FIFTEEN,
    _SIXTEEN,
    # 1.17 is the release after 1.16.1 as far as its differences are known: from the code of builds on the way to it.
    replace(_SIXTEEN, name="1.17", reported="1.17.0", workspace_summary=True),
)

VERSIONS = tuple(release.name for release in _RELEASES)


def release_named(name: str) -> Release:
    """Return the release called ``name``.

    Raises:
        UsageError: the emulator has no such version; the message lists those it has.
    """
    for release in _RELEASES:
        if release.name == name:
            return release
    raise UsageError(f"The emulator has no version {name!r}; it can be {', '.join(VERSIONS)}.")

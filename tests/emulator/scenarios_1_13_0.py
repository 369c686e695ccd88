"""What is replayed of release 1.13.0. Data, no machinery: names of recordings in the order they are sent."""

from __future__ import annotations

from typing import Any

from tests.emulator.replay import Scenario
from tests.emulator.steps import (
    CONFIG,
    PEOPLE,
    Step,
    Steps,
    cases,
    credential,
    fresh_login,
    keep_tokens,
    known,
    last_app,
    later,
    model_credential,
    old_csrf,
    old_tokens,
    run,
    scenario,
    settle,
    svc,
    tool_credential,
    unlock,
    unpublished_flow,
    with_key,
)

APPS = {
    "1ff0e62d-1f4e-4132-8197-c017fb2674f7": "wf-echo",
    "91263f3b-124e-4856-91bf-4f9b1047067a": "wf-llm",
    "0278a058-3196-47b9-98f2-e3a3f1dbe078": "wf-hook",
    "5ff75037-6270-48f5-8e8e-c7d797eb5c0b": "wf-cron",
    "e20bbc73-a824-43d8-a5a3-1e25d6843dcc": "flow-chat",
    "cc95188a-1b91-4ddd-ad13-e378ecf701b4": "chat-basic",
    "3920d44b-b826-45b0-8ab3-74ed939a5468": "agent",
    "8ea65299-4d2a-4a9b-9ead-097500fcea41": "completion-basic",
}
T_WF = "b35b5280-f809-4817-a326-8d92df0951f5"
BOUNDARY = "multipart/form-data; boundary=x"
FILE = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n%s\r\n--x--\r\n"
)
NO_FILE = b'--x\r\nContent-Disposition: form-data; name="user"\r\n\r\nu-1\r\n--x--\r\n'
_CALLS = "list keys keycreate export draft envvars logs runs stats import apienable dskey credlist credget credcreate"
ROLE_CALLS = _CALLS.split()
NO_RUNS = (r"/data\[\]/.*", "/data")


def a(name: str, *steps: Step | Steps, **settings: Any) -> Scenario:
    """Return a scenario of release 1.13.0."""
    return scenario("1.13.0", "1.13.0", name, steps, APPS, settings)


def _broken(name: str) -> Steps:
    return (
        *cases(f"draft-sync-{name}", current_hash=True),
        *cases(f"publish-{name}"),
        *svc("t-wf", f"svc-run-{name}"),
    )


SESSIONS = (
    a(
        "set-up",
        cases("setup-status-before apps-before-login login-before-setup setup-weak-password", auth="none"),
        cases("setup setup-status-after setup-again init-get health", auth="none"),
        is_set_up=False,
    ),
    a(
        "login",
        cases("login-no-email login-wrong login-unknown-email login", auth="none"),
        cases("login-plain-password", auth="none", body=b'{"email": "admin@example.com", "password": "Passw0rd!1"}'),
        cases("bearer-only bearer-csrf-header-and-cookie bearer-csrf-header-no-cookie bearer-garbage", auth="recorded"),
        cases("csrf-missing csrf-wrong access-garbage access-missing", auth="recorded"),
        cases("profile", loose=PEOPLE),
        cases("workspaces workspace-current features system-features version version-noarg console-404 console-405"),
        basics=False,
    ),
    a(
        "members",
        known("be22ab94-4e43-401a-96e9-a25de793c10d", lambda replay: replay.emulator.account("editor").id),
        cases("members member-invite member-role"),
        cases("members-after", loose=PEOPLE),
    ),
    a(
        "refresh",
        fresh_login,
        keep_tokens,
        cases("refresh old-access-after-refresh", auth="recorded", loose=PEOPLE),
        cases("refresh-garbage refresh-none first-session-refresh-after-second-logout", auth="recorded"),
        old_tokens,
        cases("refresh-reused-old", auth="recorded"),
        fresh_login,
        cases("logout access-after-logout refresh-after-logout", auth="recorded", loose=PEOPLE),
        later(7200),
        cases("access-expired", auth="recorded"),
        fresh_login,
        old_csrf,
        cases("csrf-expired", auth="recorded"),
    ),
    a(
        "lockout",
        fresh_login,
        cases("lockout-1 lockout-2 lockout-3 lockout-4 lockout-5 lockout-6 lockout-7", auth="none"),
        cases("lockout-correct-password-while-locked", auth="none"),
        cases("lockout-existing-session", auth="recorded", loose=PEOPLE),
        unlock,
        cases("lockout-after-reset", auth="none"),
    ),
    *(
        a(
            f"role-{role}",
            cases(
                " ".join(f"role-{role}-{call}" for call in ROLE_CALLS),
                auth=role,
                loose=(*NO_RUNS, "/tracing", ".*/openai_organization"),
            ),
        )
        for role in ("admin", "editor", "normal", "dataset_operator")
    ),
    a(
        "role-changes",
        cases("role-admin-import", auth="admin"),
        cases("role-admin-publish role-admin-appdelete role-admin-keycreate role-admin-keydelete", auth="admin"),
        cases("role-editor-import", auth="editor"),
        cases("role-editor-publish role-editor-appdelete role-editor-keycreate role-editor-keydelete", auth="editor"),
    ),
)

APPS_AND_IMPORTS = (
    a("no-apps", cases("apps-empty"), basics=False),
    a(
        "apps-list",
        cases("apps-list-is_created_by_me-true apps-list-limit-100 apps-list-p1 apps-list-p3", loose=CONFIG),
        cases("apps-list-limit-101 apps-list-mode-advanced-chat apps-list-mode-nope apps-list-p99 apps-list-page-0"),
        cases("apps-list-mode-workflow apps-list-name-wf-"),
        cases("apps-list-tag_ids-00000000-0000-4000-8000-000000000000"),
    ),
    a(
        "apps",
        cases("app-detail-404 app-detail-badid app-detail-chat app-detail-wf"),
        cases("app-create draft-get-new-app publish-no-draft app-put app-rename app-copy app-copy-secret"),
        cases("app-put-max-active app-put-max-active-0 app-delete-404"),
        cases("site-disable site-enable site-update site-token-reset api-disable"),
        svc("wf-echo", "svc-api-disabled svc-run-api-disabled"),
        cases("api-enable model-config-bad-provider model-config-empty model-config-post"),
        cases("trace-get trace-config-get trace-config-get-noarg trace-enable-unconfigured trace-disable"),
        cases("trace-config-post-unreachable annotations-list annotation-create"),
        cases("tag-create tag-create-dup tag-bind tags-list tag-patch tag-unbind tag-delete"),
        with_key("made", "made3"),
        svc("made", "svc-unpublished svc-info-unpublished svc-parameters-unpublished"),
        unpublished_flow,
        svc("unpublished", "svc-unpublished-flow svc-parameters-unpublished-flow"),
    ),
    a(
        "import-new",
        cases("import-wf-echo import-wf-llm import-wf-hook import-wf-cron import-flow-chat import-chat-basic"),
        cases("import-agent import-completion-basic publish-wf-echo publish-wf-llm publish-wf-hook publish-wf-cron"),
        cases("publish-flow-chat api-key-create-wf-echo api-key-create-wf-llm api-key-create-wf-hook"),
        cases("api-key-create-wf-cron api-key-create-flow-chat api-key-create-chat-basic api-key-create-agent"),
        cases("api-key-create-completion-basic"),
        basics=False,
    ),
    a(
        "import",
        cases("import-throwaway import-overwrite-nosecret import-overwrite-secret import-older-minor"),
        cases("import-older-version-missing import-newer-pending import-confirm import-confirm-again"),
        cases("import-confirm-unknown import-newer-major-pending-overwrite import-pending-then-abandoned"),
        cases("import-bad-yaml import-not-mapping import-empty import-no-app import-bad-mode import-version-float"),
        cases("import-bad-importmode import-nobody import-app-unknown import-over-chat-app import-kind-wrong"),
        cases("import-version-garbage import-url-unreachable import-roundtrip-integer-env restore-t"),
        cases("import-no-workflow"),
        known("5703b8e2-08b6-4d3f-8766-4c478b80557f", lambda replay: last_app(replay).id),
        cases("orphan-app-draft orphan-app-export import-mm-base import-mode-mismatch-flow-into-wf"),
        cases("app-after-mode-mismatch publish-after-mode-mismatch"),
        with_key("mm", "flow-chat"),
        svc("mm", "svc-run-mode-mismatch"),
        cases("import-mode-mismatch-chat-into-wf"),
        cases("app-after-mode-mismatch-2", loose=("/workflow",)),
        cases("import-missing-dep check-deps-missing import-older-dep check-deps-older-version check-deps-ok"),
        with_key("gone", "missing-dep"),
        cases("app-delete"),
        svc("gone", "svc-deleted-app-key"),
    ),
    a(
        "export",
        cases("export-wf-llm-nosecret export-wf-llm-false export-wf-llm-true export-wf-llm-TRUE1 export-chat"),
        cases("export-hook export-cron export-unknown-version export-bad-version"),
        cases("import-throwaway publish-v1"),
        cases("export-empty-workflow-id"),
        known("62ec5422-4ec0-4817-9f0a-364a76b79c0b", lambda replay: last_app(replay).versions[0].id),
        cases("export-old-version export-other-apps-version"),
    ),
)

WORKFLOWS = (
    a(
        "draft",
        cases("draft-get draft-env-vars draft-conv-vars draft-get-chat-mode draft-system-variables draft-variables"),
        cases("import-throwaway published-none draft-sync-same draft-sync-ok"),
        cases("draft-sync-stale-hash draft-sync-garbage-hash draft-sync-no-hash draft-sync-missing-fields"),
        cases("draft-sync-add-env draft-sync-add-env-bad draft-sync-drop-env draft-sync-restore-env"),
        cases("draft-sync-rotate-secret draft-sync-other-env-with-masked-secret draft-sync-hidden-marker"),
        cases("draft-sync-hidden-marker-no-id"),
        fresh_login,
        cases("draft-sync-no-csrf", auth="recorded"),
        cases("draft-sync-textplain", body=b'{"graph": {"nodes": []}, "features": {}}', content_type="text/plain"),
        cases("import-roundtrip-integer-env"),
        cases("draft-sync-form", body=b"graph=1", content_type="application/x-www-form-urlencoded"),
        cases("draft-sync-env-absent"),
    ),
    a(
        "versions",
        cases("import-throwaway"),
        cases("draft-sync-ok", current_hash=True),
        cases("publish-v1 publish-empty-body publish-long-comment publish-long-name publish-no-body publish-v3"),
        cases("published-get versions-list versions-list-p1 versions-list-p2 versions-named"),
        cases("version-patch-404 version-patch-empty version-restore version-delete-draft version-delete-current"),
        known("62ec5422-4ec0-4817-9f0a-364a76b79c0b", lambda replay: last_app(replay).versions[0].id),
        cases("version-patch"),
        known("b6e7d3ae-9362-4fe6-ba96-2cdbf292e181", lambda replay: last_app(replay).versions[1].id),
        cases("version-delete-old version-delete-again rollback-import rollback-publish"),
        with_key("t-wf", "t-wf-renamed"),
        svc("t-wf", "svc-run-bad-version svc-run-unknown-version svc-run-specific-version"),
    ),
    a(
        "broken-graphs",
        cases("import-throwaway publish-v1"),
        with_key("t-wf", "t-wf"),
        _broken("broken-edge"),
        _broken("unknown-model"),
        _broken("unknown-provider"),
        _broken("unknown-node-type"),
        _broken("no-start"),
        _broken("llm-node-missing-field"),
        _broken("no-nodes-key"),
        cases("draft-sync-empty-graph", current_hash=True),
        cases("publish-empty-graph publish-broken-graph"),
        cases("draft-sync-broken-graph"),
        cases("restore-t publish-v1"),
        svc("t-wf", "svc-run-good-again"),
    ),
    a(
        "draft-runs",
        cases("console-draft-run"),
        settle,
        cases("runs-list-debugging console-node-run console-node-last-run"),
    ),
    a(
        "keys",
        cases("api-keys-list api-keys-last-used api-key-create-n0"),
        known("f96d2a76-73c1-4d2d-a1b4-34bce0de8c92", lambda r: r.emulator.app_named("wf-echo").keys[-1].id),
        lambda r: r.keys.update(deleted=r.emulator.app_named("wf-echo").keys[-1].token),
        cases("api-key-delete"),
        svc("deleted", "svc-deleted-key"),
        cases("api-key-delete-again api-keys-list-after"),
        *[cases("api-key-create-wf-echo")] * 9,
        cases("api-key-create-n9 api-key-create-n10"),
        cases("dataset-api-base dataset-keys-list dataset-key-create role-admin-dskey dataset-key-delete"),
        run("wf-echo", {"text": "x"}),
        later(1800),
        cases("api-keys-last-used-later"),
    ),
)

PROVIDERS = (
    a(
        "credentials",
        cases("mp-list-none mp-list-llm-none mp-cred-get-none mp-validate-good mp-validate-bad mp-validate-missing"),
        cases("mp-cred-create-bad mp-cred-create mp-cred-create-2 mp-cred-create-dupname mp-cred-create-longname"),
        cases("mp-cred-create-noname mp-list mp-cred-get-current"),
        credential("01a1f785-cb96-7e17-95b9-891ce49cf407", "secondary"),
        credential("01a1f785-cb07-7a70-835b-5ee9efd32017", "primary"),
        cases("mp-cred-get-by-id mp-cred-get-unknown mp-cred-update-hidden mp-cred-get-after-hidden-update"),
        cases("mp-cred-update-masked-echo mp-cred-update-newkey mp-cred-get-after-update mp-switch mp-switch-unknown"),
        cases("mp-list-after-switch mp-cred-delete-active mp-list-after-delete-active"),
        cases("noactive-list", loose=(".*/custom_models", ".*/can_added_models")),
        cases("mp-cred-get-current-after-delete-active mp-cred-delete-unknown mp-unknown-provider mp-switch-primary"),
        cases("revoked-validate-hidden"),
        basics=False,
    ),
    a(
        "models",
        cases("mp-models models-by-type mp-param-rules mp-model-cred-get mp-model-cred-get-after-lb mp-lb-validate"),
        cases(
            "mp-models-lb-enable mp-model-disable mp-model-enable default-model-none default-model-set default-model"
        ),
        cases("mp-custom-model-create mp-list-with-custom-model mp-custom-model-get mp-custom-model-delete"),
        cases("tool-providers plugin-list plugin-triggers"),
    ),
    a(
        "model-credentials",
        cases("mpm-cred-get-none mpm-cred-create-bad mpm-cred-create-missing mpm-cred-create-nomodel"),
        cases("mpm-cred-create-badtype mpm-cred-create mpm-cred-create-dupname mpm-cred-create-longname"),
        cases("mpm-cred-create-2 mpm-cred-create-noname mpm-cred-get"),
        model_credential("01a1f89e-19c8-77eb-b726-9f37d6a60835", "first"),
        model_credential("01a1f89e-1aff-7b6a-8eea-f3e90bc2ecf5", "second"),
        model_credential("01a1f89e-1bbc-742c-bd0d-c2d6f4169e49", "API KEY 1"),
        cases("mpm-cred-get-by-id mpm-cred-get-unknown mpm-cred-get-not-an-id mpm-cred-get-nomodel mpm-list"),
        cases("mpm-cred-update-hidden mpm-cred-get-after-update mpm-cred-update-masked mpm-cred-update-bad"),
        cases("mpm-cred-update-dupname mpm-cred-update-rename mpm-cred-update-unknown mpm-cred-update-nocredentials"),
        cases("mpm-switch mpm-switch-same mpm-switch-unknown mpm-cred-get-after-switch"),
        cases("mpm-validate-good mpm-validate-bad mpm-cred-delete-unknown mpm-cred-delete-current"),
        cases("mpm-cred-get-after-delete-current mpm-list-after-delete-current"),
        cases("mpm-switch-after-delete-current mpm-cred-get-after-switch-2 mpm-cred-delete mpm-cred-delete-last"),
        cases("mpm-list-after-delete-last mpm-cred-get-after-delete-last"),
    ),
    a(
        "tool-credentials",
        cases("tool-cred-list-none tool-cred-info-none tool-cred-schema tool-cred-schema-nope tool-cred-schema-oauth2"),
        cases(
            "tool-cred-list-unknown-provider tool-cred-info-unknown-provider tool-cred-add-bad tool-cred-add-missing"
        ),
        cases("tool-cred-add-unknown-field tool-cred-add-not-text tool-cred-add-notype tool-cred-add-badtype"),
        cases("tool-cred-add-nocredentials tool-cred-add-longname tool-cred-add-unknown-provider tool-cred-add"),
        cases("tool-cred-add-dupname tool-cred-add-2 tool-cred-add-noname tool-cred-list tool-cred-info"),
        tool_credential("edc614fd-c61c-43c4-97c7-e9ccf191c58c", "first"),
        tool_credential("5497470b-74a5-4d85-a09d-817dd65dd8de", "second"),
        tool_credential("25919e38-ae93-4eb3-89e6-46baba2967f7", "API KEY 1"),
        cases("tool-cred-update-rename tool-cred-update-hidden tool-cred-update-bad tool-cred-update-missing"),
        cases("tool-cred-update-dupname tool-cred-update-unknown tool-cred-update-noid tool-cred-list-after-update"),
        cases("tool-cred-default tool-cred-default-unknown tool-cred-default-noid tool-cred-list-after-default"),
        cases("tool-cred-delete-unknown tool-cred-delete-noid tool-cred-delete-default"),
        cases("tool-cred-list-after-delete-default tool-cred-delete-unknown-provider"),
        cases("tool-cred-list-after-delete-unknown-provider"),
    ),
)

SCENARIOS = (*SESSIONS, *APPS_AND_IMPORTS, *WORKFLOWS, *PROVIDERS)

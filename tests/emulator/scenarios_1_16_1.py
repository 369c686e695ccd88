"""What is replayed of release 1.16.1: agent apps, and what differs from the build before 1.15 and is used by us."""

from __future__ import annotations

from typing import Any

from tests.emulator.replay import Replay, Scenario
from tests.emulator.steps import CONFIG, Step, Steps, cases, known, last_app, scenario, svc, with_key

APPS = {
    "b6e60833-8185-4e82-ba58-5915d46ad483": "wf-llm",
    "70a0a7cf-565c-4b49-b39f-dc17732cbd5c": "wf-hook",
    "d41d474b-0688-44eb-bdf4-29b565338b50": "wf-cron",
    "045bcd52-8ca5-490b-8a01-2474086939a5": "chat-basic",
    "69648001-567f-433b-8215-28197dcebc8d": "agent",
}
SPACE = "e1e60833-8185-4e82-ba58-5915d46ad480"
STREAM = (r"message.*/(from_variable_selector|metadata|files)",)
NOTES = (".*/version_note",)


def e(name: str, *steps: Step | Steps, **settings: Any) -> Scenario:
    """Return a scenario of release 1.16.1."""
    return scenario("1.16.1", "1.16.1", name, steps, APPS, settings)


AGENTS = (
    e(
        "agents",
        cases("app-create-mode-agent agent-create-missing agent-create"),
        cases("agent-create-dup agent-detail agent-detail-404 agent-detail-by-app-id app-detail-by-agent-id"),
        cases("app-detail-agent", loose=(r"/model_config/.*",)),
        cases("agent-composer-get-new agent-versions-new agent-publish-empty agent-composer-put-nosoul"),
        cases("agent-composer-put agent-composer-put-badstrategy agent-composer-put-extra agent-composer-validate"),
        cases("agent-composer-put-save_as_new_version agent-publish-1"),
        cases("agent-composer-put-save_to_current_version agent-composer-get-dirty agent-list-dirty"),
        cases("agent-publish-2 agent-publish-unchanged agent-versions agent-version-get agent-version-404"),
        cases("agent-version-restore agent-version-restore-404 agent-composer-after-restore"),
        cases("agent-versions-after-restore agent-publish-after-restore", loose=NOTES),
        cases("agent-list apps-list-mode-agent-after"),
        cases("agent-api-access agent-api-key-create agent-api-keys app-api-key-create-on-agent app-api-keys-of-agent"),
        cases("agent-api-disable agent-api-enable"),
        cases("app-api-disable-on-agent app-site-disable-on-agent", loose=(r"/model_config/.*",)),
        cases("export-agent-app export-agent-app-secret export-agent-app-version import-agent-app-overwrite"),
        cases("import-agent-app"),
        known("01a214f1-2983-7842-a5c4-2bcb076791bf", lambda replay: _agent_id(replay)),
        cases("agent-imported-composer agent-imported-versions agent-list-after-import"),
        cases("agent-copy", loose=(r"/model_config/.*",)),
        cases("agent-delete agent-delete-again agent-detail-after-delete app-detail-after-agent-delete"),
        cases("app-copy-agent", loose=(r"/model_config/.*",)),
        cases("agent-update", loose=(r"/model_config/.*",)),
        cases("agent-composer-put-secretref agent-publish-with-secret agent-version-get-secret", loose=NOTES),
        cases("agent-version-restore-secret agent-rollback-by-put agent-rollback-publish"),
        cases("agent-composer-put-partial", loose=NOTES),
        cases("import-agent-app-2 import-agent-no-packages"),
        cases("draft-get-agent-app model-config-agent-app"),
        cases("role-editor-agent-apienable role-editor-agent-keys role-editor-agent-publish", auth="editor"),
        cases("role-normal-agent-apienable role-normal-agent-create role-normal-agent-publish", auth="normal"),
        cases("role-normal-agent-composer", auth="normal", loose=("/agent_soul.*",)),
        cases("role-normal-agent-keys", auth="normal"),
    ),
    e(
        "agents-asked",
        cases("agent-create agent-composer-put agent-publish-1"),
        with_key("agent-app", "rec-agent"),
        svc("agent-app", "svc-info-agent-app svc-meta-agent-app svc-agent-app-blocking"),
        svc("agent-app", "svc-parameters-agent-app", loose=("/suggested_questions.*", "/.*/voice", "/.*/language")),
        svc("agent-app", "svc-agent-app-wrong-mode svc-agent-app-wrong-mode-2"),
        svc("agent-app", "svc-agent-app-streaming-fake-backend", loose=STREAM),
        cases("import-agent-app-2"),
        with_key("imported", "rec-agent-imp2"),
        svc("imported", "svc-imported-agent-unpublished-streaming"),
    ),
)  # fmt: skip

CHANGED = (
    e(
        "account",
        cases("app-dsl-version app-dsl-version-no-auth", auth="none"),
        cases("workspace-current-get workspace-current-summary"),
        cases("workspace-current workspace-current-nobody", loose=("/.*",)),
    ),
    e(
        "apps",
        cases("app-detail-chat app-detail-wf app-create-missing app-detail-badid app-detail-404"),
        cases("apps-list-mode-all apps-list-limit-100", loose=CONFIG),
        cases("apps-list-mode-nope apps-list-limit-101 apps-by-tag-csv app-copy"),
        cases("app-create", loose=("/model_config.*", "/workflow")),
    ),
    e(
        "import",
        cases("import-agent import-chat-basic import-wf-echo import-wf-llm import-bad-yaml import-empty import-no-app"),
        cases("import-not-mapping import-no-workflow import-newer-pending import-confirm-unknown"),
        cases("import-version-garbage import-older-minor import-version-garbage-with-deps"),
        cases("import-version-garbage-app-after", loose=("/workflow", "/tags", "/model_config.*")),
        cases("export-unknown-version export-bad-version"),
    ),
    e(
        "triggers",
        cases("triggers-list"),
        cases("trigger-disable trigger-enable"),
    ),
)


def _agent_id(replay: Replay) -> str:
    agent = last_app(replay).agent
    assert agent is not None
    return agent.id


SCENARIOS = (*AGENTS, *CHANGED)

"""What is replayed of the build that says 1.13.3, of the one before 1.15 (it says 1.14.2), and of the admin key."""

from __future__ import annotations

import json
from typing import Any

from difyops.emulator import publishing
from difyops.emulator.routes.service_datasets import new_dataset
from tests.emulator.replay import Scenario
from tests.emulator.scenarios_1_13_0 import APPS as A_APPS
from tests.emulator.scenarios_1_13_0 import BOUNDARY, FILE
from tests.emulator.steps import (
    CONFIG,
    Step,
    Steps,
    ask,
    cases,
    fresh_login,
    import_over,
    known,
    last_app,
    later,
    mood,
    run,
    scenario,
    settle,
    svc,
    with_key,
)

B_APPS = {
    "0b568079-2e6e-4da5-998f-b6ddcaa16a56": "wf-echo",
    "569eef65-6575-4c6a-b5f7-bb169dca2341": "wf-llm",
    "452c5f37-f87a-4efd-a38c-2dab02bff708": "flow-chat",
    "4401938e-b2a4-4780-9048-9ba84e7940b4": "chat-basic",
    "070799ea-7551-4631-b8f0-5583914fb7d1": "agent",
    "ca889d5f-8fd2-45eb-ac62-47d9c8a0ff69": "completion-basic",
}
C_APPS = {
    "8047f52a-9d3e-4ffb-989f-2fb501d936e3": "wf-echo",
    "cdcc13cf-c462-4355-a2a6-25b957ce86a3": "wf-llm",
    "b32e78a9-b558-4373-998c-386457d9e9b9": "wf-hook",
    "d614b836-cf90-4e37-a7fb-7fa507a06938": "wf-cron",
    "7ac649e4-e2f2-4655-983a-803daca44c4f": "flow-chat",
    "3920ddaf-376a-418c-a667-b0d9a8a2cf48": "chat-basic",
}
A_SPACE = "ddd15606-6c3c-4f2a-9e51-db6f28d9f853"
C_SPACE = "702987f7-5ba1-4ebd-b648-b91c3c973259"
T_WF = "feaa042e-5565-47e3-bb4d-482c797bc6a2"
VERSION = "f6e74335-3114-4568-9f5f-76abd497dedf"
ORGANIZATION = (".*/openai_organization",)


def b(name: str, *steps: Step | Steps, **settings: Any) -> Scenario:
    """Return a scenario of the build that says 1.13.3."""
    return scenario("1.13.3", "1.13.3", name, steps, B_APPS, settings)


def c(name: str, *steps: Step | Steps, **settings: Any) -> Scenario:
    """Return a scenario of the build just before 1.15."""
    chosen = {"reported_version": "1.14.2", "workspace_id": C_SPACE, **settings}
    return scenario("1.15", "1.15-dev", name, steps, C_APPS, chosen)


def admin_a(name: str, *steps: Step | Steps) -> Scenario:
    """Return a scenario of 1.13.0 with the admin key."""
    return scenario("1.13.0", "admin-key-1.13.0", name, steps, A_APPS, {"workspace_id": A_SPACE})


def t_wf(name: str) -> Steps:
    """Return steps that make the throwaway workflow app the recordings change, published once."""

    def make(replay: Any) -> None:
        instance, source = replay.emulator.instance, replay.emulator.app_named("wf-llm")
        app = publishing.new_app(instance, instance.owner, name=name, mode="workflow")
        publishing.restore(instance, app, instance.owner, source.draft)
        publishing.publish(instance, app, instance.owner, "v1")
        replay.ids |= {T_WF: app.id, VERSION: app.versions[0].id}

    return (make,)


THIRTEEN_THREE = (
    b("set-up", cases("setup login", auth="none"), cases("version"), is_set_up=False),
    b(
        "import",
        cases("import-wf-echo import-wf-llm import-flow-chat import-chat-basic import-agent import-completion-basic"),
        cases("publish-wf-echo publish-wf-llm publish-flow-chat api-key-create-wf-echo api-key-create-wf-llm"),
        cases("api-key-create-flow-chat api-key-create-chat-basic api-key-create-agent"),
        cases("api-key-create-completion-basic api-keys-list import-newer import-no-workflow import-version-garbage"),
        basics=False,
    ),
    b(
        "draft",
        cases("export draft-env-vars draft-sync-same draft-sync-stale draft-sync-rotate draft-get publish-v2"),
        known("bb8aa0aa-b932-4343-b1e8-3dd4898ce1f5", lambda replay: replay.emulator.app_named("wf-echo").id),
        cases("import-mode-mismatch import-mode-mismatch-chat"),
        cases("versions-list", loose=(r".*\[\]/updated_by", ".*/updated_by")),
        known("10c8bc49-70a7-42db-98b4-6e14f2028f9f", lambda r: r.emulator.app_named("wf-llm").versions[0].id),
        cases("version-restore version-restore-json version-restore-draft version-restore-404"),
        cases("mp-cred-create"),
    ),
    b(
        "runs",
        cases("run-404 runs-default svc-bad-key", auth="owner"),
        svc("wf-echo", "svc-wf-echo-blocking svc-wf-echo-streaming svc-wf-missing-input-streaming svc-run-404"),
        svc("wf-llm", "svc-wf-llm-blocking"),
        svc("flow-chat", "svc-flow-blocking svc-flow-streaming"),
        svc("chat-basic", "svc-chat-blocking svc-chat-streaming"),
        svc("agent", "svc-agent-streaming"),
        svc("completion-basic", "svc-completion-blocking"),
        cases("stat-wf-token-costs"),
    ),
)

FIFTEEN = (
    c(
        "account",
        cases("app-dsl-version app-dsl-version-no-auth", auth="none"),
        cases("features system-features info-deprecated workspace-current-get default-model default-model-none"),
        cases("editor-api-key-create editor-api-key-delete editor-cred-create", auth="editor"),
        cases("editor-cred-get", auth="editor", loose=ORGANIZATION),
        cases("editor-dataset-key-create editor-env-vars editor-export editor-import editor-app-delete", auth="editor"),
    ),
    c(
        "apps",
        cases("app-detail-chat app-detail-wf app-copy app-copy-secret app-put-max-active app-put-max-active-0"),
        known("e96857e3-b0a2-47aa-842c-52117dfd518a", lambda replay: last_app(replay).id),
        cases("app-put apps-by-creator apps-by-tag-tag_ids apps-by-tag-tag_ids_0-two"),
        cases("apps-by-tag-tag_ids_", loose=(*CONFIG, ".*/max_active_requests")),
        cases("apps-list-tag_ids-00000000-0000-4000-8000-000000000000 tag-create tag-bind tag-bind-newpath"),
        cases("tags-list-bound apps-by-tag-tag_ids_0 tag-patch-no-type tag-patch tag-unbind tag-unbind-newbody"),
    ),
    c(
        "import",
        cases("import-chat-missing-model import-chat-no-config export-unknown-version export-other-apps-version"),
        known("64f433b9-7ef1-4fb0-85d9-73ab1c03fa12", lambda replay: "00000000-0000-4000-8000-000000000001"),
        cases("import-version-garbage-app-after"),
        t_wf("t-wf"),
        cases("import-overwrite-version-garbage"),
        t_wf("mm"),
        known("b529ed6d-24c4-44b9-944c-77a290eb1b00", lambda replay: last_app(replay).id),
        lambda replay: last_app(replay).__setattr__("live", None),
        import_over("mm", "flow-chat"),
        cases("app-after-mode-mismatch"),
        import_over("mm", "chat-basic"),
        cases("app-after-mode-mismatch-2", loose=("/workflow",)),
    ),
    c(
        "draft",
        t_wf("t-wf"),
        cases("version-restore", loose=("/hash",)),
        cases("version-restore-nobody version-restore-404 version-restore-draft version-patch-empty version-get"),
        known("c153802a-d4f9-4775-b5d6-f493b4b41918", lambda replay: str(getattr(last_app(replay).draft, "id", ""))),
        cases("version-restore-draftid draft-sync-force env-post-new env-post-hidden env-post-stars env-post-partial"),
        fresh_login,
        cases("env-post-no-csrf", auth="recorded"),
        cases("features-post conv-post conv-vars-get"),
        cases("draft-sync-stars-no-id draft-sync-unknown-node-type", current_hash=True),
        lambda replay: last_app(replay).__setattr__("live", None),
        cases("published-none"),
    ),
    c(
        "runs",
        svc("wf-echo", "svc-wf-missing-input-streaming-short"),
        run("wf-echo", {"text": "hi"}),
        known("bf218ae5-e6d5-449a-b6df-0c81040b2569", lambda r: r.emulator.app_named("wf-echo").runs[-1].id),
        svc("wf-echo", "svc-workflow-events-finished svc-workflow-events-taskid svc-run-detail-other-app"),
        svc("wf-echo", "svc-file-upload", body=FILE % b"hello", content_type=BOUNDARY),
        cases("run-detail-404 run-detail-other-app"),
        svc("chat-basic", "svc-chat-bad-input-streaming"),
        svc("flow-chat", "svc-flow-bad-input-streaming"),
        ask("chat-basic", "hello"),
        cases("chat-conversations chat-conversations-filter", loose=("/data",)),
    ),
    c(
        "broken-graphs",
        *(
            (*t_wf(f"t-{kind}"), _break, with_key(f"t-{kind}", f"t-{kind}"), *svc(f"t-{kind}", f"svc-run-{kind}"))
            for kind, _break in (
                ("unknown-model", lambda r: _llm(r, model={"provider": "langgenius/openai/openai", "name": "no-such"})),
                ("unknown-provider", lambda r: _llm(r, model={"provider": "langgenius/none/none", "name": "x"})),
                ("unknown-node-type", lambda r: _llm(r, type="nope")),
            )
        ),
        t_wf("streaming"),
        lambda r: _llm(r, model={"provider": "langgenius/openai/openai", "name": "no-such"}),
        with_key("streaming", "streaming"),
        svc("streaming", "svc-run-unknown-model-streaming"),
        lambda r: r.emulator.instance.provider.use(None),
        svc("wf-llm", "noactive-wf-blocking"),
    ),
    c(
        "knowledge-and-triggers",
        known("6f7fa491-fd05-4029-94a1-34921d439a5d", lambda replay: _dataset(replay)),
        svc("dataset", "svc-doc-create-text", loose=(".*/word_count", ".*/tokens")),
        later(1),
        svc("dataset", "svc-docs-list svc-retrieve"),
        known("01a1f7b9-767c-7c10-a89d-9c45d2b36cf0", lambda r: r.emulator.app_named("wf-hook").triggers["hook"].id),
        known("01a1f7b9-76a0-7156-acee-bbe2ea27f644", lambda r: r.emulator.app_named("wf-cron").triggers["cron"].id),
        cases("trigger-disable trigger-enable trigger-disable-cron trigger-enable-cron"),
    ),
    c(
        "daemon-down",
        mood("daemon_down"),
        cases("fault-daemon-down-export fault-daemon-down-health fault-daemon-down-import"),
        cases("fault-daemon-down-providers", loose=(".*/custom_models", ".*/can_added_models")),
        cases("fault-daemon-down-publish"),
        svc("wf-llm", "fault-daemon-down-wf-blocking"),
        svc("wf-echo", "fault-daemon-down-wf-echo-blocking"),
        mood("daemon_down", False),
        mood("redis_down"),
        cases("redisdown-admin-apps", auth="admin-key", loose=CONFIG),
    ),
)

ADMIN_READS = (
    "admin-profile admin-workspaces admin-all-workspaces admin-workspace-current admin-members admin-features "
    "admin-system-features admin-version admin-apps admin-app-detail admin-app-404 admin-draft admin-env-vars "
    "admin-published admin-versions admin-export admin-export-secret admin-keys admin-dataset-keys admin-datasets "
    "admin-providers admin-default-model admin-models-by-type admin-plugin-list admin-tool-providers admin-tags "
    "admin-trace admin-triggers admin-app-logs admin-runs admin-runs-count admin-chat-conversations admin-annotations "
    "admin-model-config-get admin-check-deps admin-stat admin-trigger-path"
)
ADMIN_ODD = (
    "admin-no-bearer-word admin-no-workspace admin-workspace-garbage admin-workspace-unknown "
    "admin-refresh-token admin-v1-info admin-v1-datasets"
)
LISTS = (
    r"/data(\[\].*)?",
    r"/accounts\[\].*",
    "/tracing",
    ".*/last_login_.*",
    ".*/updated_by",
    ".*/marked_.*",
    "/max_active_requests",
)


def admin(release: str) -> tuple[Scenario, ...]:
    """Return the scenarios with the admin key, for 1.13.0 or for the build just before 1.15."""
    old = release == "1.13.0"
    make = admin_a if old else c
    app = "4b76cf6d-0644-45c5-9e94-2f907652e5ab" if old else "94dff286-d062-4930-b31f-8e40209e5630"
    key = "07330ce5-90a5-4865-aa9a-b5a54bc74841" if old else "a-key"
    reads = make(
        "admin-reads",
        run("wf-echo", {"text": "hi"}),
        ask("chat-basic", "hello"),
        known(app, lambda replay: replay.emulator.app_named("wf-llm").id),
        cases(ADMIN_READS, auth="admin-key", loose=LISTS),
        cases("admin-as-cookie admin-workspace-lowercase-header", auth="recorded", loose=LISTS),
        cases(f"{ADMIN_ODD} admin-web-api", auth="recorded"),
    )
    writes = make(
        "admin-writes",
        cases("admin-import", auth="admin-key"),
        known(app, lambda replay: last_app(replay).id),
        cases("admin-draft-new", auth="admin-key", loose=("/updated_by",)),
        cases("admin-publish admin-published-new", auth="admin-key"),
        cases("admin-draft-sync", auth="admin-key", current_hash=True),
        cases("admin-import-overwrite admin-import-pending admin-import-confirm", auth="admin-key"),
        cases("admin-version-patch admin-restore admin-copy", auth="admin-key"),
        cases("admin-app-put", auth="admin-key", loose=("/max_active_requests",)),
        cases("admin-key-create", auth="admin-key"),
        known(key, lambda replay: replay.emulator.instance.apps[replay.ids[app]].keys[-1].id),
        cases("admin-key-delete admin-api-enable admin-site-enable admin-draft-run admin-node-run", auth="admin-key"),
        settle,
        cases("admin-tag-create admin-tag-delete admin-invite admin-workspace-switch", auth="admin-key"),
        cases("admin-dataset-key-create admin-dataset-key-delete admin-cred-validate", auth="admin-key"),
        cases("admin-cred-get", auth="admin-key", loose=ORGANIZATION),
        cases("admin-cred-create", auth="admin-key"),
        fresh_login,
        cases("admin-logout admin-apps-after-logout", auth="admin-key", loose=LISTS),
    )
    return reads, writes


def _llm(replay: Any, **changes: Any) -> None:
    """Change the model node of the newest app's live version."""
    live = last_app(replay).live
    assert live is not None
    graph = json.loads(live.graph_text)
    node = next(item for item in graph["nodes"] if item["id"] == "llm")
    node["data"] |= changes
    live.store_graph(graph, live.features)


def _dataset(replay: Any) -> str:
    return new_dataset(replay.emulator.instance, "kb1").id


SCENARIOS = (*THIRTEEN_THREE, *FIFTEEN, *admin("1.13.0"), *admin("1.15"))

"""What is replayed of release 1.13.0 that runs something: workflows, chats, triggers, knowledge, and their faults."""

from __future__ import annotations

from typing import Any

from tests.emulator.scenarios_1_13_0 import BOUNDARY, FILE, NO_FILE, a
from tests.emulator.steps import (
    CONFIG,
    PEOPLE,
    cases,
    fresh_login,
    known,
    last_app,
    later,
    mood,
    published,
    revoke,
    settle,
    svc,
    ticks,
    with_key,
)


def _messages(replay: Any, name: str) -> list[str]:
    app = replay.emulator.app_named(name)
    return [message.id for talk in app.conversations.values() for message in talk.messages]


RUNS = (
    a(
        "workflow-runs",
        svc("wf-echo", "svc-wf-echo-blocking svc-wf-echo-streaming svc-wf-echo-fail-blocking"),
        svc("wf-echo", "svc-wf-echo-fail-streaming svc-wf-missing-input svc-wf-missing-input-streaming"),
        svc("wf-echo", "svc-wf-no-user svc-wf-bad-mode svc-wrong-app-mode"),
        svc("wf-echo", "svc-bad-json", body=b"{"),
        svc("wf-llm", "svc-wf-llm-blocking svc-wf-llm-streaming svc-wf-llm-branch-skip svc-wf-bad-select"),
        cases("svc-no-key", auth="none"),
        cases("svc-bad-key", auth="recorded"),
        svc("wf-echo", "svc-404 svc-405 svc-root svc-models-with-app-key svc-info-wf-echo svc-meta"),
        svc("wf-echo", "svc-run-detail-failed svc-wf-logs svc-wf-logs-failed"),
        cases("workflow-app-logs workflow-app-logs-failed workflow-app-logs-keyword"),
        svc("wf-echo", "svc-trace-id"),
        svc("wf-llm", "svc-run-detail svc-parameters-wf"),
        svc("wf-echo", "svc-run-detail-other-app"),
        svc("wf-hook", "svc-run-trigger-app"),
        svc("chat-basic", "svc-wrong-app-mode-2 svc-wrong-app-mode-3"),
        cases("runs-list-app-run runs-list-limit2 runs-list runs-list-failed runs-list-bad-status runs-list-lastid"),
        cases("runs-count-failed runs-count run-detail run-detail-404 run-detail-other-app node-executions"),
        cases("runs-list-bad-lastid node-executions-failed"),
        cases("stat-wf-average-app-interactions stat-wf-daily-conversations stat-wf-daily-terminals"),
        cases("stat-wf-on-plain stat-wf-token-costs role-admin-stats workflow-app-logs-filter"),
    ),
    a(
        "chat-runs",
        svc("chat-basic", "svc-chat-blocking svc-chat-streaming svc-chat-bad-conv svc-chat-no-query"),
        svc("chat-basic", "svc-chat-unknown-conv svc-info-chat-basic svc-parameters-chat svc-site"),
        svc("chat-basic", "svc-conversations svc-messages svc-feedback svc-app-feedbacks svc-new-chat-app"),
        svc("chat-basic", "svc-feedback-bad svc-suggested"),
        known("4a2cfc01-2d9d-4eab-83e1-e153afbc6811", lambda r: _messages(r, "chat-basic")[-1]),
        svc("chat-basic", "svc-feedback-null svc-feedback-dislike svc-feedback-null-after"),
        cases("chat-conversations chat-conversation-detail chat-messages-console chat-conversations-badstart"),
        cases("stat-average-response-time stat-bad-start stat-no-range stat-average-session-interactions"),
        cases("stat-daily-messages stat-daily-conversations stat-daily-end-users stat-token-costs"),
        cases("stat-tokens-per-second stat-user-satisfaction-rate stat-timezone chat-conversations-filter"),
        svc("chat-basic", "svc-conv-rename svc-conv-delete"),
        svc("agent", "svc-agent-blocking svc-agent-streaming svc-info-agent"),
        svc("completion-basic", "svc-completion-blocking svc-completion-streaming svc-info-completion-basic"),
        cases("completion-conversations"),
        svc("chat-basic", "svc-file-upload", body=FILE % b"hello", content_type=BOUNDARY),
        svc("chat-basic", "svc-file-upload-nofile", body=NO_FILE, content_type=BOUNDARY),
        svc("chat-basic", "svc-file-upload-big", body=FILE % (b"x" * 16_000_000), content_type=BOUNDARY),
    ),
    a(
        "chatflow-runs",
        svc("flow-chat", "svc-flow-streaming-1 svc-flow-streaming svc-flow-blocking-hang svc-info-flow-chat"),
        svc("flow-chat", "svc-conv-variables svc-flow-unknown-version"),
        known("33e97e3f-38b7-4946-8a5b-7aa161f69b54", lambda r: r.emulator.app_named("flow-chat").versions[0].id),
        svc("flow-chat", "svc-flow-specific-version"),
        cases("runs-list-flow runs-list-flow-plain flow-chat-conversations stat-flow-daily-messages"),
        cases("stat-flow-average-session-interactions stat-flow-token-costs"),
        cases("console-conversation-variables", loose=(".*/page",)),
    ),
    a(
        "stop-and-ping",
        svc("wf-echo", "stop-unknown-task stop-wf-stopcall"),
        svc("flow-chat", "stop-flow-stopcall ping-flow-streaming"),
        svc("chat-basic", "stop-chat-stopcall ping-chat-streaming"),
        svc("wf-echo", "ping-wf-streaming"),
        svc("wf-llm", "stop-wf-llm-stopcall stop-other-user-stopcall"),
    ),
    a(
        "triggers",
        cases("triggers-list triggers-list-cron webhook-get webhook-get-404"),
        cases("webhook-call webhook-call-404 webhook-call-missing webhook-call-wrong-method", auth="none"),
        cases("webhook-call-wrong-ct", auth="none", body=b"x", content_type="text/plain"),
        settle,
        cases("webhook-run-logs webhook-runs"),
        cases("trigger-disable"),
        cases("webhook-call-disabled", auth="none"),
        cases("trigger-enable"),
        ticks,
        settle,
        cases("cron-run-logs trigger-disable-cron"),
    ),
    a(
        "knowledge",
        svc("dataset", "svc-datasets-list svc-dataset-create-economy svc-doc-create-text"),
        later(1),
        svc("dataset", "svc-docs-list svc-retrieve"),
        cases("datasets-list"),
        svc("wf-echo", "svc-datasets-with-app-key"),
        svc("dataset", "svc-info-with-dataset-key"),
        cases("import-throwaway"),
        known("de46fbd0-644d-4c8a-baec-50d3a304064d", lambda replay: last_app(replay).id),
        cases("import-kb-foreign import-kb-plain-uuid export-kb"),
        published,
        with_key("kb", "t-kb"),
        svc("kb", "svc-kb-run"),
    ),
)

FAULTS = (
    a(
        "provider-faults",
        *(
            svc(app, f"llmerr-{kind}-{mode}-{how}")
            for kind in ("rate", "server", "conn", "bad", "auth", "unknown")
            for app, mode, how in (
                ("chat-basic", "chat", "blocking"),
                ("chat-basic", "chat", "streaming"),
                ("completion-basic", "completion", "blocking"),
                ("wf-llm", "wf", "blocking"),
                ("flow-chat", "flow", "streaming"),
            )
        ),
        svc("completion-basic", "llmerr-rate-completion-streaming"),
        svc("chat-basic", "llmerr-mid-chat-streaming"),
        svc("wf-llm", "llmerr-mid-wf-streaming"),
        svc("agent", "llmerr-auth-agent-streaming"),
    ),
    a(
        "revoked-key",
        revoke("sk-good-1"),
        svc("chat-basic", "revoked-chat-blocking revoked-chat-streaming"),
        svc("completion-basic", "revoked-completion-blocking"),
        svc("wf-llm", "revoked-wf-blocking revoked-wf-streaming"),
        svc("flow-chat", "revoked-flow-streaming"),
    ),
    a(
        "no-credential",
        lambda replay: replay.emulator.instance.provider.use(None),
        svc("chat-basic", "noactive-chat-blocking"),
        svc("wf-llm", "noactive-wf-blocking"),
    ),
    a(
        "daemon-down",
        mood("daemon_down"),
        svc("chat-basic", "fault-daemon-down-chat-blocking fault-daemon-down-chat-streaming"),
        svc("flow-chat", "fault-daemon-down-flow-streaming"),
        cases("daemon-down-plugin-list daemon-down-model-providers daemon-down-tool-providers"),
    ),
    a(
        "no-worker",
        mood("worker_down"),
        svc("wf-echo", "fault-noworker-wf-blocking fault-noworker-wf-streaming"),
        svc("chat-basic", "fault-noworker-chat-streaming"),
    ),
    a(
        "redis-down",
        fresh_login,
        mood("redis_down"),
        cases("redisdown-login", auth="none"),
        cases("redisdown-profile", loose=PEOPLE),
        cases("redisdown-apps", loose=CONFIG),
        cases("redisdown-export redisdown-providers redisdown-import redisdown-health"),
        cases("redisdown-refresh", auth="recorded"),
        svc("wf-echo", "redisdown-svc-info redisdown-wf-blocking redisdown-wf-streaming"),
        svc("chat-basic", "redisdown-chat-blocking"),
        mood("redis_down", False),
        cases("redisup-apps"),
        svc("wf-echo", "redisup-wf-blocking redisup-wf-streaming"),
    ),
)

SCENARIOS = (*RUNS, *FAULTS)

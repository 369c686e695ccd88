"""The tables of the contract test: which recordings are replayed, in which order, as whom. Data, no machinery."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.emulator.replay import Case, Replay, Scenario

Step = Case | Callable[[Replay], Awaitable[None] | None]

A_APPS = {
    "1ff0e62d-1f4e-4132-8197-c017fb2674f7": "wf-echo",
    "91263f3b-124e-4856-91bf-4f9b1047067a": "wf-llm",
    "0278a058-3196-47b9-98f2-e3a3f1dbe078": "wf-hook",
    "5ff75037-6270-48f5-8e8e-c7d797eb5c0b": "wf-cron",
    "e20bbc73-a824-43d8-a5a3-1e25d6843dcc": "flow-chat",
    "cc95188a-1b91-4ddd-ad13-e378ecf701b4": "chat-basic",
    "3920d44b-b826-45b0-8ab3-74ed939a5468": "agent",
    "8ea65299-4d2a-4a9b-9ead-097500fcea41": "completion-basic",
}
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
A_T_WF = "b35b5280-f809-4817-a326-8d92df0951f5"
C_T_WF = "feaa042e-5565-47e3-bb4d-482c797bc6a2"


def cases(names: str, **how: Any) -> tuple[Step, ...]:
    """Return one case per name, all sent the same way."""
    return tuple(Case(name=name, **how) for name in names.split())


def svc(key: str, names: str, **how: Any) -> tuple[Step, ...]:
    """Return service cases sent with the key of app ``key``."""
    return cases(names, key=key, **how)


def mood(name: str, on: bool = True) -> Step:
    """Return a step that switches a mood."""
    return lambda replay: replay.emulator.control.mood(name, on)


def revoke(key: str) -> Step:
    return lambda replay: replay.emulator.control.revoke(key)


def later(seconds: float) -> Step:
    """Return a step that moves the clock."""

    def move(replay: Replay) -> None:
        replay.clock.offset += seconds

    return move


def known(recorded: str, ours: Callable[[Replay], str]) -> Step:
    """Return a step that tells what a recorded id stands for."""

    def tell(replay: Replay) -> None:
        replay.ids[recorded] = ours(replay)

    return tell


def fresh_login(replay: Replay) -> Awaitable[None]:
    """Log the owner in anew and use those tokens from here on."""
    return _login(replay)


async def _login(replay: Replay) -> None:
    await replay.login("owner")


def api_off(name: str, on: bool = False) -> Step:
    def switch(replay: Replay) -> None:
        replay.emulator.app_named(name).enable_api = on

    return switch


async def settle(replay: Replay) -> None:
    """Let background runs end."""
    await asyncio.sleep(0.05)


def a(name: str, *steps: Step | tuple[Step, ...], **settings: Any) -> Scenario:
    """Return a scenario of release 1.13.0."""
    return _scenario("1.13.0", "1.13.0", name, steps, A_APPS, settings)


def b(name: str, *steps: Step | tuple[Step, ...], **settings: Any) -> Scenario:
    """Return a scenario of the build that says 1.13.3."""
    return _scenario("1.13.3", "1.13.3", name, steps, B_APPS, settings)


def c(name: str, *steps: Step | tuple[Step, ...], **settings: Any) -> Scenario:
    """Return a scenario of the build just before 1.15, which says 1.14.2."""
    settings = {"reported_version": "1.14.2", "workspace_id": C_SPACE, **settings}
    return _scenario("1.15", "1.15-dev", name, steps, C_APPS, settings)


def adm(version: str, name: str, *steps: Step | tuple[Step, ...]) -> Scenario:
    """Return a scenario of calls with the admin key."""
    if version == "1.13.0":
        return _scenario(version, "admin-key-1.13.0", name, steps, A_APPS, {"workspace_id": A_SPACE})
    settings = {"reported_version": "1.14.2", "workspace_id": C_SPACE}
    return _scenario(version, "1.15-dev", name, steps, C_APPS, settings)


def _scenario(
    version: str, folder: str, name: str, steps: tuple[Any, ...], apps: dict[str, str], settings: dict[str, Any]
) -> Scenario:
    flat: list[Any] = []
    for step in steps:
        flat += step if isinstance(step, tuple) else [step]
    return Scenario(
        version=version, folder=folder, name=name, steps=tuple(flat), apps=apps, settings=settings
    )


PEOPLE = (".*/last_login_at", ".*/last_login_ip", ".*/last_active_at")
ENV_RUNS = (r".*/tone", r".*/secs", r".*/lang")
EMPTY = {"basics": False}

SCENARIOS: tuple[Scenario, ...] = (
    a(
        "set-up",
        cases("setup-status-before apps-before-login login-before-setup setup-weak-password", auth="none",),
        cases("setup setup-status-after setup-again init-get health", auth="none"),
        is_set_up=False,
    ),
    a(
        "login",
        cases("login-no-email login-plain-password login-wrong login-unknown-email", auth="none"),
        cases("login", auth="none"),
        cases("bearer-only bearer-csrf-header-and-cookie bearer-csrf-header-no-cookie bearer-garbage", auth="recorded"),
        cases("csrf-missing csrf-wrong access-garbage access-missing", auth="recorded"),
        cases("profile workspaces workspace-current", loose=PEOPLE),
        cases("features system-features version version-noarg console-404 console-405"),
        basics=False,
    ),
    a("members", cases("members member-invite"), cases("members-after", loose=PEOPLE)),
    a(
        "refresh",
        fresh_login,
        cases("refresh old-access-after-refresh", auth="recorded", loose=PEOPLE),
        cases("refresh-garbage refresh-none", auth="recorded"),
        fresh_login,
        cases("logout access-after-logout refresh-after-logout", auth="recorded", loose=PEOPLE),
        later(7200),
        cases("access-expired", auth="recorded"),
    ),
    a("csrf-expired", fresh_login, later(1800), lambda replay: _old_csrf(replay)),
    a(
        "lockout",
        fresh_login,
        cases("lockout-1 lockout-2 lockout-3 lockout-4 lockout-5 lockout-6 lockout-7", auth="none"),
        cases("lockout-correct-password-while-locked", auth="none"),
        cases("lockout-existing-session", auth="recorded", loose=PEOPLE),
        lambda replay: _unlock(replay),
        cases("lockout-after-reset", auth="none"),
    ),
    a("no-apps", cases("apps-empty"), **EMPTY),
    a(
        "apps-list",
        cases("apps-list-is_created_by_me-true apps-list-limit-100 apps-list-limit-101", loose=(r"/data\[\]/(model_config|workflow).*",)),
        cases("apps-list-mode-advanced-chat apps-list-mode-nope apps-list-mode-workflow apps-list-name-wf-"),
        cases("apps-list-p1 apps-list-p3", loose=(r"/data\[\]/(model_config|workflow).*",)),
        cases("apps-list-p99 apps-list-page-0"),
        cases("apps-list-tag_ids-00000000-0000-4000-8000-000000000000"),
    ),
    a(
        "apps",
        cases("app-detail-404 app-detail-badid app-detail-chat app-detail-wf"),
        cases("app-create draft-get-new-app publish-no-draft app-put app-rename app-copy app-copy-secret"),
        cases("app-put-max-active app-put-max-active-0 app-delete-404"),
        cases("site-disable site-enable site-update site-token-reset"),
        cases("api-disable"),
        svc("wf-echo", "svc-api-disabled svc-run-api-disabled"),
        cases("api-enable model-config-bad-provider model-config-empty model-config-post"),
        cases("trace-get trace-config-get trace-config-get-noarg trace-enable-unconfigured trace-disable"),
        cases("trace-config-post-unreachable annotations-list"),
        cases("annotation-create"),
        cases("tag-create tag-create-dup tag-bind tags-list tag-patch tag-unbind tag-delete"),
    ),
    a(
        "import-new",
        cases("import-wf-echo import-wf-llm import-wf-hook import-wf-cron import-flow-chat import-chat-basic"),
        cases("import-agent import-completion-basic publish-wf-echo publish-wf-llm publish-wf-hook publish-wf-cron"),
        cases("publish-flow-chat api-key-create-wf-echo api-key-create-wf-llm api-key-create-wf-hook"),
        cases("api-key-create-wf-cron api-key-create-flow-chat api-key-create-chat-basic api-key-create-agent"),
        cases("api-key-create-completion-basic"),
        lambda replay: replay.ids.update(replay.ids),
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
        known("5703b8e2-08b6-4d3f-8766-4c478b80557f", lambda replay: replay.emulator.app_named("zz").id),
        cases("orphan-app-draft orphan-app-export"),
        cases("import-mm-base import-mode-mismatch-flow-into-wf app-after-mode-mismatch"),
        cases("import-mode-mismatch-chat-into-wf app-after-mode-mismatch-2"),
        cases("import-missing-dep check-deps-missing import-older-dep check-deps-older-version check-deps-ok"),
        cases("app-delete"),
    ),
    a(
        "mode-mismatch-runs",
        cases("import-mm-base import-mode-mismatch-flow-into-wf publish-after-mode-mismatch"),
        lambda replay: _new_key(replay, "flow-chat", "mm", skip=1),
        svc("mm", "svc-run-mode-mismatch"),
    ),
    a(
        "export",
        cases("export-wf-llm-nosecret export-wf-llm-false export-wf-llm-true export-wf-llm-TRUE1 export-chat"),
        cases("export-hook export-cron export-unknown-version export-bad-version"),
        cases("import-throwaway publish-v1 published-get versions-list-p1"),
        cases("export-empty-workflow-id export-old-version export-other-apps-version"),
    ),
    a(
        "draft",
        cases("draft-get draft-env-vars draft-conv-vars draft-get-chat-mode draft-system-variables draft-variables"),
        cases("import-throwaway published-none draft-sync-same draft-sync-ok draft-sync-stale-hash"),
        cases("draft-sync-garbage-hash draft-sync-no-hash draft-sync-missing-fields draft-sync-add-env"),
        cases("draft-sync-add-env-bad draft-sync-drop-env draft-sync-restore-env draft-sync-rotate-secret"),
        cases("draft-sync-other-env-with-masked-secret draft-sync-hidden-marker draft-sync-hidden-marker-no-id"),
        cases("draft-sync-no-csrf", auth="recorded"),
        cases("draft-sync-textplain", body=b'{"graph": {"nodes": []}, "features": {}}', content_type="text/plain"),
        cases("import-roundtrip-integer-env"),
        cases("draft-sync-form", body=b"graph=1", content_type="application/x-www-form-urlencoded"),
        cases("draft-sync-env-absent"),
    ),
    a(
        "versions",
        cases("import-throwaway publish-empty-body publish-long-comment publish-long-name"),
        cases("publish-no-body"),
        cases("publish-v1 publish-v3 published-get versions-list versions-list-p1 versions-list-p2 versions-named"),
        cases("version-patch version-patch-404 version-patch-empty version-restore version-delete-draft"),
        cases("version-delete-current"),
        lambda replay: _tell_old_version(replay, "b6e7d3ae-9362-4fe6-ba96-2cdbf292e181"),
        cases("version-delete-old version-delete-again"),
        lambda replay: _tell_old_version(replay, "62ec5422-4ec0-4817-9f0a-364a76b79c0b"),
        cases("export-old-version rollback-import rollback-publish"),
        lambda replay: _new_key(replay, "t-wf-renamed", "t-wf"),
        svc("t-wf", "svc-run-bad-version svc-run-unknown-version svc-run-specific-version"),
    ),
    a(
        "broken-graphs",
        cases("import-throwaway publish-v1"),
        lambda replay: _new_key(replay, "t-wf", "t-wf"),
        *[
            (lambda replay: _sync_hash(replay), *cases(f"draft-sync-{name} publish-{name}"), *svc("t-wf", f"svc-run-{name}"))
            for name in ("broken-edge", "unknown-model", "unknown-provider", "no-start", "llm-node-missing-field", "no-nodes-key")
        ],
        cases("draft-sync-empty-graph publish-empty-graph"),
    ),
)

"""The seeded fleet is the same for the same seed, of realistic size, and has what makes operating hard."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from difyops.emulator import Emulator
from difyops.emulator.dsl_text import yaml_text
from difyops.emulator.fleet import BASICS


@pytest.fixture(scope="module")
def fleet() -> Emulator:
    return Emulator(apps=200)


def texts(emulator: Emulator) -> dict[str, str]:
    instance = emulator.instance
    return {app.id: yaml_text(instance, app, app.draft, secrets=True) for app in list(instance.apps.values())[:60]}


def test_the_eight_known_apps_are_there_published_with_one_key_each():
    emulator = Emulator()
    apps = [emulator.app_named(name) for name in BASICS]
    assert [len(app.keys) for app in apps] == [1] * 8
    assert all(app.live is not None or not app.is_flow for app in apps)
    assert Emulator(basics=False).instance.apps == {}


def test_the_same_seed_gives_the_same_fleet_and_another_seed_another():
    assert texts(Emulator(apps=60)) == texts(Emulator(apps=60))
    assert texts(Emulator(apps=60)).keys() != texts(Emulator(apps=60, seed=8)).keys()


def test_apps_have_about_twenty_kilobytes_and_all_five_modes(fleet: Emulator):
    apps = [app for app in fleet.instance.apps.values() if app.description.startswith("Fleet app")]
    sizes = sorted(len(yaml_text(fleet.instance, app, app.draft, secrets=False)) for app in apps)
    assert (len(apps), sizes[0] > 10_000, 15_000 < sizes[len(sizes) // 2] < 30_000) == (200, True, True)
    assert set(Counter(app.mode for app in apps)) == {"workflow", "advanced-chat", "chat", "agent-chat", "completion"}


def test_the_fleet_has_secrets_plain_keys_tools_knowledge_triggers_and_unpublished_edits(fleet: Emulator):
    flows = [app for app in fleet.instance.apps.values() if app.draft is not None]
    graphs = " ".join(app.draft.graph_text for app in flows if app.draft)
    for kind in ("http-request", "tool", "knowledge-retrieval", "trigger-webhook", "trigger-schedule", "llm"):
        assert f'"type": "{kind}"' in graphs
    assert '"api_key": "plain-' in graphs
    assert any("CRM_TOKEN" in app.env for app in flows)
    assert any(app.live is None for app in flows)
    assert any(app.live and app.draft and app.live.hash != app.draft.hash for app in flows)
    assert max(Counter(app.name for app in fleet.instance.apps.values()).values()) > 1, "names are not unique"


def test_a_release_without_triggers_has_none_in_its_fleet():
    emulator = Emulator("1.9.1", apps=100)
    graphs = [app.draft.graph_text for app in emulator.instance.apps.values() if app.draft]
    assert not any('"trigger-' in text for text in graphs if "Fleet" in text)
    assert all("trigger-" not in json.dumps(app.env) for app in emulator.instance.apps.values())


def test_warming_serialises_everything_without_changing_it(fleet: Emulator):
    before = {app.id: app.draft.hash for app in fleet.instance.apps.values() if app.draft}
    fleet.warm()
    assert before == {app.id: app.draft.hash for app in fleet.instance.apps.values() if app.draft}

"""What an instance is filled with: the eight known apps, and a seeded fleet of any size.

Fleet apps are about 20 KB of DSL each, a mix of all five modes, with the things that make operating hard: secrets in
environment variables, plaintext keys in HTTP nodes, tools, knowledge, triggers, unpublished edits, duplicate names.
"""

from __future__ import annotations

import json
import random
from importlib import resources

from difyops.emulator import imports, publishing
from difyops.emulator.fleet_graphs import chat_config, workflow_content
from difyops.emulator.instance import Instance
from difyops.emulator.providers import SECRET_FIELD, Credential
from difyops.emulator.routes.console_keys import new_key
from difyops.emulator.routes.service_datasets import new_dataset, new_document
from difyops.emulator.store import App, Tag

BASICS = ("wf-echo", "wf-llm", "wf-hook", "wf-cron", "flow-chat", "chat-basic", "agent", "completion-basic")
GOOD_KEY = "sk-good-1"  # accepted by the emulated provider, and by nobody else
_TEAMS = ("support", "sales", "billing", "legal", "hr", "ops", "search", "docs")
_TASKS = ("triage", "summary", "answer", "router", "extract", "translate", "report", "review")
_MODES = ("workflow",) * 9 + ("advanced-chat",) * 6 + ("chat",) * 3 + ("agent-chat", "completion")


def load_basics(instance: Instance) -> None:
    """Load the eight known apps, publish them, give each a key, and set up the model provider."""
    item = Credential(id=instance.new_id(), name="primary", values={SECRET_FIELD: GOOD_KEY})
    instance.provider.credentials.append(item)
    instance.provider.use(item)
    folder = resources.files("difyops.emulator") / "known_apps"
    for name in BASICS:
        text = (folder / f"{name}.yml").read_text(encoding="utf-8").replace("version: 0.6.0", "version: 0.3.0", 1)
        outcome = imports.start(instance, instance.owner, {"mode": "yaml-content", "yaml_content": text})
        app = instance.apps[outcome.body["app_id"]]
        if app.is_flow:
            publishing.publish(instance, app, instance.owner, "v1", "first")
        new_key(instance, app.id)
    instance.dependencies.clear()


def load_fleet(instance: Instance, count: int) -> None:
    """Add ``count`` apps that depend on the instance's seed only; nine of ten workflows are published."""
    rng = random.Random(instance.settings.seed * 1000 + count)
    tags = [Tag(id=instance.new_id(), name=name, type="app") for name in ("prod", "staging", *_TEAMS)]
    instance.tags += tags
    dataset = new_dataset(instance, "handbook")
    new_document(instance, dataset, "handbook.txt", "Opening hours are nine to five.\n\nRefunds take ten days.")
    for number in range(count):
        app = _fleet_app(instance, rng, number, dataset.id)
        app.created_at -= (count - number) * 60
        app.updated_at = app.created_at
        for tag in rng.sample(tags, rng.randint(0, 2)):
            app.tags.append(tag)
            tag.targets.add(app.id)
        if rng.random() < 0.8:
            new_key(instance, app.id)


def _fleet_app(instance: Instance, rng: random.Random, number: int, dataset_id: str) -> App:
    mode = rng.choice(_MODES)
    name = f"{rng.choice(_TEAMS)}-{rng.choice(_TASKS)}-{number:04d}"
    if number % 50 == 49:
        name = "untitled copy"
    app = publishing.new_app(instance, instance.owner, name=name, mode=mode, description=f"Fleet app {number}")
    if app.is_flow:
        _fill_flow(instance, app, rng, dataset_id)
    else:
        app.model_config = chat_config(rng, mode)
        app.config_times = (app.created_at, app.created_at)
    return app


def _fill_flow(instance: Instance, app: App, rng: random.Random, dataset_id: str) -> None:
    triggers = instance.release.triggers and app.mode == "workflow"
    content = workflow_content(rng, mode=app.mode, dataset_id=dataset_id, triggers=triggers)
    draft = publishing.save_draft(
        instance, app, instance.owner, graph=content["graph"], features=content["features"],
        env=publishing.read_variables(instance, content["environment_variables"], [], stars_keep=False),
        conversation=publishing.read_variables(
            instance, content["conversation_variables"], [], stars_keep=False, prefix="conversation"
        ),
    )  # fmt: skip
    if rng.random() >= 0.9:
        return
    publishing.publish(instance, app, instance.owner, f"v{rng.randint(1, 9)}")
    if rng.random() < 0.1:  # somebody has been editing since
        graph = json.loads(draft.graph_text)
        graph["nodes"][0]["data"]["title"] = "Start (edited)"
        draft.store_graph(graph, draft.features)

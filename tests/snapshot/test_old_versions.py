"""Before 1.8.1 a server exports drafts only: secrets come from the draft of the same name, and rollback works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.emulator.routes import all_routes
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague, break_prompt, node, set_secret

ROUTES = Path(__file__).parents[1] / "api" / "routes" / "1.4.3.txt"


@pytest.fixture
def emulator() -> Emulator:
    return Emulator("1.4.3")


def secrets(emulator: Emulator, name: str) -> tuple[str, str]:
    """Return the value of the secret that is live and of the one in the draft."""
    app = emulator.app_named(name)
    return str(app.live_env["API_TOKEN"]), str(app.env["API_TOKEN"])


def test_a_rollback_over_a_dirty_draft_keeps_the_secret_that_is_alive(
    cli: Cli, emulator: Emulator, colleague: Colleague, connected: str
) -> None:
    app = colleague.app_id("wf-llm")
    taken = cli("snapshot", "create", "--tag", "v1", "-o", "json")
    assert taken.code == 0, taken.err
    good = colleague.live(app)["graph"]
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    colleague.edit(app, lambda document: node(document, "start").update(title="half done"))
    drafted, before = colleague.draft(app)["graph"], secrets(emulator, "wf-llm")
    assert before[0] == before[1] != ""
    done = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes", "-o", "json")
    assert done.code == 0, done.err
    assert colleague.live(app)["graph"] == good
    assert colleague.draft(app)["graph"] == drafted
    assert secrets(emulator, "wf-llm") == before
    assert cli("snapshot", "diff", "v1", "--app", "wf-llm", "-o", "json").json["data"]["apps"] == []


def test_a_secret_that_only_the_draft_has_anew_goes_live_and_the_pages_say_so(
    cli: Cli, emulator: Emulator, colleague: Colleague, connected: str
) -> None:
    app = colleague.app_id("wf-llm")
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    colleague.edit(app, set_secret("drafted-canary-1"))
    assert cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes").code == 0
    assert secrets(emulator, "wf-llm") == ("drafted-canary-1", "drafted-canary-1")


def test_what_the_draft_has_lost_is_named_before_anything_is_done(
    cli: Cli, emulator: Emulator, colleague: Colleague, connected: str
) -> None:
    app = colleague.app_id("wf-llm")
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    colleague.edit(app, break_prompt)
    colleague.publish(app)

    def drop(document: dict[str, list[dict[str, str]]]) -> None:
        kept = [item for item in document["environment_variables"] if item["name"] != "API_TOKEN"]
        document["environment_variables"] = kept

    colleague.edit(app, drop)
    live = colleague.live(app)["graph"]
    refused = cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes")
    assert refused.code == 8, refused.err
    assert "API_TOKEN" in refused.err
    assert colleague.live(app)["graph"] == live


def test_a_refused_publication_is_taken_back_without_stars_as_secrets(
    cli: Cli, emulator: Emulator, colleague: Colleague, connected: str
) -> None:
    app = colleague.app_id("wf-llm")
    assert cli("snapshot", "create", "--tag", "v1").code == 0
    colleague.edit(app, break_prompt)
    colleague.publish(app)
    before = secrets(emulator, "wf-llm")
    emulator.control.fail(path=f"/console/api/apps/{app}/workflows/publish", method="POST", times=1, how="status:500")
    assert cli("snapshot", "rollback", "wf-llm", "--to", "v1", "--yes").code in (1, 3)
    assert secrets(emulator, "wf-llm") == before
    assert cli("changes", "list", "--open", "-o", "json").code in (0, 2)


def test_the_emulated_release_has_no_route_that_the_real_one_lacks(emulator: Emulator) -> None:
    has = {tuple(line.split("/")) for line in ROUTES.read_text().split()}
    release, extra = emulator.instance.release, []
    for route in all_routes():
        path = re.sub(r"\{provider\}|\{organization\}/\{plugin\}/\{provider\}", "{}", route.path)
        steps = tuple(re.sub(r"\{[^}]*\}", "{}", path).split("/"))
        is_there = (route.when is None or route.when(release)) and not any(
            re.search(pattern, route.path) for pattern in release.lacks
        )
        looked_at = route.path.startswith(("/console/api/apps", "/v1")) and not re.search(
            "annotation|/nodes/", route.path
        )
        if is_there and looked_at and not any(_fits(steps, item) for item in has):
            extra.append(route.template)
    assert extra == []


def _fits(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    return len(ours) == len(theirs) and all(b in (a, "{}") for a, b in zip(ours, theirs, strict=True))

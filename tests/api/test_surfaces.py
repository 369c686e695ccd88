"""Console, workspace, knowledge and service calls against every emulated version, and with garbled answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.api.instance import Instance
from difyops.api.knowledge import Knowledge, dataset_key
from difyops.api.service import Question, Service, app_key
from difyops.emulator import VERSIONS, Emulator
from difyops.errors import Conflict, CredentialError, DifyopsError, NotFound, NotSupported, ServerFault
from tests.api.opening import opened

EMPTY_WORKFLOW = "kind: app\napp: {name: n, mode: workflow}\nworkflow: {graph: {nodes: [], edges: []}, features: {}}\n"
NOWHERE = "00000000-0000-4000-8000-00000000dead"


pytestmark = pytest.mark.exhaustive(3)


@pytest.fixture(autouse=True)
def right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHT", "Passw0rd!1")


@pytest.fixture(params=VERSIONS)
def every(request: pytest.FixtureRequest) -> Iterator[tuple[Emulator, str]]:
    emulator = Emulator(request.param, apps=3)
    with emulator.listening() as url:
        yield emulator, url


async def test_apps_are_listed_once_and_read(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    async with opened(url, tmp_path) as instance:
        apps = [app async for app in instance.console.apps()]
        assert sorted(app.id for app in apps) == sorted(emulator.instance.apps)
        for app in apps:
            detail = await instance.console.app(app.id)
            assert (detail.name, detail.mode) == (app.name, app.mode)
            assert detail.enable_api is not None
            assert (detail.model_config is None) is detail.has_workflow


async def test_two_hundred_and_more_apps_come_whole(tmp_path: Path) -> None:
    emulator = Emulator(apps=242)
    with emulator.listening() as url:
        async with opened(url, tmp_path) as instance:
            assert len([app async for app in instance.console.apps()]) == 250


async def test_an_app_that_is_not_there_is_not_found(every: tuple[Emulator, str], tmp_path: Path) -> None:
    async with opened(every[1], tmp_path) as instance:
        for app_id in (NOWHERE, "not-a-uuid"):
            with pytest.raises(NotFound):
                await instance.console.app(app_id)


async def test_live_version_and_draft_are_told_apart(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    app = emulator.app_named("wf-llm")
    async with opened(url, tmp_path) as instance:
        live_id = (await instance.console.app(app.id)).live_version
        live, draft = await instance.console.live_and_draft(app.id, live_id)
        assert live is not None
        assert draft is not None
        assert (live.id, draft.is_draft) == (live_id, True)
        published = await instance.console.published(app.id)
        assert published is not None
        assert published.id == live_id


async def test_what_was_never_published_has_no_live_version(every: tuple[Emulator, str], tmp_path: Path) -> None:
    text = f"version: 0.3.0\n{EMPTY_WORKFLOW}"
    async with opened(every[1], tmp_path) as instance:
        done = await instance.console.import_dsl(text)
        assert done.app_id
        assert await instance.console.published(done.app_id) is None
        assert (await instance.console.app(done.app_id)).live_version is None
        await instance.console.delete_app(done.app_id)
        with pytest.raises(NotFound):
            await instance.console.app(done.app_id)


async def test_a_draft_moved_by_somebody_else_is_a_conflict(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    app_id = emulator.app_named("wf-echo").id
    async with opened(url, tmp_path) as instance:
        draft = await instance.console.draft(app_id)
        assert draft is not None
        await instance.console.sync_draft(app_id, draft.document, expected_hash=draft.hash)
        with pytest.raises(Conflict) as caught:
            await instance.console.sync_draft(app_id, draft.document, expected_hash="0" * 64)
        assert caught.value.server_code == "draft_workflow_not_sync"


async def test_versions_come_newest_first(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    app_id = emulator.app_named("wf-echo").id
    async with opened(url, tmp_path) as instance:
        for number in range(12):
            await instance.console.publish(app_id, name=f"n{number}", comment="x" * 300)
        versions = [item async for item in instance.console.versions(app_id)]
        assert [item.marked_name for item in versions[:12]] == [f"n{number}" for number in reversed(range(12))]
        assert not any(item.is_draft for item in versions)


async def test_switches_are_switched_and_read_back(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    app_id = emulator.app_named("chat-basic").id
    async with opened(url, tmp_path) as instance:
        await instance.console.set_api(app_id, enabled=False)
        await instance.console.set_site(app_id, enabled=False)
        app = await instance.console.app(app_id)
        assert (app.enable_api, app.enable_site) == (False, False)


async def test_triggers_are_listed_and_switched_where_there_are_any(
    every: tuple[Emulator, str], tmp_path: Path
) -> None:
    emulator, url = every
    app_id = emulator.app_named("wf-cron").id
    async with opened(url, tmp_path) as instance:
        triggers = await instance.console.triggers(app_id)
        assert bool(triggers) is emulator.instance.release.triggers
        for trigger in triggers:
            await instance.console.set_trigger(app_id, trigger.id, enabled=False)
        assert all(item.status == "disabled" for item in await instance.console.triggers(app_id))


async def test_tags_are_made_and_bound(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    async with opened(url, tmp_path) as instance:
        tag_id = await instance.workspace.create_tag("nightly")
        await instance.console.bind_tag(emulator.app_named("wf-echo").id, tag_id)
        tagged = [app.name async for app in instance.console.apps() if "nightly" in app.tags]
        assert tagged == ["wf-echo"]
        assert "nightly" in {tag["name"] for tag in await instance.workspace.tags()}


async def test_the_workspace_says_what_apps_stand_on(every: tuple[Emulator, str], tmp_path: Path) -> None:
    async with opened(every[1], tmp_path) as instance:
        workspace = instance.workspace
        assert (await workspace.current())["id"] == every[0].workspace_id
        assert any(item.get("current") for item in await workspace.workspaces())
        assert await workspace.model_providers()
        assert isinstance(await workspace.plugins(), list)
        assert isinstance(await workspace.default_models(), dict)
        assert isinstance(await workspace.models(), set)
        assert isinstance(await workspace.tool_providers(), list)
        assert [item["name"] async for item in workspace.datasets()] == ["handbook"]


async def test_a_version_is_restored_on_the_server_or_said_to_be_impossible(
    every: tuple[Emulator, str], tmp_path: Path
) -> None:
    emulator, url = every
    app_id = emulator.app_named("wf-echo").id
    async with opened(url, tmp_path) as instance:
        live = await instance.console.published(app_id)
        assert live is not None
        if emulator.instance.release.restore:
            await instance.console.restore_version(app_id, live.id)
        else:
            with pytest.raises(NotSupported):
                await instance.console.restore_version(app_id, live.id)


async def test_a_build_that_lies_is_corrected_by_its_404(tmp_path: Path) -> None:
    emulator = Emulator("1.13.0", reported_version="1.15.0")
    app_id = emulator.app_named("wf-echo").id
    with emulator.listening() as url:
        async with opened(url, tmp_path) as instance:
            for _ in range(2):
                with pytest.raises(NotSupported):
                    await instance.console.restore_version(app_id, NOWHERE)
            assert not instance.capabilities.can("restore_version")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (
            f"version: 99.0.0\n{EMPTY_WORKFLOW}",
            "pending",
        ),
        (": not yaml", "failed"),
        ("", "failed"),
        ("- a list", "failed"),
    ],
)
async def test_imports_end_as_what_they_are(
    every: tuple[Emulator, str], tmp_path: Path, text: str, status: str
) -> None:
    async with opened(every[1], tmp_path) as instance:
        done = await instance.console.import_dsl(text)
        assert done.status == status
        assert bool(done.error) is (status == "failed")


async def test_an_app_runs_with_a_key_found_through_the_console(every: tuple[Emulator, str], tmp_path: Path) -> None:
    emulator, url = every
    app_id = emulator.app_named("chat-basic").id
    async with opened(url, tmp_path) as instance:
        key = await app_key(instance.console, app_id)
        assert key.reveal() not in f"{key!r} {key} {[key]}"
        service = Service(instance.transport, key, "chat")
        assert (await service.info())["name"] == "chat-basic"
        answer = await service.run(Question(query="hello"))
        assert answer.text
        assert answer.conversation_id


async def test_an_app_without_a_key_says_so_and_gets_none(tmp_path: Path, emulator: Emulator, url: str) -> None:
    app_id = emulator.app_named("wf-echo").id
    async with opened(url, tmp_path) as instance:
        listed = await instance.console.mapping(f"/apps/{app_id}/api-keys", doing="list keys")
        for row in listed["data"]:
            await instance.console.send("DELETE", f"/apps/{app_id}/api-keys/{row['id']}", None, doing="delete a key")
        with pytest.raises(CredentialError):
            await app_key(instance.console, app_id)
    assert not any(key.app_id == app_id for key in emulator.instance.keys.values())


async def test_a_wrong_app_key_is_not_authenticated(tmp_path: Path, emulator: Emulator, url: str) -> None:
    from difyops.errors import NotAuthenticated
    from difyops.secret_text import SecretText

    async with opened(url, tmp_path) as instance:
        with pytest.raises(NotAuthenticated):
            await Service(instance.transport, SecretText("app-canarywrong0000000000000"), "chat").info()


async def test_datasets_are_asked_with_their_own_key(tmp_path: Path) -> None:
    emulator = Emulator(apps=1)
    with emulator.listening() as url:
        async with opened(url, tmp_path) as instance:
            with pytest.raises(CredentialError):
                await dataset_key(instance.console)
            await instance.console.send("POST", "/datasets/api-keys", {}, doing="create a key")
            knowledge = Knowledge(instance.transport, await dataset_key(instance.console))
            (dataset,) = [item async for item in knowledge.datasets()]
            assert [item["name"] async for item in knowledge.documents(dataset["id"])] == ["handbook.txt"]
            for _ in range(100):
                (document,) = [item async for item in knowledge.documents(dataset["id"])]
                if document["indexing_status"] == "completed":
                    break
                await asyncio.sleep(0.05)
            assert await knowledge.retrieve(dataset["id"], "refunds", keyword=True)


async def ask_everything(instance: Instance, app_id: str) -> list[BaseException | object]:
    console, workspace = instance.console, instance.workspace
    return await asyncio.gather(
        console.app(app_id), console.draft(app_id), console.published(app_id), console.live_and_draft(app_id, app_id),
        console.clear_environment(app_id), console.export(app_id), console.import_dsl("x"), console.triggers(app_id),
        console.missing_dependencies(app_id), console.set_api(app_id, enabled=True), console.publish(app_id),
        workspace.identify(), workspace.current(), workspace.workspaces(), workspace.tags(), workspace.create_tag("x"),
        workspace.plugins(), workspace.model_providers(), workspace.default_models(), workspace.models(),
        workspace.tool_providers(), dataset_key(console),
        return_exceptions=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "content", ["null", "[]", "7", '"text"', "{}", '{"data": null}', '{"data": 7, "items": [3]}', "[[]]"]
)
async def test_answers_of_another_shape_are_never_a_crash(content: str, tmp_path: Path) -> None:
    from tests import faults

    setup = {"/console/api/setup": faults.answer(200, {"step": "finished"})}
    other = faults.answer(200, content.encode())
    with faults.serving(faults.by_path(setup, other)) as server:
        fields = {"email": None, "password": None, "admin_key": "env:RIGHT", "workspace_id": NOWHERE}
        async with opened(server.url, tmp_path, **fields) as instance:
            for found in await ask_everything(instance, NOWHERE):
                assert not isinstance(found, BaseException) or isinstance(found, DifyopsError), repr(found)


async def test_another_program_at_the_address_is_told_from_dify(tmp_path: Path) -> None:
    from tests import faults

    page = faults.answer(200, b"<!doctype html><title>nginx</title>", content_type="text/html")
    missing = faults.answer(404, b"<h1>404</h1>", content_type="text/html")
    other_api = faults.answer(200, {"hello": "world"})
    for behaviour in (page, missing, other_api):
        with faults.serving(behaviour) as server:
            with pytest.raises(ServerFault, match=r"connect to 127\.0\.0\.1") as caught:
                async with opened(server.url, tmp_path):
                    pass
            assert caught.value.hint

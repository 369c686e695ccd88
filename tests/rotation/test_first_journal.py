"""Rotations that an older version left behind, in a journal of their own: shown, gone on with, taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from difyops import atomic_file
from difyops.changes.recovery import Recovery
from difyops.cli.changes import kinds
from difyops.emulator import Emulator
from difyops.ledger import Event, Ledger
from difyops.rotation.engine import Driver, turn_back
from difyops.rotation.machine import State
from tests.rotation.rig import CASES, Later, Rig, count_of, value_in_use

KIND = "env"
FORMER = {"left_out": "set_aside", "set_aside": "kept_drafts"}


class Killed(BaseException):
    """The process is gone."""


def as_before(events: list[Event]) -> list[Event]:
    """Return the lines of a rotation as older versions wrote them."""
    found = []
    for event in events:
        data: dict[str, Any] = dict(event.data)
        told: dict[str, Any] = {"rotation": data.pop("change")}
        if event.kind == "change.begun":
            facts = data["facts"]
            told |= {**{name: data[name] for name in ("label", "url", "host")}, "kind": facts.pop("secret"), **facts}
            del told["app_id"]
        elif event.kind == "change.step":
            told |= {"entry": data["entry"], "step": data["name"]}
            told |= {name: data[name] for name in ("why", "state", "force", "hopeless", "away") if name in data}
            memo = {FORMER.get(name, name): fact for name, fact in data.get("memo", {}).items() if name != "phase"}
            told |= {"memo": memo} if memo else {}
        else:
            told["state"] = {"done": "done", "undone": "rolled_back"}[data["state"]]
        subject = event.subject.removeprefix("secret/")
        kind = event.kind.replace("change.", "rotation.")
        found.append(Event(kind=kind, subject=subject, when=event.when, context=event.context, data=told))
    return found


def take_back_in_time(rig: Rig) -> str:
    """Rewrite the state folder into what an older version would have left; return the rotation's id."""
    with rig.ledger() as ledger:
        events = ledger.events("change.*")
    for path in rig.state.glob("ledger.*"):
        path.unlink()
    with rig.ledger() as ledger:
        ledger.append_all(as_before(events))
    identity = str(events[0].data["change"])
    folder, here = rig.state / "rotation-secrets" / identity, rig.state / "changes" / identity
    for path in sorted(here.glob("*.json")):
        write_as_before(folder / path.name, json.loads(path.read_bytes()))
        path.unlink()
    return identity


def write_as_before(path: Any, held: Mapping[str, Any]) -> None:
    """Write a held document as 0.1.0 did: the values of its variables beside it."""
    variables = held["document"].get("environment_variables") or ()
    hidden = [{**item, "value": "[__HIDDEN__]"} for item in variables]
    values = {item["name"]: item["value"] for item in variables}
    body = {**held, "document": {**held["document"], "environment_variables": hidden}, "values": values}
    atomic_file.write(path, json.dumps(body).encode(), mode=atomic_file.PRIVATE)


async def cut_off(rig: Rig, at: str) -> str:
    """Cut a rotation off, and age what it left."""

    def kill(name: str) -> None:
        if name == at:
            raise Killed

    with pytest.raises(Killed):
        await rig.rotate(CASES[KIND], checkpoint=kill)
    return take_back_in_time(rig)


def draft_title(emulator: Emulator) -> str:
    draft = emulator.app_named("wf-llm").draft
    assert draft
    return str(draft.graph["nodes"][0]["data"]["title"])


@pytest.mark.exhaustive(2)
@pytest.mark.parametrize("way", ["finish", "undo"])
@pytest.mark.parametrize("at", ["before write draft", "after write draft", "after publish"])
async def test_one_that_was_cut_off_is_ended_like_any_change(rig: Rig, emulator: Emulator, at: str, way: str) -> None:
    before = value_in_use(emulator, KIND)
    identity = await cut_off(rig, at)
    async with rig.bench() as bench:
        (found,) = bench.journal.open()
        assert (found.id, found.kind) == (identity, KIND)
        bench.journal.take_over_all()
        recovery = Recovery(journal=bench.journal.changes, kinds=kinds())
        (record,) = recovery.chosen(None)
        assert record.id == identity
        await (recovery.finish if way == "finish" else recovery.undo)(bench.instance, record)
    await rig.resume()
    assert value_in_use(emulator, KIND) == (CASES[KIND].new if way == "finish" else before)
    assert draft_title(emulator) == "a colleague's title"
    assert not rig.held()
    with rig.ledger() as ledger:
        assert len(ledger.events("change.begun")) == 1


async def test_one_in_its_grace_period_is_gone_on_with(rig: Rig, emulator: Emulator) -> None:
    await rig.rotate(CASES["provider"], wait=False, grace=3600.0)
    take_back_in_time(rig)
    rig.clock = Later()
    done = await rig.resume()
    assert done
    assert done.rotation.state is State.DONE
    assert count_of(emulator, "provider") == 1
    async with rig.bench() as bench:
        assert [entry.outcome for entry in bench.journal.audit(done.rotation)][-1] == "done"
        assert bench.journal.lines(done.rotation)[0].entry == "begun"


async def test_one_in_its_grace_period_is_taken_back(rig: Rig, emulator: Emulator) -> None:
    await rig.rotate(CASES["provider"], wait=False, grace=3600.0)
    take_back_in_time(rig)
    async with rig.bench() as bench:
        (found,) = bench.journal.open()
        assert found.state is State.GRACE
        driven = await Driver(bench).drive(await turn_back(bench, found))
    assert driven.rotation.state is State.ROLLED_BACK
    assert value_in_use(emulator, "provider") == CASES["provider"].old


async def test_one_that_ended_is_history_and_tells_the_age(rig: Rig) -> None:
    await rig.rotate(CASES["provider"])
    identity = take_back_in_time(rig)
    async with rig.bench() as bench:
        assert bench.journal.open() == []
        assert [item.state for item in bench.journal.all()] == [State.DONE]
        assert bench.journal.find(identity[:6]).id == identity
        assert set(bench.journal.finished()) == {f"provider/{CASES['provider'].arguments[0]}"} | {
            f"provider/{CASES['provider'].arguments[0]} r{identity[:6]}"
        }
        bench.journal.take_over_all()
    with rig.ledger() as ledger:
        assert isinstance(ledger, Ledger)
        assert ledger.events("change.begun") == []

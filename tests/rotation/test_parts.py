"""The parts by themselves: kinds as plugins, the vault, the journal's folding, policies, made-up inputs, advice."""

from __future__ import annotations

import importlib
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import keyring
import keyring.backend
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api.input_form import InputField, check_inputs, completed
from difyops.changes import ChangeRecord
from difyops.dsl.secrets import Location
from difyops.errors import UsageError
from difyops.rotation.credential_choice import name_for
from difyops.rotation.facts import gather
from difyops.rotation.inventory import variable_name
from difyops.rotation.journal import folded_rotations
from difyops.rotation.kinds import SecretKind, kind_named, kinds
from difyops.rotation.machine import State
from difyops.rotation.policy import policy_of
from difyops.rotation.reading import ref
from difyops.rotation.record import Rotation, RotationSettings
from difyops.rotation.vault import KEYRING, NEW, OLD, Vault, fingerprint
from difyops.secret_text import SecretText
from tests.rotation.rig import CASES, Rig

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class InMemory(keyring.backend.KeyringBackend):
    """A keyring for one test."""

    priority = 1.0

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


@pytest.mark.parametrize("name", sorted(kinds()))
def test_a_kind_is_one_module_with_help_and_everything_the_engine_asks_for(name: str) -> None:
    module = importlib.import_module(f"difyops.rotation.kinds.{name.replace('-', '_')}")
    kind = kinds()[name]
    assert module.__doc__
    assert type(kind).__doc__
    assert f"secret rotate {name}" in (type(kind).__doc__ or "")
    for part in [part for part in dir(SecretKind) if not part.startswith("_")]:
        assert hasattr(kind, part), part
    assert name in CASES


def test_a_kind_that_does_not_exist_is_a_usage_error_that_lists_them() -> None:
    with pytest.raises(UsageError, match="not a kind") as caught:
        kind_named("password")
    assert "app-key" in str(caught.value.hint)


@pytest.mark.parametrize("hold", ["file", KEYRING])
def test_a_vault_gives_back_what_it_holds_and_forgets_everything(tmp_path: Path, hold: str) -> None:
    before, here = keyring.get_keyring(), InMemory()
    keyring.set_keyring(here)
    try:
        vault = Vault.of(tmp_path, "abc", hold)
        vault.keep(NEW, SecretText('two\nlines and "quotes" of canary'))
        assert vault.get(NEW) == SecretText('two\nlines and "quotes" of canary')
        assert vault.get(OLD) is None
        assert bool(here.entries) == (hold == KEYRING)
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or path.stat().st_mode & 0o777 == 0o600
        vault.clear()
        vault.clear()
        assert vault.get(NEW) is None
        assert not here.entries
        assert not (tmp_path / "rotation-secrets" / "abc").exists()
    finally:
        keyring.set_keyring(before)


def test_a_fingerprint_differs_between_installations_and_not_between_runs(tmp_path: Path) -> None:
    secret = SecretText("1234")
    one, other = tmp_path / "one", tmp_path / "other"
    assert fingerprint(one, secret) == fingerprint(one, SecretText("1234"))
    assert fingerprint(one, secret) != fingerprint(other, secret)
    assert (one / "fingerprint.key").stat().st_mode & 0o777 == 0o600


async def test_every_beginning_of_a_journal_is_a_rotation_that_can_go_on(rig: Rig) -> None:
    await rig.rotate(CASES["provider"])
    async with rig.bench() as bench:
        events = bench.journal.ledger.events("change.*")
    states = [next(iter(folded_rotations(events[:length]).values())).state for length in range(1, len(events) + 1)]
    assert states[0] is State.PLANNED
    assert states[-1] is State.DONE
    order = list(State)
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)


def in_grace(grace: float, **memo: float) -> Rotation:
    record = ChangeRecord(
        id="a", kind="secret.rotate", subject="secret/env/a", context="c", url="u", label="a", began=NOW, actor="",
        facts={"secret": "env", "lock": "l", "target": {}}, memo=memo,
    )  # fmt: skip
    return Rotation(record=record, settings=RotationSettings(grace=grace), state=State.GRACE, updated=NOW)


@given(
    st.floats(0.1, 1e5),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.integers(0, 9),
)
def test_no_clock_makes_a_wait_longer_than_what_was_asked_for(grace: float, jump: float, failures: int) -> None:
    memo = {"grace_until": NOW.timestamp() + grace, "last_round": NOW.timestamp()}
    rotation = replace(in_grace(grace, **memo), failures=failures)
    facts = gather(rotation, NOW + timedelta(seconds=jump))
    assert facts.grace_left <= grace
    assert 0 <= facts.round_in <= 60
    assert 0 <= facts.poll_in <= 30


@given(st.integers(-10_000, 10_000), st.integers(0, 1_000), st.integers(-10_000, 10_000) | st.sampled_from([300, 301]))
def test_a_proof_is_fresh_only_after_the_grace_period_and_for_five_minutes(began: int, took: int, later: int) -> None:
    over = NOW.timestamp()
    memo = {"grace_until": over, "last_round": over + began, "round_ended": over + began + took}
    rotation = in_grace(10.0, **memo)
    facts = gather(rotation, NOW + timedelta(seconds=began + took + later))
    assert facts.proof_is_fresh == (began >= 0 and 0 <= later <= 300)


@given(st.text(min_size=1, max_size=30))
def test_names_of_new_credentials_fit_the_server_and_do_not_grow(name: str) -> None:
    once = name_for(name, "0123456789ab")
    assert len(once) <= 30
    assert once.endswith(" r012345")
    assert len(name_for(once, "ba9876543210")) == len(once)


def test_the_words_that_rotate_a_secret_are_as_a_shell_takes_them() -> None:
    assert shlex.split(ref("app-key", "support bot")) == ["app-key", "support bot"]
    assert shlex.split(ref("provider", "a/b", credential="it's")) == ["provider", "a/b", "--credential", "it's"]


def test_later_rules_win_and_deliveries_are_found_by_address() -> None:
    policy = policy_of(
        {
            "secrets": {
                "rotate_every": "90d",
                "failures": 4,
                "rules": [
                    {"match": "app-key/*", "rotate_every": "30d"},
                    {"match": "app-key/support-*", "grace": "1h", "probe": ["support-bot"], "failures": 3},
                ],
            },
            "deliver": {"app-key/support-bot": "keyring:a/b"},
        }
    )
    rule = policy.for_address("app-key/support-bot")
    assert (rule.rotate_every, rule.grace, rule.probes) == (30 * 86400, 3600, ("support-bot",))
    assert rule.deliver == ("keyring:a/b",)
    assert policy.for_address("env/x/Y").rotate_every == 90 * 86400
    assert [policy.for_address(at).failures for at in ("env/x/Y", "app-key/support-bot")] == [4, 3]


NAMES = st.text(min_size=1)
FIELDS = st.one_of(
    st.builds(InputField, name=NAMES, kind=st.sampled_from(["text-input", "paragraph"]), required=st.booleans(),
              max_length=st.sampled_from([None, 1, 3, 48])),
    st.builds(InputField, name=NAMES, kind=st.just("select"), required=st.booleans(), options=st.just(("one", "two"))),
    st.builds(InputField, name=NAMES, kind=st.sampled_from(["number", "checkbox"]), required=st.booleans()),
)  # fmt: skip


@given(st.lists(FIELDS, unique_by=lambda item: item.name))
def test_completed_inputs_satisfy_the_form(form: list[InputField]) -> None:
    check_inputs(tuple(form), completed(tuple(form), {}, "ping"))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("node:http1/headers#Authorization", "AUTHORIZATION"),
        ("node:http1/authorization.config.api_key", "API_KEY"),
        ("node:http1/url#~1", "URL_SECRET"),
    ],
)
def test_a_variable_is_proposed_for_a_secret_in_clear(key: str, name: str) -> None:
    assert variable_name(Location.parse(key)) == name

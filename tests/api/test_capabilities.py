"""What a server can do: from its version, corrected by what calls show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api.capabilities import Capabilities, parse
from difyops.errors import NotSupported


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.13.0", (1, 13, 0)),
        ("v1.9.1", (1, 9, 1)),
        ("1.10.1-fix1", (1, 10, 1)),
        ("1.10.0-rc1", (1, 10, 0)),
        (" 1.15 ", (1, 15, 0)),
        ("main", None),
        ("", None),
        ("1", None),
        ("9" * 5000 + ".1", None),
        ("١.٢", None),
    ],
)
def test_versions_are_read(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse(text) == version


@given(st.text())
def test_any_version_text_is_read_or_unknown(text: str) -> None:
    found = parse(text)
    assert found is None or len(found) == 3


@pytest.mark.parametrize(
    ("version", "name", "can"),
    [
        ("1.9.1", "triggers", False),
        ("1.10.0", "triggers", True),
        ("1.13.0", "restore_version", False),
        ("1.13.3", "restore_version", True),
        ("1.8.0", "export_version", False),
        ("1.8.1", "export_version", True),
        ("", "restore_version", True),
        ("somebody's build", "triggers", True),
    ],
)
def test_the_table_knows_since_when(version: str, name: str, can: bool) -> None:
    assert Capabilities(version).can(name) is can


def test_what_a_call_showed_wins_over_the_version() -> None:
    capabilities = Capabilities("1.15.0")
    capabilities.learn("restore_version", False)
    with pytest.raises(NotSupported) as caught:
        capabilities.require("restore_version", "Restoring")
    assert caught.value.exit_code == 6
    old = Capabilities("1.9.1")
    old.learn("triggers", True)
    old.require("triggers", "Listing triggers")


def test_a_refusal_names_both_versions() -> None:
    with pytest.raises(NotSupported, match=r"1\.10\.0 or newer; this one is 1\.9\.1"):
        Capabilities("1.9.1").require("triggers", "Listing triggers")


def test_node_types_from_the_future_are_unknown_to_an_old_server_only() -> None:
    types = {"llm", "loop", "trigger-schedule", "human-input", "from-the-future"}
    assert Capabilities("1.9.1").unknown_node_types(types) == {"trigger-schedule", "human-input", "from-the-future"}
    assert Capabilities("1.15.0").unknown_node_types(types) == set()
    assert Capabilities("").unknown_node_types(types) == set()


@pytest.mark.parametrize(
    ("version", "dsl"),
    [("1.9.1", "0.4.0"), ("1.11.2", "0.5.0"), ("1.15.0", "0.6.0"), ("1.16.1", "0.7.0"), ("0.15", "0.1.5")],
)
def test_the_dsl_version_follows_the_server(version: str, dsl: str) -> None:
    assert Capabilities(version).dsl_version == dsl

"""Servers newer than the table, the catalog of 1.18, app packages: noticed and said."""

from __future__ import annotations

import pytest

from difyops.dsl.load import load_dsl
from difyops.dsl.model import DslError
from difyops.emulator import Emulator
from tests.conftest import Cli


@pytest.mark.parametrize(("version", "is_said"), [("1.20.0", True), ("2.0.0-rc1", True), ("1.19.7", False)])
def test_a_server_newer_than_the_table_is_served_with_a_warning(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, version: str, is_said: bool
) -> None:
    emulator = Emulator("1.17", reported_version=version)
    with emulator.listening() as url:
        for name, value in (("URL", url), ("EMAIL", emulator.email), ("PASSWORD", emulator.password)):
            monkeypatch.setenv(f"DIFY_{'BASE_URL' if name == 'URL' else name}", value)
        listed = cli("app", "list", "-o", "name")
        assert listed.code == 0, listed.err
        assert ("releases up to 1.19" in listed.err) is is_said
        assert cli("context", "check").code == 0


@pytest.mark.parametrize(("answer", "is_there"), [(None, False), ("status:401", True)])
def test_the_catalog_is_noticed(cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str | None, is_there: bool) -> None:
    emulator = Emulator("1.17", reported_version="1.18.0")
    with emulator.listening() as url:
        for name, value in (("BASE_URL", url), ("EMAIL", emulator.email), ("PASSWORD", emulator.password)):
            monkeypatch.setenv(f"DIFY_{name}", value)
        if answer:
            emulator.control.fail(path="/openapi/v1/_catalog", times=9, how=answer)
        ran = cli("runbook", "run", "morning-check", "-o", "json")
    assert _value(ran.out) is is_there


def _value(text: str) -> bool | None:
    import re

    found = re.search(r'"openapi_catalog"[^}]*?(true|false)', text)
    return None if found is None else found[1] == "true"


def test_an_app_package_is_recognised() -> None:
    for content in (b"PK\x03\x04\x14\x00\x00\x00", "PK\x03\x04\x14"):
        with pytest.raises(DslError, match="app package"):
            load_dsl(content)

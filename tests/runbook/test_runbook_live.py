"""Runbooks against a real instance (``make test-live``): only what looks, nothing that changes.

Needs ``DIFY_BASE_URL`` and credentials in the environment, as the README says, and ``DIFY_BROKER_URL`` (the server's
CELERY_BROKER_URL) for the queues. Without them everything is skipped.
"""

from __future__ import annotations

import os

import pytest

from tests.conftest import Cli

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

ENVIRONMENT = {name: value for name, value in os.environ.items() if name.startswith("DIFY")}


@pytest.fixture(autouse=True)
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    if "DIFY_BASE_URL" not in ENVIRONMENT:
        pytest.skip("DIFY_BASE_URL is not set")
    for name, value in ENVIRONMENT.items():
        if name not in ("DIFYOPS_STATE", "DIFYOPS_STORE"):
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", ["morning-check", "stuck-runs", "auth-failures", "backup-freshness", "secret-expiry"])
def test_a_real_instance_gives_every_check_something_to_judge(cli: Cli, name: str) -> None:
    ran = cli("runbook", "run", name, "-o", "json")
    assert ran.code in (0, 3, 5), ran.err
    steps = {step["id"]: step for step in ran.json["data"]["steps"]}
    assert steps
    broken = [step["text"] for step in steps.values() if "the check itself is broken" in step["text"]]
    assert not broken
    assert steps.get("health", {"result": "pass"})["result"] == "pass", steps["health"]["text"]


def test_real_workers_say_which_queues_they_consume_and_nothing_is_left_in_their_redis(cli: Cli) -> None:
    redis = pytest.importorskip("redis")
    if "DIFY_BROKER_URL" not in ENVIRONMENT:
        pytest.skip("DIFY_BROKER_URL is not set")
    with redis.Redis.from_url(ENVIRONMENT["DIFY_BROKER_URL"]) as client:
        before = {key for key in client.keys("*") if b"pidbox" in key or b"difyops" in key}
        ran = cli("runbook", "run", "queue-saturation", "--set", "redis=env:DIFY_BROKER_URL", "-o", "json")
        assert {key for key in client.keys("*") if b"pidbox" in key or b"difyops" in key} == before
    depth = next(step for step in ran.json["data"]["steps"] if step["id"] == "depth")
    values = {value["name"]: value["value"] for value in depth["values"]}
    assert values["workers"] >= 1, depth["text"]
    assert "unconsumed" in values

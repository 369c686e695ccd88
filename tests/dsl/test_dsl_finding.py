"""What is found in every place and format, what stays in clear, and what a policy changes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from difyops.dsl import secret_rules
from difyops.dsl.secret_places import PlaceFound, found_in, found_in_text, without_secrets
from difyops.dsl.secret_policy import DEFAULT, SealPolicy, policy_of
from difyops.dsl.secrets import redact, reinject
from difyops.errors import ConfigError
from tests.dsl import placements
from tests.dsl.canaries import PROVIDERS
from tests.dsl.dsl_samples import env, http, node, workflow
from tests.ground.patterns import Found as Pattern
from tests.ground.test_patterns import worst

KEY = "9f3a1c7d5e8b2046"


def prompt(text: str) -> dict[str, Any]:
    return workflow(node("llm", "llm", prompt_template=[{"role": "system", "text": text}]))


def tool(**parameters: object) -> dict[str, Any]:
    values = {name: {"type": "mixed", "value": value} for name, value in parameters.items()}
    return workflow(node("t", "tool", provider_id="acme/sheets/sheets", tool_parameters=values))


def kinds(document: dict[str, Any], policy: SealPolicy = DEFAULT) -> list[str]:
    return [hit.kind for hits in found_in(document, policy).values() for hit in hits]


@pytest.mark.parametrize("table", [placements.generated, placements.by_hand, placements.unusual, placements.anywhere])
def test_secrets_are_found_in_every_place_and_format(table: Any) -> None:
    items = list(table())
    missed = [f"{item.name}: {secret}" for item in items for secret in placements.missed(item)]
    assert sum(len(item.secrets) for item in items) >= 250
    assert len(missed) <= 0.02 * len(items), missed


def test_what_is_found_comes_back_exactly() -> None:
    for item in list(placements.by_hand(1))[::5]:
        redacted = redact(item.document)
        assert reinject(redacted.document, redacted.secrets) == (item.document, [])
        assert redact(redacted.document, is_marked=True).document == redacted.document


@pytest.mark.parametrize("name", ["app_token", "spreadsheet_token", "folder_token", "node_token", "doc_token",
                                  "file_token", "wiki_token", "obj_token", "appToken", "table_id"])  # fmt: skip
def test_ids_that_are_public_by_kind_stay_in_clear(name: str) -> None:
    document = tool(**{name: "TABLEAAAAsht1Cshdf7Qx"})
    assert found_in(document) == {}
    assert found_in(prompt(f"Use {name}=TABLEAAAAsht1Cshdf7Qx for it.")) == {}


def test_a_header_of_the_same_words_is_no_public_id() -> None:
    assert kinds(http(headers="X-App-Token:TABLEAAAAsht1Cshdf7Qx")) == ["header"]


@pytest.mark.parametrize(
    "text",
    [
        "langgenius/openai:0.0.7@0fb6c8c4d5e7f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6",
        "node 1718273645123 of app 5c0f7b1e-93aa-4d26-8f01-2b7d6e9a4c33",
        "use claude-3-5-sonnet-20241022 or text-embedding-3-large with max_tokens: 4096 and next_token: 12",
        'api_key = "your-api-key"; token = "{{#env.TOKEN#}}"; password: xxx',
        "Authorization: Bearer {{#env.TOKEN#}}",
        "Authorization: Bearer <YOUR_TOKEN>",
        "The password is required and must be changed. The token is invalid or expired.",
        'if token == "access_token" and key in ("api_key", "secret_key"): return {"password": "string"}',
        "api_key = os.environ['API_KEY_1']\ntoken = get_token(user1)\nkey = config.keys[0]",
        "https://example.com:8080/path@2?page=2&sort_key=name1&limit=10",
        "secret=${SECRET_1}&token=%s",
        "密码不能为空，请输入您的密码",
        "the app-name-of-something-else-2 and sk-learn-is-a-nice-library-to-use",
    ],
)
def test_what_is_public_or_only_spoken_of_stays(text: str) -> None:
    assert found_in(prompt(text)) == {}
    assert found_in(workflow(node("c", "code", code=text))) == {}


def test_the_place_is_found_however_deep_it_stands() -> None:
    export = {"kind": "app", "workflow": http(headers=f"X-Api-Key:{KEY}"), "app": {"description": f"token={KEY}"}}
    assert [path[0] for path in found_in(export)] == ["workflow", "app"]
    assert [hit.kind for hit in found_in_text(f"the password is {KEY}")] == ["assigned_secret"]


def test_a_marker_is_no_secret_and_hides_none() -> None:
    sealed = f"<difyops:sealed:0a1b2c3d:{KEY}{KEY}>"
    assert found_in(http(headers=f"X-Token:{sealed}\nX-Key:<difyops:secret>")) == {}
    assert found_in_text(f"password: {sealed}, token=<difyops:secret>") == []
    assert [hit.kind for hit in found_in_text(f"<difyops:sealed:sk-{KEY * 3}>")] == ["openai_key"]


def test_found_spans_are_sorted_and_apart() -> None:
    text = f"https://bob:pw-{KEY}@h.test/hook?token=sk-{KEY * 2} Bearer sk-{KEY * 2}, password={KEY}"
    ((_, hits),) = found_in(http(url=text)).items()
    assert all(isinstance(hit, PlaceFound) for hit in hits)
    assert all(one.end <= two.start for one, two in pairwise(hits))
    assert {hit.kind for hit in hits} >= {"url_userinfo", "openai_key"}


def test_kinds_are_words_for_counts() -> None:
    document = workflow(
        node("h", "http-request", headers=f"X-Key:{KEY}", url=f"https://h.test/?token={KEY}"),
        node("w", "trigger-webhook", webhook_url="https://h.test/triggers/webhook/aaaa"),
        environment_variables=[env("A", "anything"), env("API_KEY", KEY, "string")],
    )
    assert kinds(document) == ["header", "query_parameter", "webhook_address", "secret_variable", "named_variable"]


def test_a_policy_adds_names_and_places() -> None:
    policy = policy_of({"secrets": {"add": ["customer_pin", "X-Tenant", "node:llm/prompt_template.*"]}})
    document = workflow(
        node("llm", "llm", prompt_template=[{"text": "blue horizon"}]),
        node("t", "tool", tool_parameters={"customer_pin": {"type": "constant", "value": "north"}}),
        node("h", "http-request", headers="X-Tenant: acme\nX-Other: acme"),
        conversation_variables=[env("Customer-PIN", "south", "string")],
    )
    shown = str(redact(document, policy=policy).document)
    assert not [word for word in ("blue horizon", "north", "south", "X-Tenant: acme") if word in shown]
    assert "X-Other: acme" in shown
    assert found_in(document) == {}


def test_a_policy_excepts_names_and_places_but_no_secret_variable() -> None:
    policy = policy_of({"secrets": {"except": ["region_key", "node:h/headers#X-Token", "env:*"]}})
    document = workflow(
        node("t", "tool", tool_parameters={"region_key": {"value": KEY}, "api_key": {"value": KEY + "1"}}),
        node("h", "http-request", headers=f"X-Token:{KEY}2\nX-Auth:{KEY}3"),
        environment_variables=[env("TOKEN", "tttt-1111"), env("API_TOKEN", "tttt-2222", "string")],
    )
    secrets = [value.reveal() for value in redact(document, policy=policy).secrets.values()]
    assert secrets == [KEY + "1", KEY + "3", "tttt-1111"]


@pytest.mark.parametrize("body", [{"add": 5}, {"except": [1]}, {"add": [""]}, ["add"]])
def test_a_policy_of_the_wrong_shape_is_refused(body: object) -> None:
    with pytest.raises(ConfigError, match="secrets"):
        policy_of({"secrets": body})


@pytest.mark.parametrize("kind", [item.kind for item in secret_rules.FORMATS])
def test_no_format_is_quadratic(kind: str) -> None:
    (pattern,) = (item.pattern for item in secret_rules.FORMATS if item.kind == kind)
    assert worst(Pattern(kind, rf"(?<![\w-])(?:{pattern})", 0, "finditer")) is None


@pytest.mark.parametrize("name", ["PRIVATE_KEY", "PLACEHOLDER"])
def test_no_other_rule_is_quadratic(name: str) -> None:
    assert worst(Pattern(name, getattr(secret_rules, name), 0, "finditer")) is None


def test_every_format_has_its_kind_once() -> None:
    names = [item.kind for item in secret_rules.FORMATS]
    assert len(names) == len(set(names))
    assert len(PROVIDERS) > 50


def test_a_text_of_a_run_has_stars_where_a_secret_stood() -> None:
    inputs = '{"headers":{"Authorization":"Bearer k7Qm2Zt9Xw4Lp8Rv","X-Api-Key":"plain-c4n4ry-7788"},"q":"how are you"}'
    clean = json.loads(without_secrets(inputs))
    assert clean == {"headers": {"Authorization": "Bearer ********", "X-Api-Key": "********"}, "q": "how are you"}
    assert without_secrets("nothing of the kind") == "nothing of the kind"


def test_the_classes_of_a_classifier_are_texts_that_people_wrote() -> None:
    classes = [{"id": "1", "name": "orders, secret=k7Qm2Zt9Xw4Lp8Rv"}]
    document = workflow(node("q", "question-classifier", instruction="", classes=classes))
    assert [len(hits) for hits in found_in(document).values()] == [1]

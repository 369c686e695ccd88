from __future__ import annotations

from typing import Any

import pytest

from difyops.dsl.canonical import canonical
from difyops.dsl.exports import redact_export
from difyops.dsl.load import load_dsl
from difyops.dsl.model import DslError
from difyops.dsl.secrets import MARKER, Location, locations, redact, reinject
from difyops.secret_text import SecretText
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import env, http, node, workflow

CANARY = "canary-7Q2xw9Zk41"


def keys(document: dict[str, Any]) -> dict[str, str]:
    return {location.key: value.reveal() for location, value in redact(document).secrets.items()}


@pytest.mark.parametrize("value", ["*" * 20, "", "  ", "[__HIDDEN__]", "sk-goo************yz", 5, None])
def test_a_secret_variable_is_marked_even_when_its_value_is_not_known(value: object) -> None:
    redacted = redact(workflow(environment_variables=[env("API_TOKEN", value)]))
    assert redacted.document["environment_variables"][0]["value"] == MARKER
    assert redacted.secrets == {}
    assert [location.key for location in locations(redacted.document)] == ["env:API_TOKEN"]


def test_a_clear_secret_variable_is_kept_for_the_vault() -> None:
    document = workflow(environment_variables=[env("API_TOKEN", CANARY), env("GREETING", "Hello", "string")])
    redacted = redact(document)
    assert keys(document) == {"env:API_TOKEN": CANARY}
    assert redacted.document["environment_variables"][1]["value"] == "Hello"
    assert CANARY not in repr(redacted.secrets)


@pytest.mark.parametrize("kind", ["environment_variables", "conversation_variables"])
def test_a_plain_variable_that_holds_a_known_credential_loses_it(kind: str) -> None:
    token = "ghp_" + "aB3" * 12
    document = workflow(**{kind: [env("SOURCE", f"use {token} here", "string")]})
    assert redact(document).document[kind][0]["value"] == f"use {MARKER} here"


def test_header_secrets_are_cut_out_and_the_other_headers_stay_readable() -> None:
    document = http(headers=f"Authorization: Bearer {CANARY}\nAccept:text/plain\nCookie:a=1; b=2\nX-Api-Key:short1")
    redacted = redact(document)
    assert redacted.document["graph"]["nodes"][0]["data"]["headers"] == (
        f"Authorization: Bearer {MARKER}\nAccept:text/plain\nCookie:{MARKER}\nX-Api-Key:{MARKER}"
    )
    assert keys(document) == {
        "node:http1/headers#Authorization": CANARY,
        "node:http1/headers#Cookie": "a=1; b=2",
        "node:http1/headers#X-Api-Key": "short1",
    }
    assert next(iter(redacted.secrets)).label == 'node "HTTP1" · header Authorization'


def test_two_headers_of_one_name_have_two_locations() -> None:
    assert keys(http(headers="X-Token:first-1\nX-Token:second-2")) == {
        "node:http1/headers#X-Token": "first-1",
        "node:http1/headers#X-Token~2": "second-2",
    }


def test_the_key_of_an_http_node_is_cut_out() -> None:
    document = http(authorization={"type": "api-key", "config": {"type": "bearer", "header": "", "api_key": CANARY}})
    assert keys(document) == {"node:http1/authorization.config.api_key": CANARY}


def test_address_passwords_and_secret_parameters_are_cut_out() -> None:
    document = http(
        url="https://bob:pw-12345@api.test/v1?api_key=zz-991&q={{#start.q#}}&page=2", params="token:tk-5512\nq:x"
    )
    assert keys(document) == {
        "node:http1/url#userinfo": "pw-12345",
        "node:http1/url#api_key": "zz-991",
        "node:http1/params#token": "tk-5512",
    }


@pytest.mark.parametrize("kind", ["form-data", "x-www-form-urlencoded"])
def test_form_fields_with_a_secret_name_are_cut_out(kind: str) -> None:
    fields = [{"key": "user", "type": "text", "value": "bob"}, {"key": "password", "type": "text", "value": "pw-1"}]
    assert keys(http(body={"type": kind, "data": fields})) == {"node:http1/body.data.1.value": "pw-1"}
    assert keys(http(body={"type": kind, "data": "user:bob\npassword:pw-1"})) == {
        "node:http1/body.data#password": "pw-1"
    }


def test_secrets_inside_a_json_body_are_cut_out_although_it_is_a_template() -> None:
    text = '{"client_secret": "cs-4411", "q": {{#start.q#}}, "token": "{{#env.TOKEN#}}"}'
    assert keys(http(body={"type": "json", "data": [{"type": "text", "value": text}]})) == {
        "node:http1/body.data.0.value#~1": "cs-4411"
    }


@pytest.mark.parametrize(
    "value",
    ["{{#env.API_TOKEN#}}", "Bearer {{#env.API_TOKEN#}}", "Basic {{ token }}", "{{#a.user#}}:{{#env.PW#}}", "", "none"],
)
def test_a_value_that_only_refers_to_a_variable_stays(value: str) -> None:
    document = http(headers=f"Authorization:{value}", authorization={"type": "api-key", "config": {"api_key": value}})
    assert redact(document).document == document


def test_constants_of_tools_and_agents_are_judged_by_name_and_by_shape() -> None:
    settings = {"api_key": {"value": {"type": "constant", "value": CANARY}}}
    document = workflow(
        node(
            "t",
            "tool",
            credential_id="cred-1",
            tool_parameters={
                "api_key": {"type": "constant", "value": "k-1"},
                "token": {"type": "variable", "value": ["start", "token"]},
                "text": {"type": "mixed", "value": "say xoxb-1234567890-abc to them"},
            },
            tool_configurations={"clientSecret": "cs-1", "max_tokens": "500"},
        ),
        node("a", "agent", agent_parameters={"tools": {"value": [{"settings": settings, "tool_name": "x"}]}}),
    )
    assert keys(document) == {
        "node:t/tool_parameters.api_key.value": "k-1",
        "node:t/tool_parameters.text.value#~1": "xoxb-1234567890-abc",
        "node:t/tool_configurations.clientSecret": "cs-1",
        "node:a/agent_parameters.tools.value.0.settings.api_key.value.value": CANARY,
    }


def test_tools_of_an_agent_app_are_covered() -> None:
    tool = {
        "provider_id": "p",
        "tool_name": "t",
        "tool_parameters": {"api_key": CANARY, "query": ""},
        "credential_id": "c",
    }
    document = {
        "model_config": {"agent_mode": {"tools": [tool]}, "external_data_tools": [{"config": {"api_key": "k-2"}}]}
    }
    assert keys(document) == {
        "config:agent_mode.tools.0.tool_parameters.api_key": CANARY,
        "config:external_data_tools.0.config.api_key": "k-2",
    }


def test_a_field_described_by_a_name_beside_its_value_is_covered() -> None:
    start = node("s", "start", variables=[{"variable": "api_key", "default": "k-9"}, {"variable": "q", "default": "x"}])
    assert keys(workflow(start)) == {"node:s/variables.0.default": "k-9"}


def test_webhook_addresses_are_secret_and_the_server_makes_them_again() -> None:
    document = workflow(
        node("w", "trigger-webhook", webhook_url="https://h.test/triggers/webhook/aaaa", webhook_debug_url="")
    )
    redacted = redact(document)
    assert redacted.document["graph"]["nodes"][0]["data"]["webhook_url"] == MARKER
    assert [location.is_generated for location in redacted.secrets] == [True]
    filled, missing = reinject(redacted.document, {})
    assert filled["graph"]["nodes"][0]["data"]["webhook_url"] == ""
    assert missing == []


@pytest.mark.parametrize(
    "data",
    [
        {"model": {"completion_params": {"max_tokens": "512", "token": "abc", "stop": ["key"]}}},
        {"token_count": "17", "api_key_variable": "start.key", "secret_input": "x", "key": "color", "keyword": "red"},
        {"next_page_token": "abc", "eos_token": "</s>", "primary_key": "id", "author": "me", "auth_type": "basic"},
        {"variables": [{"variable": "api_key", "type": "secret-input", "label": "API key", "default": ""}]},
        {"outputs": {"token": {"type": "string"}}, "parameters": [{"name": "api_key", "type": "string"}]},
        {"structured_output": {"schema": {"properties": {"password": {"type": "string", "default": "pw"}}}}},
        {"prompt_template": [{"role": "system", "text": "the password is never shown"}]},
        {"value_selector": ["env", "API_TOKEN"], "password": "string", "auth": "no-auth"},
        {"code": "token = get('token')", "answer": "your secret key", "credential_id": "c-1"},
    ],
)
def test_what_only_sounds_like_a_secret_stays(data: dict[str, Any]) -> None:
    document = workflow(node("n", "llm", **data))
    assert redact(document).document == document


@pytest.mark.parametrize(
    "lines",
    [
        "max_tokens:500",
        "Idempotency-Key:abcdef123456789",
        "key:color",
        "Cache-Key:a1b2c3d4e5f6g7h8",
        "X-Author:bob",
        "X-Auth-Type:basic",
    ],
)
def test_headers_that_only_sound_like_a_secret_stay(lines: str) -> None:
    document = http(headers=lines)
    assert redact(document).document == document


def test_a_secret_repeated_in_a_prompt_is_cut_out_there_too_and_comes_back() -> None:
    prompt = node("llm", "llm", prompt_template=[{"role": "system", "text": f"Use {CANARY}, I say {CANARY}."}])
    document = workflow(prompt, environment_variables=[env("TOKEN", CANARY)])
    redacted = redact(document)
    assert CANARY.encode() not in canonical(redacted.document)
    assert reinject(redacted.document, redacted.secrets) == (document, [])


def test_a_secret_known_from_elsewhere_is_cut_out() -> None:
    document = workflow(node("llm", "llm", prompt_template=[{"text": f"Use {CANARY}"}]))
    redacted = redact(document, known=[SecretText(CANARY)])
    assert redacted.document["graph"]["nodes"][0]["data"]["prompt_template"][0]["text"] == f"Use {MARKER}"


def test_the_original_document_is_not_changed() -> None:
    document = http(headers=f"Authorization:{CANARY}")
    before = canonical(document)
    reinject(redact(document).document, {})
    assert canonical(document) == before


def test_missing_values_are_named_and_their_marker_stays() -> None:
    document = redact(workflow(environment_variables=[env("A", "aaaa-1111"), env("B", "")])).document
    filled, missing = reinject(document, {Location(kind="env", place=("A",)): SecretText("new-2222")})
    assert [item["value"] for item in filled["environment_variables"]] == ["new-2222", MARKER]
    assert [location.key for location in missing] == ["env:B"]


def test_a_location_survives_that_nodes_move() -> None:
    first, second = node("a", "tool", tool_parameters={"token": CANARY}), node("b", "end")
    secrets = redact(workflow(first, second)).secrets
    moved = redact(workflow(second, first)).document
    assert reinject(moved, secrets) == (workflow(second, first), [])


@pytest.mark.parametrize(
    "location",
    [
        Location(kind="env", place=("API_TOKEN",)),
        Location(kind="env", place=("odd name/with.dots#and%",)),
        Location(kind="node", place=("17.1/1", "headers"), part="X Odd#Header"),
        Location(kind="config", place=("agent_mode", "tools", "0", "tool_parameters", "api_key")),
        Location(kind="node", place=("密钥", "tool_parameters", "密钥", "value"), part="~2"),
    ],
)
def test_a_location_reads_back_from_its_key(location: Location) -> None:
    assert Location.parse(location.key) == location
    assert not any(char.isspace() for char in location.key)


@pytest.mark.parametrize("key", ["", "API_TOKEN", "env:", "what:x", "node"])
def test_a_text_that_is_no_location_is_refused(key: str) -> None:
    with pytest.raises(DslError, match="is not the location of a secret"):
        Location.parse(key)


def test_an_export_without_secrets_comes_back_byte_for_byte() -> None:
    text = dsl_samples.text("export.yml")
    assert redact_export(text).text is text
    assert redact_export(text, known=[SecretText("not-in-this-text-1")]).text is text


def test_an_export_with_an_http_key_loses_it_and_stays_importable() -> None:
    dsl = load_dsl(dsl_samples.text("export.yml"))
    dsl["workflow"]["graph"]["nodes"].append(node("h", "http-request", headers=f"X-Api-Key:{CANARY} with blanks"))
    text = canonical(dsl).decode()
    cleaned = redact_export(text).text
    assert CANARY not in cleaned
    read = load_dsl(cleaned)
    assert read["workflow"]["graph"]["nodes"][-1]["data"]["headers"] == f"X-Api-Key:{MARKER}"
    assert read["workflow"]["environment_variables"][0]["value"] == ""
    assert read["version"] == "0.6.0"


@pytest.mark.parametrize(
    "elsewhere",
    ["# {}\n", "{}: 1\n", "number: !!str {}\n", "graph: {{nodes: [{{id: {}}}]}}\n", "other: &a {}\nagain: *a\n"],
)
def test_a_secret_that_stands_in_an_export_in_other_ways_too_is_cut_there_as_what_it_is(elsewhere: str) -> None:
    value = "12345678901234567"
    text = f"api_key: x-{value}\nclient_secret: '{value}'\n" + elsewhere.format(value)
    done = redact_export("".join(["workflow:\n", *(f"  {line}\n" for line in text.splitlines())]))
    before = load_dsl("".join(f"{line}\n" for line in text.splitlines()))
    assert load_dsl(done.text)["workflow"] == redact(before).document


def test_a_secret_variable_in_clear_does_not_come_back_where_marks_say_nothing() -> None:
    document = workflow(environment_variables=[env("TOKEN", CANARY), env("BLANK", "")])
    done = redact_export(canonical({"workflow": document}).decode())
    assert CANARY not in done.text
    assert [item["value"] for item in load_dsl(done.text)["workflow"]["environment_variables"]] == [MARKER, ""]


def test_an_export_of_an_agent_app_loses_its_tool_keys() -> None:
    dsl = load_dsl(dsl_samples.text("agent.yml"))
    dsl["model_config"]["agent_mode"]["tools"] = [{"tool_name": "t", "tool_parameters": {"api_key": CANARY}}]
    cleaned = redact_export(canonical(dsl).decode()).text
    assert CANARY not in cleaned
    assert load_dsl(cleaned)["model_config"]["agent_mode"]["tools"][0]["tool_parameters"] == {"api_key": MARKER}

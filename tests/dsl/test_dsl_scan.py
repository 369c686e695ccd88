from __future__ import annotations

from typing import Any

import pytest

from difyops.dsl.scan import ScanFinding, scan
from difyops.dsl.secrets import redact
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import env, node, workflow

LETTERS = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY"


def prompt(text: str) -> dict[str, Any]:
    return workflow(node("llm", "llm", prompt_template=[{"role": "system", "text": text}]))


@pytest.mark.parametrize(
    ("secret", "kind"),
    [
        ("sk-" + LETTERS, "openai_key"),
        ("sk-proj-" + LETTERS, "openai_key"),
        ("sk-ant-api03-" + LETTERS, "anthropic_key"),
        ("ghp_" + LETTERS, "github_token"),
        ("github_pat_" + LETTERS, "github_token"),
        ("xoxb-1234567890-" + LETTERS, "slack_token"),
        ("AKIA" + "A2B3" * 4, "aws_key_id"),
        ("AIza" + LETTERS + "abc", "google_key"),
        ("glpat-" + LETTERS, "gitlab_token"),
        ("hf_" + LETTERS, "huggingface_token"),
        ("app-" + LETTERS[:24], "dify_key"),
        ("dataset-" + LETTERS[:24], "dify_key"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "jwt"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "private_key"),
    ],
)
def test_every_known_credential_format_is_found_in_a_prompt(secret: str, kind: str) -> None:
    (finding,) = scan(prompt(f"Be kind.\nUse {secret} for it.\nBye."))
    assert (finding.kind, finding.line) == (kind, 2)
    assert finding.place == "node:llm/prompt_template.0.text"
    assert finding.label == 'node "LLM" · prompt_template.0.text'
    assert finding.preview == secret[:4] + "********"


def test_the_password_of_a_database_address_is_found_alone() -> None:
    code = "import x\nx.connect('postgres://app:pw-77-secret@db:5432/main')\n"
    (finding,) = scan(workflow(node("c", "code", code=code)))
    assert (finding.kind, finding.line, finding.preview) == ("url_userinfo", 2, "pw-7********")


@pytest.mark.parametrize(
    "code",
    [
        'password = "hunter2-Kq9!"',
        "API_KEY='9f8e7d6c5b4a3210'",
        '{"access_token": "Zk41-aa-77Qx"}',
        'client_secret: "x7K!pm2Q"',
    ],
)
def test_a_secret_assigned_in_code_is_found(code: str) -> None:
    assert [finding.kind for finding in scan(workflow(node("c", "code", code=code)))] == ["assigned_secret"]


@pytest.mark.parametrize(
    "text",
    [
        "api_key = os.environ['API_KEY_1']",
        'password = "your-password-1"',
        'token = "{{#env.TOKEN_1#}}"',
        'token = "access_token"',
        'api_key = "xxxxxxxx1"',
        "max_tokens: 500, the secret is patience",
        "sk-learn-is-a-nice-library-to-use",
        "the app-name-of-something-else-2 and dataset-overview",
        "https://example.com:8080/path@2",
        "postgres://user:{{#env.PW#}}@db/main",
    ],
)
def test_ordinary_texts_are_not_reported(text: str) -> None:
    assert scan(prompt(text)) == []


def test_a_plain_variable_with_a_secret_name_is_reported() -> None:
    variables = [env("API_KEY", "abcdef99", "string"), env("GREETING", "hello", "string"), env("SECRET", "zzzz-99")]
    (finding,) = scan(workflow(environment_variables=variables))
    assert finding == ScanFinding(
        place="env:API_KEY", line=1, kind="named_variable", preview="ab********", label="environment variable API_KEY"
    )


def test_secrets_where_they_belong_and_markers_are_not_reported() -> None:
    hook = node("w", "trigger-webhook", webhook_url=f"https://bob:{LETTERS}@h.test/x")
    document = workflow(hook, environment_variables=[env("TOKEN", "sk-" + LETTERS)])
    assert scan(document) == []
    assert scan(redact(document).document) == []


def test_a_finding_never_shows_more_than_four_characters() -> None:
    for finding in scan(prompt(f"sk-{LETTERS} and password='{LETTERS}!'")):
        assert LETTERS[:5] not in f"{finding}"


@pytest.mark.parametrize(
    "text",
    [
        "sk-" * 20_000,
        "-----BEGIN PRIVATE KEY----- " * 2_500,
        "a://" * 15_000,
        "eyJ" + "a" * 60_000,
        "token='" * 10_000,
    ],
)
def test_hostile_texts_come_to_an_end(text: str) -> None:
    scan(prompt(text))


def test_the_recorded_apps_are_clean() -> None:
    assert scan(dsl_samples.draft()) == scan(dsl_samples.chat()) == []

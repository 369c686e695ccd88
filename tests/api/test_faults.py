"""Error answers of a real server, as recorded, become our errors; texts are made harmless."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.api import faults
from difyops.api.messages import HeaderFields, HttpAnswer, HttpCall, Origin
from difyops.errors import (
    AccountLocked,
    Conflict,
    DifyopsError,
    Forbidden,
    NotAuthenticated,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerFault,
    Unreachable,
)

RECORDINGS = Path(__file__).parents[1] / "recordings" / "1.13.0"


def recorded(name: str) -> HttpAnswer:
    answer = json.loads((RECORDINGS / f"{name}.json").read_text())["response"]
    body = answer.get("body", "")
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return response(answer["status"], content, content_type=answer["headers"]["content-type"])


def response(status: int, content: bytes, *, content_type: str = "application/json", **headers: str) -> HttpAnswer:
    fields = {"content-type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
    origin = Origin.of(httpx.URL("http://dify.example.com"))
    call = HttpCall(method="GET", origin=origin, target="/console/api/x")
    return HttpAnswer(status_code=status, content=content, headers=HeaderFields(fields), call=call)


@pytest.mark.parametrize(
    ("name", "kind", "code", "words"),
    [
        ("app-detail-404", NotFound, "app_not_found", "App not found."),  # 1: code, message, status
        ("redisdown-login", ServerFault, "unknown", "Internal Server Error"),  # 2: unhandled exception
        ("app-detail-badid", NotFound, faults.NO_ROUTE, "HTTP 404"),  # 3: HTML
        ("console-405", NotFound, faults.NO_ROUTE, "HTTP 405"),
        ("setup-weak-password", RequestRejected, "validation_error", "Validation error"),  # 4: error.type
        ("setup-again", Forbidden, "authorization_error", "Forbidden"),
        ("refresh-garbage", NotAuthenticated, "fail", "Invalid refresh token"),  # 5: result fail
        ("api-key-create-n10", RequestRejected, "max_keys_exceeded", "more than 10"),  # 6: custom
        ("api-key-delete-again", NotFound, "", "API key not found"),  # 6: message alone
        ("import-bad-yaml", RequestRejected, "", ""),  # 7: Import object, read by the console
        ("access-expired", NotAuthenticated, "unauthorized", "expired"),
        ("lockout-7", AccountLocked, "email_code_login_limit", "Too many"),
        ("draft-sync-stale-hash", Conflict, "draft_workflow_not_sync", "modified"),
        ("apps-list-page-0", RequestRejected, "invalid_param", "AppListQuery"),
        ("svc-api-disabled", Forbidden, "forbidden", "disabled"),
        ("version-patch-empty", RequestRejected, "", "HTTP 400"),
    ],
)
def test_every_recorded_shape_becomes_our_error(name: str, kind: type, code: str, words: str) -> None:
    answer = recorded(name)
    error = faults.error_for(answer, doing="do it")
    assert type(error) is kind
    assert faults.read(answer).code == code or kind is NotFound
    assert error.message.startswith("do it: ")
    assert words in error.message
    assert "\n" not in error.message


def every_error_recorded() -> list[str]:
    return sorted(path.stem for path in RECORDINGS.glob("*.json") if _status(path) >= 300)


def _status(path: Path) -> int:
    return int(json.loads(path.read_text())["response"].get("status") or 0)


@pytest.mark.parametrize("name", every_error_recorded())
def test_no_recorded_error_is_a_surprise(name: str) -> None:
    answer = json.loads((RECORDINGS / f"{name}.json").read_text())["response"]
    if not answer.get("headers"):
        pytest.skip("a stream, recorded without headers")
    error = faults.error_for(recorded(name), doing="do it")
    assert isinstance(error, DifyopsError)
    assert 8 < len(error.message) < 500
    assert "did you mean" not in error.message
    assert "\n" not in error.message


def test_a_404_without_a_route_is_told_from_a_missing_thing() -> None:
    missing, no_route = (faults.error_for(recorded(name), doing="x") for name in ("app-detail-404", "svc-404"))
    assert isinstance(missing, NotFound)
    assert isinstance(no_route, NotFound)
    assert (missing.server_code, no_route.server_code) == ("app_not_found", faults.NO_ROUTE)


def test_a_405_is_no_route_in_json_too() -> None:
    body = b'{"code": "method_not_allowed", "message": "no", "status": 405}'
    error = faults.error_for(response(405, body), doing="x")
    assert isinstance(error, NotFound)
    assert error.server_code == faults.NO_ROUTE


def test_the_hint_of_a_disabled_api_is_the_command_that_enables_it() -> None:
    assert "app enable" in (faults.error_for(recorded("svc-api-disabled"), doing="x").hint or "")


@pytest.mark.parametrize(("status", "retryable"), [(500, False), (502, True), (503, True), (504, True)])
def test_which_server_faults_may_be_tried_again(status: int, retryable: bool) -> None:
    error = faults.error_for(response(status, b"<html>", content_type="text/html"), doing="x")
    assert isinstance(error, ServerFault)
    assert error.retryable is retryable


def test_the_concurrency_limit_of_an_app_is_a_rate_limit_though_it_comes_as_400() -> None:
    body = {"code": "invalid_param", "message": "The maximum concurrent requests allowed is 1", "status": 400}
    assert isinstance(faults.error_for(response(400, json.dumps(body).encode()), doing="x"), RateLimited)


def test_a_redirect_to_https_says_what_to_change() -> None:
    error = faults.error_for(response(308, b"", location="https://dify.example.com/x"), doing="x")
    assert isinstance(error, Unreachable)
    assert "https://" in (error.hint or "")


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("3", 3.0), ("1.5", 1.5)])
def test_retry_after_in_seconds(text: str, seconds: float) -> None:
    assert faults.retry_after(response(429, b"", retry_after=text)) == seconds


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000"])
def test_retry_after_as_a_date(zone: str) -> None:
    text = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True).replace("GMT", zone)
    found = faults.retry_after(response(429, b"", retry_after=text))
    assert found is not None
    assert 80 < found <= 90


def test_a_date_in_the_past_means_now() -> None:
    assert faults.retry_after(response(429, b"", retry_after="Wed, 21 Oct 2015 07:28:00 GMT")) == 0.0


@given(st.binary(max_size=60))
def test_retry_after_never_fails(raw: bytes) -> None:
    answer = HttpAnswer(status_code=429, headers=HeaderFields([(b"retry-after", raw)]))
    found = faults.retry_after(answer)
    assert found is None or found >= 0


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "message", "error", "result", "custom", "status", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(JSON, st.sampled_from([301, 400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503]))
def test_any_json_body_gives_one_of_our_errors_on_one_line(body: Any, status: int) -> None:
    error = faults.error_for(response(status, json.dumps(body).encode()), doing="do it")
    assert isinstance(error, DifyopsError)
    assert error.message.isprintable() or "\n" not in error.message
    assert error.message


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/html", "", "application/json; charset=x"]))
def test_any_bytes_give_one_of_our_errors(body: bytes, content_type: str) -> None:
    error = faults.error_for(response(400, body, content_type=content_type), doing="do it")
    assert isinstance(error, RequestRejected | RateLimited)


@given(st.text())
def test_a_cleaned_text_is_one_short_line_without_control_characters(text: str) -> None:
    cleaned = faults.clean(text)
    assert len(cleaned) <= 400
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)


def test_a_secret_that_the_server_echoes_does_not_come_through() -> None:
    body = {"code": "bad", "message": "wrong key sk-canary0123456789abcdef, Bearer abcdefgh12345678", "status": 400}
    error = faults.error_for(response(400, json.dumps(body).encode()), doing="x")
    assert "canary" not in error.message
    assert "abcdefgh12345678" not in error.message

"""The transport against servers that misbehave on real sockets: one clear sentence each, and nothing done twice."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from difyops.api.proxied import ProxiedCarrier
from difyops.api.sse import events
from difyops.api.transport import RetryBudget, Transport, TransportOptions, json_of
from difyops.errors import ConfigError, DifyopsError, RateLimited, ServerFault, TimedOut, Unreachable, UnreadableAnswer
from tests import faults
from tests.api.frozen import FrozenClock
from tests.faults import Behaviour, answer, serving
from tests.waiting import until

PATIENT = TransportOptions()
GOOD = answer(200, {"fine": True})


async def asked(
    url: str, method: str = "GET", *, options: TransportOptions = PATIENT, clock: FrozenClock | None = None
) -> object:
    transport = Transport(url, options, clock=clock or FrozenClock())
    try:
        response = await transport.request(method, "/console/api/apps", doing="list apps")
        return json_of(response, doing="list apps")
    finally:
        await transport.close()


async def failure(url: str, method: str = "GET", **more: object) -> DifyopsError:
    with pytest.raises(DifyopsError) as caught:
        await asked(url, method, **more)  # type: ignore[arg-type]
    error = caught.value
    assert "\n" not in error.message
    assert error.message.endswith((".", ")", "?"))
    assert error.message.startswith("list apps")
    return error


async def test_a_good_answer_comes_back() -> None:
    with serving(GOOD) as server:
        assert await asked(server.url) == {"fine": True}


async def test_a_server_that_is_down_is_unreachable_with_a_hint() -> None:
    error = await failure(f"http://127.0.0.1:{faults.free_port()}")
    assert isinstance(error, Unreachable)
    assert "cannot connect" in error.message
    assert error.hint


async def test_an_unknown_name_says_so() -> None:
    error = await failure("http://no-such-host.invalid")
    assert isinstance(error, Unreachable)
    assert "is not known" in error.message


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (faults.reset, Unreachable, "broke the connection off"),
        (faults.hang, TimedOut, "did not answer in time"),
        (faults.cut, Unreachable, "in the middle of the answer"),
        (faults.drip, TimedOut, "not complete after 1 s"),
        (faults.raw(b""), Unreachable, "broke the connection off"),
        (faults.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Unreachable, "broke the connection off"),
        (answer(200, b"<!doctype html><title>Dify</title>", content_type="text/html"), ServerFault, "not JSON"),
        (answer(200, b'{"half": '), UnreadableAnswer, "not JSON"),
        (answer(200, b"[" * 200_000), UnreadableAnswer, "not JSON"),
        (answer(200, b"\xff\xfe\x00"), UnreadableAnswer, "not JSON"),
        (answer(200, b"not gzip at all", content_encoding="gzip"), ServerFault, "not what its encoding says"),
        (answer(301, b"", location="https://dify.example.com/"), Unreachable, "redirects to https"),
        (answer(302, b"", location="/signin"), Unreachable, "redirects elsewhere"),
        (answer(500, b"<html>oops</html>", content_type="text/html"), ServerFault, "HTTP 500"),
        (answer(502, b"<html>bad gateway</html>", content_type="text/html"), ServerFault, "HTTP 502"),
        (
            answer(400, b"<h1>The plain HTTP request was sent to HTTPS port</h1>", content_type="text/html"),
            Unreachable,
            "speaks https",
        ),
    ],
)
async def test_every_way_to_fail_has_one_clear_sentence(behaviour: Behaviour, kind: type, words: str) -> None:
    read, total = (0.5, 1.0) if kind is TimedOut else (60.0, 60.0)
    with serving(behaviour) as server:
        error = await failure(server.url, options=TransportOptions(read=read, total=total, tries=1))
    assert type(error) is kind
    assert words in error.message


@pytest.mark.parametrize(
    "behaviour", [faults.reset, faults.cut, answer(502, {}), answer(503, {}), answer(504, {}), answer(429, {})]
)
async def test_a_post_is_never_repeated(behaviour: Behaviour) -> None:
    with serving(behaviour) as server:
        await failure(server.url, "POST")
        assert server.calls("POST") == 1


@pytest.mark.parametrize("behaviour", [faults.reset, faults.cut, answer(502, {}), answer(503, {}), answer(429, {})])
async def test_a_read_is_repeated_and_succeeds(behaviour: Behaviour) -> None:
    with serving(faults.in_turn(behaviour, behaviour, GOOD)) as server:
        assert await asked(server.url) == {"fine": True}
        assert server.calls("GET") == 3


async def test_a_server_fault_of_its_own_is_not_repeated() -> None:
    with serving(answer(500, {"code": "unknown", "message": "Internal Server Error"})) as server:
        await failure(server.url)
        assert server.calls("GET") == 1


async def test_a_time_out_is_not_repeated() -> None:
    with serving(faults.hang) as server:
        await failure(server.url, options=TransportOptions(read=2.0))
        assert server.calls("GET") == 1


async def test_a_429_that_names_seconds_is_waited_for_even_on_a_post() -> None:
    clock = FrozenClock()
    with serving(faults.in_turn(answer(429, {}, retry_after="7"), GOOD)) as server:
        assert await asked(server.url, "POST", clock=clock) == {"fine": True}
    assert clock.slept == [7.0]


async def test_a_429_that_names_a_date_is_waited_for() -> None:
    clock = FrozenClock()
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with serving(faults.in_turn(answer(429, {}, retry_after=date), GOOD)) as server:
        await asked(server.url, clock=clock)
    assert 20 < clock.slept[0] <= 30


async def test_a_very_long_retry_after_is_capped() -> None:
    clock = FrozenClock()
    with serving(faults.in_turn(answer(429, {}, retry_after="86400"), GOOD)) as server:
        await asked(server.url, clock=clock)
    assert clock.slept == [60.0]


@pytest.mark.parametrize("text", ["soon", "", "-5", "1e400", "²", "nan", "Mon, 99 Foo 2026 25:00:00 GMT"])
async def test_a_retry_after_that_makes_no_sense_is_ignored(text: str) -> None:
    with serving(faults.in_turn(answer(429, {}, retry_after=text), GOOD)) as server:
        assert await asked(server.url) == {"fine": True}


async def test_a_storm_of_429_ends_as_rate_limited() -> None:
    with serving(answer(429, {}, retry_after="1")) as server:
        error = await failure(server.url)
        assert isinstance(error, RateLimited)
        assert error.exit_code == 7
        assert server.calls("GET") == 4


async def test_the_retry_budget_holds_in_a_total_outage() -> None:
    with serving(faults.by_path({"/down": answer(503, {})}, GOOD)) as server:
        transport = Transport(server.url, TransportOptions(), clock=FrozenClock())
        calls = 200
        for _ in range(calls // 2):
            with pytest.raises(ServerFault):
                await transport.request("GET", "/down", doing="list apps")
            await transport.request("GET", "/up", doing="list apps")  # keeps the breaker out of this
        await transport.close()
        assert calls < server.calls("GET") <= calls * 1.1 + 5


def test_the_budget_is_never_above_its_most() -> None:
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) == 20


async def test_the_breaker_opens_stays_open_and_closes_again() -> None:
    clock = FrozenClock()
    with serving(faults.in_turn(*[answer(503, {})] * 8, GOOD)) as server:
        transport = Transport(server.url, TransportOptions(tries=1), clock=clock)

        async def call() -> None:
            await transport.request("GET", "/x", doing="list apps")

        for _ in range(8):
            with pytest.raises(ServerFault):
                await call()
        with pytest.raises(Unreachable, match="8 times in a row"):
            await call()
        assert server.calls("GET") == 8
        clock.seconds += 16
        await call()
        await call()
        assert server.calls("GET") == 10
        await transport.close()


async def test_what_is_seen_when_the_breaker_opens_is_still_the_reason() -> None:
    with serving(answer(503, {"message": "maintenance"})) as server:
        transport = Transport(server.url, TransportOptions(tries=99), clock=FrozenClock())
        transport.budget.tokens = 20.0
        with pytest.raises(ServerFault, match="maintenance"):
            await transport.request("GET", "/x", doing="list apps")
        assert server.calls("GET") == 8
        await transport.close()


async def test_a_breaker_that_tries_and_fails_opens_again_at_once() -> None:
    clock = FrozenClock()
    with serving(answer(503, {})) as server:
        transport = Transport(server.url, TransportOptions(tries=1), clock=clock)
        for _ in range(8):
            with pytest.raises(ServerFault):
                await transport.request("GET", "/x", doing="list apps")
        clock.seconds += 16
        with pytest.raises(ServerFault):
            await transport.request("GET", "/x", doing="list apps")
        with pytest.raises(Unreachable):
            await transport.request("GET", "/x", doing="list apps")
        assert server.calls("GET") == 9
        await transport.close()


async def test_a_refusal_by_the_server_is_no_failure_for_the_breaker() -> None:
    with serving(answer(404, {"code": "not_found", "message": "no"})) as server:
        transport = Transport(server.url, TransportOptions(tries=1), clock=FrozenClock())
        for _ in range(12):
            with pytest.raises(DifyopsError, match="no"):
                await transport.request("GET", "/x", doing="list apps")
        assert server.calls("GET") == 12
        await transport.close()


@pytest.mark.parametrize("limit", [1, 4, 9])
async def test_no_more_calls_are_in_flight_than_allowed(limit: int) -> None:
    with serving(faults.after(0.02, GOOD)) as server:
        transport = Transport(server.url, TransportOptions(max_in_flight=limit))
        calls = (transport.request("GET", f"/{n}", doing="list apps") for n in range(40))
        await asyncio.gather(*calls)
        await transport.close()
        assert server.most == limit


class HeldClock(FrozenClock):
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.goes_on.wait()


async def test_a_call_that_waits_to_repeat_does_not_keep_others_from_theirs() -> None:
    once = faults.by_path({"/limited": faults.in_turn(answer(429, {}, retry_after="1"), GOOD)}, GOOD)
    with serving(once) as server:
        clock = HeldClock()
        transport = Transport(server.url, TransportOptions(max_in_flight=1), clock=clock)
        limited = asyncio.create_task(transport.request("GET", "/limited", doing="list apps"))
        await until(lambda: clock.slept)
        await transport.request("GET", "/other", doing="list apps")
        assert not limited.done()
        clock.goes_on.set()
        await limited
        await transport.close()


async def test_a_stream_is_never_repeated_and_its_error_has_a_sentence() -> None:
    for behaviour in (faults.reset, answer(503, {}), answer(429, {}, retry_after="1"), faults.cut):
        with serving(behaviour) as server:
            transport = Transport(server.url, PATIENT, clock=FrozenClock())
            with pytest.raises(DifyopsError):
                async with transport.stream("POST", "/v1/workflows/run", doing="run the app", json={}) as response:
                    assert not [event async for event in events(response)]
            await transport.close()
            assert server.calls("POST") == 1


async def test_an_error_answer_to_a_stream_that_breaks_off_is_one_of_ours() -> None:
    broken = faults.raw(b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
    with serving(broken) as server:
        transport = Transport(server.url, PATIENT, clock=FrozenClock())
        with pytest.raises(Unreachable):
            async with transport.stream("POST", "/v1/workflows/run", doing="run the app"):
                pass
        await transport.close()


async def test_compressed_answers_are_read() -> None:
    body = gzip.compress(b'{"fine": true}')
    with serving(answer(200, body, content_encoding="gzip")) as server:
        assert await asked(server.url) == {"fine": True}


async def test_cookies_of_the_server_are_not_sent_back_unasked() -> None:
    with serving(answer(200, {}, set_cookie="access_token=canary-1234; Path=/")) as server:
        transport = Transport(server.url, PATIENT)
        for _ in range(2):
            await transport.request("GET", "/v1/info", doing="read the app's info")
        await transport.close()
        assert all("cookie" not in item.headers for item in server.asked)


@pytest.mark.parametrize("url", ["http://ü_ü", "http://[::1", "http://x:port"])
def test_an_impossible_url_is_an_error_of_ours(url: str) -> None:
    with pytest.raises(ConfigError):
        Transport(url)


class TestTls:
    """Certificates, and the wrong protocol on the right port."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[Path, Path]:
        made = faults.certificate(tmp_path)
        if made is None:
            pytest.skip("there is no openssl program to make a certificate with")
        return made

    async def test_a_certificate_that_nobody_signed_is_refused(self, files: tuple[Path, Path]) -> None:
        with serving(GOOD, tls=faults.tls_with(files)) as server:
            error = await failure(server.url)
            assert isinstance(error, Unreachable)
            assert "certificate" in error.message
            assert "ca_file" in (error.hint or "")
            assert not server.asked

    async def test_it_is_refused_by_what_speaks_to_proxies_too(self, files: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        other = faults.certificate(tmp_path / "other", name="DNS:elsewhere.example.com")
        for made, ca_file in ((files, None), (other or files, str((other or files)[0]) if other else None)):
            with serving(GOOD, tls=faults.tls_with(made)) as server:
                transport = Transport(
                    server.url, TransportOptions(tries=1), carrier=ProxiedCarrier(ca_file, server.url)
                )
                with pytest.raises(Unreachable, match="certificate"):
                    await transport.request("GET", "/x", doing="ask")
                await transport.close()
                assert not server.asked

    async def test_it_is_refused_however_the_scheme_is_spelled(self, files: tuple[Path, Path]) -> None:
        with serving(GOOD, tls=faults.tls_with(files)) as server:
            error = await failure(server.url.replace("https", "HTTPS"))
            assert "certificate" in error.message

    async def test_the_ca_file_of_the_context_makes_it_good(self, files: tuple[Path, Path]) -> None:
        with serving(GOOD, tls=faults.tls_with(files)) as server:
            assert await asked(server.url, options=TransportOptions(ca_file=str(files[0]))) == {"fine": True}

    async def test_a_certificate_for_another_name_is_refused(self, tmp_path: Path) -> None:
        made = faults.certificate(tmp_path, name="DNS:elsewhere.example.com")
        if made is None:
            pytest.skip("there is no openssl program to make a certificate with")
        with serving(GOOD, tls=faults.tls_with(made)) as server:
            error = await failure(server.url, options=TransportOptions(ca_file=str(made[0])))
            assert "certificate" in error.message

    async def test_plain_http_to_an_https_port_says_what_to_change(self, files: tuple[Path, Path]) -> None:
        with serving(GOOD, tls=faults.tls_with(files)) as server:
            error = await failure(server.url.replace("https", "http"))
            assert "https://" in (error.hint or "")

    async def test_https_to_a_plain_port_says_what_to_change(self) -> None:
        with serving(GOOD) as server:
            error = await failure(server.url.replace("http", "https"))
            assert isinstance(error, Unreachable)
            assert "TLS" in error.message
            assert "http://" in (error.hint or "")

    async def test_a_ca_file_that_is_none_is_a_config_error(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        for name in ("ca.pem", "missing.pem"):
            with pytest.raises(ConfigError, match=name):
                await asked("https://127.0.0.1:1", options=TransportOptions(ca_file=str(tmp_path / name)))


async def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        assert await asked("http://dify.internal.example:8080") == {"fine": True}
        assert proxy.asked[0].path == "http://dify.internal.example:8080/console/api/apps"

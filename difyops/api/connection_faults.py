"""What a connection that failed is called: one sentence that says what to look at, from the causes httpx keeps.

Answers of a server are not read here (``faults``); this is for calls that got none.
"""

from __future__ import annotations

import socket
import ssl

import httpx

from difyops.errors import DifyopsError, TimedOut, Unreachable

LOGIN_PATH = "/console/api/login"


def connection_error(error: httpx.RequestError, *, host: str, doing: str) -> DifyopsError:
    """Turn a transport failure into one sentence that says what to look at."""
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{doing}: {host} did not answer in time.", retryable=True)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Unreachable(
                f"{doing}: the certificate of {host} is not trusted ({cause.verify_message}).",
                hint="Set ca_file in the context to the CA that signed it.",
            )
        if isinstance(cause, ssl.SSLError):
            return Unreachable(f"{doing}: {host} does not speak TLS here.", hint="Use http:// or the right port.")
        if isinstance(cause, socket.gaierror):
            return Unreachable(f"{doing}: the name {host} is not known.", hint="Check the url of the context.")
    if isinstance(error, httpx.ConnectError):
        return Unreachable(
            f"{doing}: cannot connect to {host}.", hint="Is it running, and is the url right?", retryable=True
        )
    if isinstance(error, httpx.ProxyError):
        return Unreachable(f"{doing}: the proxy in the environment refused ({error}).", hint="Check HTTPS_PROXY.")
    hint = "If it speaks https on this port, use https:// in the url." if _is_plain(error) else None
    return Unreachable(f"{doing}: {host} broke the connection off.", hint=hint, retryable=True)


def _is_plain(error: httpx.RequestError) -> bool:
    return _request_of(error) is not None and error.request.url.scheme == "http"


def is_login(error: httpx.RequestError) -> bool:
    """Say whether the call that failed was a login: the server may have counted it as a wrong password."""
    return _request_of(error) is not None and error.request.url.path.endswith(LOGIN_PATH)


def _request_of(error: httpx.RequestError) -> httpx.Request | None:
    try:
        return error.request
    except RuntimeError:  # httpx says so when none was set
        return None


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    return chain

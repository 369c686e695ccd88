"""What a connection that failed is called: one sentence that says what to look at, from the causes httpx keeps.

Answers of a server are not read here (``faults``); this is for calls that got none.
"""

from __future__ import annotations

import socket
import ssl

import httpx

from difyops.api.faults import clean
from difyops.api.proxies import Proxy
from difyops.errors import DifyopsError, ServerFault, TimedOut, Unreachable, UnreadableAnswer

_OTHER_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
LOGIN_PATH = "/console/api/login"


def connection_error(error: httpx.RequestError, *, host: str, doing: str, proxy: Proxy | None = None) -> DifyopsError:
    """Turn a transport failure into one sentence that says what to look at."""
    told = "" if doing == f"connect to {host}" else f"{doing}: "  # the host is named once
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{told}{_other_side(host, proxy)} did not answer in time.", retryable=True)
    if isinstance(error, httpx.LocalProtocolError):
        return UnreadableAnswer(f"{doing}: a key or another field of the call holds characters that cannot be sent.")
    if isinstance(error, httpx.DecodingError):
        return ServerFault(f"{told}the answer of {host} cannot be decoded: {error}.")
    if (secured := _secured(error, host, told)) is not None:
        return secured
    if proxy is not None and isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return _of_proxy(error, proxy, doing)
    if any(isinstance(cause, socket.gaierror) for cause in _causes(error)):
        return Unreachable(f"{told}the name {host} is not known.", hint="Check the url of the context.")
    if isinstance(error, httpx.ConnectError):
        return Unreachable(
            f"{told}cannot connect to {host}.", hint="Is it running, and is the url right?", retryable=True
        )
    if isinstance(error, httpx.RemoteProtocolError) and "location header" in str(error):
        return Unreachable(f"{told}{host} redirects elsewhere, to what is no address.", hint="Check the url.")
    hint = "If it speaks https on this port, use https:// in the url." if _is_plain(error) else None
    return Unreachable(f"{told}{_other_side(host, proxy)} broke the connection off.", hint=hint, retryable=True)


def _other_side(host: str, proxy: Proxy | None) -> str:
    return host if proxy is None else f"{host} (through the proxy {proxy.host} of {proxy.variable})"


def _secured(error: httpx.RequestError, host: str, told: str) -> DifyopsError | None:
    """Name what is wrong with a certificate, or that nobody speaks TLS there. Carriers wrap it each in their way."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError) and (said := getattr(cause, "verify_message", "")):
            if getattr(cause, "verify_code", 0) in _OTHER_NAME:
                return Unreachable(
                    f"{told}the certificate of {host} is for another name ({said}).",
                    hint="Use the name that the certificate is for in the context's url.",
                )
            return Unreachable(
                f"{told}the certificate of {host} is not trusted ({said}).",
                hint="Set ca_file in the context to the CA that signed it.",
            )
    causes = _causes(error)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Unreachable(
            f"{told}the certificate of {host} is not trusted.",
            hint="Set ca_file in the context to the CA that signed it.",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return Unreachable(f"{told}{host} does not speak TLS here.", hint="Use http:// or the right port.")
    return None


def _of_proxy(error: httpx.RequestError, proxy: Proxy, doing: str) -> DifyopsError:
    hint = f"Check {proxy.variable}, or name the instance in NO_PROXY."
    if isinstance(error, httpx.ConnectError) or _was_not_connected(error):
        return Unreachable(
            f"{doing}: cannot connect to the proxy {proxy.host} that {proxy.variable} names.", hint=hint, retryable=True
        )
    return Unreachable(
        f"{doing}: the proxy {proxy.host} that {proxy.variable} names refused ({clean(error)}).", hint=hint
    )


def _was_not_connected(error: httpx.RequestError) -> bool:
    names = {type(cause).__name__ for cause in _causes(error)}
    return bool(names & {"ClientProxyConnectionError", "ProxyConnectionError", "ConnectionRefusedError"})


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

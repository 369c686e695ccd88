"""Signatures of webhooks, made and verified over the raw bytes. Pure: bytes, secrets and a time in, a verdict out.

    standard   Standard Webhooks: ``webhook-signature: v1,BASE64 v1a,BASE64 ...`` over ``id.timestamp.body``
    github     ``X-Hub-Signature-256: sha256=HEX`` over the body
    stripe     ``Stripe-Signature: t=SECONDS,v1=HEX,...`` over ``t.body``
    slack      ``X-Slack-Signature: v0=HEX`` over ``v0:timestamp:body``
    raw        a header of one's own, ``HEX``, ``sha256=HEX`` or base64, over the body

Several secrets count at the same time, so that one can be replaced. Every secret is compared with every signature, in
constant time. What is signed decides what an event is: an id that no signature covers could be changed by whoever
replays it, so the events of ``github`` and ``raw`` are told apart by their bodies.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from difyops import signing_keys
from difyops.secret_text import SecretText
from difyops.signing_keys import StandardKeys, keys_of

TOLERANCE = 300.0
_MOST_SIGNATURES = 20
_SECONDS = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[\x21-\x7e]{1,200}")

Headers = Mapping[str, str]


class BadSignature(Exception):
    """An event is not what its secret's owner sent, or not now. The text says why and holds nothing of the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What came: headers by lower-case name, the raw body, and when (unix seconds)."""

    headers: Headers
    body: bytes
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """An event that was signed. ``key`` is the same when the same event comes again; ``sent`` is its own time."""

    key: str
    sent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """How events of a source are verified. ``header`` is for ``raw`` alone; ``tolerance`` is in seconds, both ways.

    Raises:
        CredentialError: a secret of scheme ``standard`` is none.
    """

    scheme: str
    secrets: Sequence[SecretText]
    tolerance: float = TOLERANCE
    header: str = "x-signature"
    keys: StandardKeys = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", keys_of(self.secrets if self.scheme == "standard" else ()))

    def verify(self, received: Received) -> Verified:
        """Verify one event.

        Raises:
            BadSignature: a header is missing or unreadable, the time is too far off, or no signature fits.
        """
        return _SCHEMES[self.scheme](self, received)


def sign_standard(secrets: Sequence[SecretText], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``: one signature for each secret, the first one first.

    Raises:
        CredentialError: one of them is none that signs.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(_signature(item, signed) for item in secrets)


def _signature(secret: SecretText, signed: bytes) -> str:
    if signing_keys.is_pair(secret):
        return f"v1a,{base64.b64encode(signing_keys.sign(secret, signed)).decode()}"
    return f"v1,{base64.b64encode(_mac(signing_keys.shared_key(secret), signed)).decode()}"


def sign_plain(secret: SecretText, body: bytes) -> str:
    """Return the value of ``Dify-Signature``: ``sha256=`` and the HMAC of the body with the secret as it is written."""
    return f"sha256={_mac(secret.reveal().encode(), body).hex()}"


def _standard(check: SignatureCheck, received: Received) -> Verified:
    message_id = _header(received, "webhook-id")
    if not _ID.fullmatch(message_id) or "." in message_id:
        raise BadSignature("webhook-id is not an id")
    text = _header(received, "webhook-timestamp")
    sent = _time(check, received, text)
    signed = f"{message_id}.{text}.".encode() + received.body
    given = _header(received, "webhook-signature").split(" ")
    found = [_from_base64(item[3:]) for item in given if item.startswith("v1,")]
    fits = _fits([_mac(key, signed) for key in check.keys.shared], found)
    if check.keys.public:
        pairs = [_from_base64(item[4:]) for item in given if item.startswith("v1a,")][:_MOST_SIGNATURES]
        fits |= True in [signing_keys.is_signed(key, one, signed) for key in check.keys.public for one in pairs]
        found += pairs
    _require(fits, found)
    return Verified(key=message_id, sent=sent)


def _github(check: SignatureCheck, received: Received) -> Verified:
    given = _header(received, "x-hub-signature-256")
    if not given.startswith("sha256="):
        raise BadSignature("x-hub-signature-256 does not begin with sha256=")
    _match(_macs(check, received.body), [_from_hex(given[7:])])
    return Verified(key=_digest(received.headers.get("x-github-event", "").encode() + b"\n" + received.body))


def _stripe(check: SignatureCheck, received: Received) -> Verified:
    pairs = [item.strip().partition("=") for item in _header(received, "stripe-signature").split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    if len(times) != 1:
        raise BadSignature("stripe-signature has no time")
    sent = _time(check, received, times[0])
    _match(
        _macs(check, f"{times[0]}.".encode() + received.body),
        [_from_hex(value) for name, _, value in pairs if name == "v1"],
    )
    return Verified(key=_id_in(received.body) or _digest(received.body), sent=sent)


def _slack(check: SignatureCheck, received: Received) -> Verified:
    text = _header(received, "x-slack-request-timestamp")
    sent = _time(check, received, text)
    given = _header(received, "x-slack-signature")
    signed = f"v0:{text}:".encode() + received.body
    _match(_macs(check, signed), [_from_hex(given[3:])] if given.startswith("v0=") else [])
    return Verified(key=_id_in(received.body, "event_id") or _digest(signed), sent=sent)


def _raw(check: SignatureCheck, received: Received) -> Verified:
    given = _header(received, check.header).strip().removeprefix("sha256=")
    found = _from_hex(given)
    _match(_macs(check, received.body), [found or _from_base64(given)])
    return Verified(key=_digest(received.body))


_SCHEMES: dict[str, Callable[[SignatureCheck, Received], Verified]] = {
    "standard": _standard,
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "raw": _raw,
}
SCHEMES = tuple(_SCHEMES)
SIGNED_HEADERS = frozenset(
    {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-hub-signature-256",
        "stripe-signature",
        "x-slack-request-timestamp",
        "x-slack-signature",
    }
)
"""Headers that say who sent an event: each may stand there once."""


def _match(wanted: Sequence[bytes], given: Sequence[bytes]) -> None:
    _require(_fits(wanted, given), given)


def _fits(wanted: Sequence[bytes], given: Sequence[bytes]) -> bool:
    """Compare each with each, without stopping at the first that fits."""
    return True in [hmac.compare_digest(one, other) for one in wanted for other in given[:_MOST_SIGNATURES]]


def _require(fits: bool, given: Sequence[bytes]) -> None:
    if not fits:
        raise BadSignature("no signature fits" if given else "there is no signature of a kind that is known")


def _header(received: Received, name: str) -> str:
    value = received.headers.get(name, "")
    if not value:
        raise BadSignature(f"the header {name} is missing")
    return value


def _time(check: SignatureCheck, received: Received, text: str) -> float:
    if not _SECONDS.fullmatch(text):
        raise BadSignature("the time of the signature is not a number of seconds")
    sent = float(text)
    if abs(received.now - sent) > check.tolerance:
        word = "old" if sent < received.now else "early"
        raise BadSignature(f"the signature is {abs(received.now - sent):.0f} s too {word} to count (or a clock is off)")
    return sent


def _macs(check: SignatureCheck, signed: bytes) -> list[bytes]:
    return [_mac(item.reveal().encode(), signed) for item in check.secrets]


def _mac(key: bytes, signed: bytes) -> bytes:
    prepared = _prepared(key).copy()
    prepared.update(signed)
    return prepared.digest()


@functools.lru_cache(maxsize=64)
def _prepared(key: bytes) -> hmac.HMAC:
    return hmac.new(key, None, "sha256")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 64 else b""
    except ValueError:
        return b""


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _id_in(body: bytes, name: str = "id") -> str | None:
    """Return the id that the body itself carries: it is signed with it, and stays when the sender tries again."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) and _ID.fullmatch(value) else None

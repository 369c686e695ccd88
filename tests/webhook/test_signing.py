"""Signatures of five schemes: what fits passes, and nothing else does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from difyops import signing_keys
from difyops.errors import CredentialError
from difyops.secret_text import SecretText
from difyops.webhook.rules import EventSource
from difyops.webhook.signing import SCHEMES, BadSignature, Received, SignatureCheck, Verified, sign_plain, sign_standard
from difyops.webhook.testing import signed

SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID, NOW = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
GOOD = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


def check(scheme: str = "standard", *secrets: str, **more: object) -> SignatureCheck:
    return SignatureCheck(scheme=scheme, secrets=[SecretText(item) for item in secrets or (SECRET,)], **more)  # type: ignore[arg-type]


def standard(**changed: str) -> dict[str, str]:
    return {"webhook-id": ID, "webhook-timestamp": str(NOW), "webhook-signature": GOOD, **changed}


# What the suites of the standard's libraries (Python, Go, JavaScript, Java, Ruby, PHP, C#, Elixir, Rust) try.
VECTORS: list[tuple[str, dict[str, str], bytes, float, str | None]] = [
    ("valid", standard(), BODY, NOW, None),
    ("valid among several", standard(**{"webhook-signature": f"{OTHER} {OTHER} {GOOD} {OTHER}"}), BODY, NOW, None),
    ("other versions are passed over", standard(**{"webhook-signature": f"v2,abc v1a,def {GOOD}"}), BODY, NOW, None),
    ("no id", standard(**{"webhook-id": ""}), BODY, NOW, "webhook-id is missing"),
    ("no time", standard(**{"webhook-timestamp": ""}), BODY, NOW, "webhook-timestamp is missing"),
    ("no signature", standard(**{"webhook-signature": ""}), BODY, NOW, "webhook-signature is missing"),
    ("time is no number", standard(**{"webhook-timestamp": "hello"}), BODY, NOW, "not a number"),
    ("time is negative", standard(**{"webhook-timestamp": "-5"}), BODY, NOW, "not a number"),
    ("another signature", standard(**{"webhook-signature": "v1,dawfeoifkpqwoekfpqoekf"}), BODY, NOW, "no signature"),
    ("another valid one", standard(**{"webhook-signature": OTHER}), BODY, NOW, "no signature fits"),
    ("without its version", standard(**{"webhook-signature": GOOD[3:]}), BODY, NOW, "of a kind"),
    ("part of it", standard(**{"webhook-signature": GOOD[:9]}), BODY, NOW, "no signature fits"),
    ("empty after v1", standard(**{"webhook-signature": "v1,"}), BODY, NOW, "no signature fits"),
    ("another body", standard(), BODY + b" ", NOW, "no signature fits"),
    ("another id", standard(**{"webhook-id": "msg_other"}), BODY, NOW, "no signature fits"),
    ("id with a dot", standard(**{"webhook-id": "a.b"}), BODY, NOW, "not an id"),
    ("at the old edge", standard(), BODY, NOW + 300, None),
    ("too old", standard(), BODY, NOW + 301, "too old"),
    ("at the new edge", standard(), BODY, NOW - 300, None),
    ("too new", standard(), BODY, NOW - 301, "too early"),
]


@pytest.mark.parametrize(("name", "headers", "body", "now", "problem"), VECTORS, ids=[item[0] for item in VECTORS])
@pytest.mark.parametrize("secret", [SECRET, f"whsec_{SECRET}"])
def test_standard_webhooks(
    name: str, headers: dict[str, str], body: bytes, now: float, problem: str | None, secret: str
) -> None:
    received = Received(headers=headers, body=body, now=now)
    if problem is None:
        assert check("standard", secret).verify(received) == Verified(key=ID, sent=NOW)
    else:
        with pytest.raises(BadSignature, match=problem):
            check("standard", secret).verify(received)


@pytest.mark.parametrize("bare", [SECRET, SECRET[:-1], SECRET + "Br"])  # needs none, one, two characters of padding
@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_a_secret_may_come_without_its_padding(bare: str, prefix: str) -> None:
    key = base64.b64decode(bare + "=" * (-len(bare) % 4))
    mac = hmac.new(key, f"{ID}.{NOW}.".encode() + BODY, hashlib.sha256).digest()
    headers = standard(**{"webhook-signature": "v1," + base64.b64encode(mac).decode()})
    assert check("standard", prefix + bare).verify(Received(headers=headers, body=BODY, now=NOW))


@pytest.mark.parametrize(("encoded", "body"), [(False, BODY), (True, BODY), (False, b"")])
def test_a_bare_secret_of_the_elixir_suite_stands_for_itself_and_an_empty_body_is_one(
    encoded: bool, body: bytes
) -> None:
    mac = hmac.new(SECRET.encode(), f"{ID}.{NOW}.".encode() + body, hashlib.sha256).digest()
    secret = "whsec_" + base64.b64encode(SECRET.encode()).decode() if encoded else SECRET
    headers = standard(**{"webhook-signature": "v1," + base64.b64encode(mac).decode()})
    assert check("standard", secret).verify(Received(headers=headers, body=body, now=NOW))


# Svix's test of pairs of keys; the standard shows the same signature.
PAIR = "6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
BY_PAIR = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
SEED = base64.b64encode(base64.b64decode(PAIR)[:32]).decode()


@pytest.mark.parametrize("secret", [f"whsk_{PAIR}", f"whsk_{SEED}", f"whsk_{SEED[:-1]}"])
def test_a_pair_of_keys_signs_as_the_standard_shows(secret: str) -> None:
    assert sign_standard([SecretText(secret)], ID, NOW, BODY) == BY_PAIR
    assert sign_standard([SecretText(SECRET), SecretText(secret)], ID, NOW, BODY) == f"{GOOD} {BY_PAIR}"
    assert signing_keys.public_text(SecretText(secret)) == PUBLIC


def test_a_signature_of_a_pair_is_verified_with_the_public_key_alone() -> None:
    headers = standard(**{"webhook-signature": f"{OTHER} v1a,AAAA {BY_PAIR}"})
    for secrets in ((PUBLIC,), (SECRET, PUBLIC), (f"whsk_{SEED}",)):
        assert check("standard", *secrets).verify(Received(headers=headers, body=BODY, now=NOW)).key == ID
    other = "whpk_" + base64.b64encode(b"\x01" + b"\x00" * 31).decode()  # a weak point: nothing is signed by it
    for secrets, given, body in (
        ((PUBLIC,), headers, BODY + b" "),
        ((PUBLIC,), standard(**{"webhook-signature": BY_PAIR.replace("v1a,", "v1,")}), BODY),
        ((PUBLIC,), standard(), BODY),
        ((SECRET,), headers, BODY),
        ((other,), headers, BODY),
        ((PUBLIC,), {**headers, "webhook-timestamp": str(NOW - 1)}, BODY),
        ((PUBLIC,), standard(**{"webhook-signature": " ".join(["v1a,AAAA"] * 20 + [BY_PAIR])}), BODY),
    ):
        with pytest.raises(BadSignature):
            check("standard", *secrets).verify(Received(headers=given, body=body, now=NOW))


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("whsec_", "follows whsec_"), ("whsec_!", "follows whsec_"), ("whsk_", "32 or 64"), ("whsk_AAAA", "32 or 64"),
        ("whpk_AAAA", "32 bytes"), (f"whsk_{SEED[:-1]}{SEED[:-1]}", "32 or 64|halves"),
    ],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_where_the_rules_are_read(secret: str, problem: str) -> None:
    with pytest.raises(CredentialError, match=problem) as refused:
        check("standard", secret)
    assert secret.rpartition("_")[2][:4] in ("", "!") or secret.rpartition("_")[2] not in str(refused.value)
    with pytest.raises(CredentialError):
        sign_standard([SecretText(secret)], ID, NOW, BODY)


def test_the_vector_of_the_standard_is_made_too() -> None:
    assert sign_standard([SecretText(f"whsec_{SECRET}")], ID, NOW, BODY) == GOOD
    both = sign_standard(
        [SecretText("whsec_" + base64.b64encode(b"n" * 32).decode()), SecretText(SECRET)], ID, NOW, BODY
    )
    assert both.split(" ")[1] == GOOD


def test_a_secret_that_is_no_base64_stands_for_itself() -> None:
    secret = SecretText("my secret, with spaces")
    signature = sign_standard([secret], ID, NOW, BODY)
    mac = hmac.new(b"my secret, with spaces", f"{ID}.{NOW}.".encode() + BODY, hashlib.sha256).digest()
    assert signature == "v1," + base64.b64encode(mac).decode()
    assert sign_plain(secret, BODY) == "sha256=" + hmac.new(secret.reveal().encode(), BODY, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_takes_its_own_and_refuses_every_change(scheme: str) -> None:
    source = EventSource(name="s", scheme=scheme, secrets=("env:X",), to=("d",))
    headers = dict(signed(source, SecretText(SECRET), BODY, NOW))
    for secrets in ((SECRET,), ("another-secret-1", SECRET), (SECRET, "another-secret-1")):
        assert check(scheme, *secrets).verify(Received(headers=headers, body=BODY, now=NOW)).key
    changed = {name: value[:-2] + "01"[value[-2] == "0"] for name, value in headers.items()}
    for spoiled in (
        Received(headers=headers, body=BODY + b"\n", now=NOW),
        Received(headers=headers, body=b"", now=NOW),
        Received(headers=changed, body=BODY, now=NOW),
        Received(headers={}, body=BODY, now=NOW),
    ):  # fmt: skip
        with pytest.raises(BadSignature):
            check(scheme).verify(spoiled)
    with pytest.raises(BadSignature):
        check(scheme, "another-secret-1").verify(Received(headers=headers, body=BODY, now=NOW))


@pytest.mark.parametrize("scheme", ["standard", "stripe", "slack"])
def test_an_old_signature_does_not_count_later(scheme: str) -> None:
    source = EventSource(name="s", scheme=scheme, secrets=("env:X",), to=("d",))
    headers = signed(source, SecretText(SECRET), BODY, NOW)
    for late in (301, -301):
        with pytest.raises(BadSignature, match="too"):
            check(scheme).verify(Received(headers=headers, body=BODY, now=NOW + late))


def test_an_id_that_nothing_signs_does_not_make_a_replay_new() -> None:
    source = EventSource(name="s", scheme="github", secrets=("env:X",), to=("d",))
    headers = signed(source, SecretText(SECRET), BODY, NOW)
    keys = {
        check("github").verify(Received(headers={**headers, "x-github-delivery": name}, body=BODY, now=NOW)).key
        for name in ("a", "b")
    }
    assert len(keys) == 1


def test_a_sender_who_tries_again_is_known_by_what_he_signed() -> None:
    body = json.dumps({"id": "evt_1", "type": "charge"}).encode()
    source = EventSource(name="s", scheme="stripe", secrets=("env:X",), to=("d",))
    keys = {
        check("stripe").verify(Received(headers=signed(source, SecretText(SECRET), body, at), body=body, now=at)).key
        for at in (NOW, NOW + 100)
    }
    assert keys == {"evt_1"}


def test_a_refusal_holds_nothing_of_the_secret() -> None:
    with pytest.raises(BadSignature) as bad:
        check("github").verify(Received(headers={"x-hub-signature-256": "sha256=00"}, body=BODY, now=NOW))
    assert SECRET not in repr(bad.value)

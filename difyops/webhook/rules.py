"""What the section ``webhook:`` of the configuration says: read whole, or not at all.

    webhook:
      listen: 127.0.0.1:8099                 # what the world reaches, through a proxy that speaks TLS
      admin: 127.0.0.1:8098                  # status, metrics and the page; loopback only
      admin_token: env:WEBHOOK_ADMIN         # for the page
      sources:
        github: {scheme: github, secrets: [env:GITHUB_SECRET], to: [triage], ordered: true}
      destinations:
        triage: {app: issue-triage, inputs: {title: $body.issue.title, all: $body}, query: $body.issue.title}
        hook:   {url: "https://dify.example.com/triggers/webhook/...", rate: 5, parallel: 2}
        stale:  {runbook: stale-index, inputs: {app: $body.app}, act: true}
        log:    {command: [logger, -t, webhook]}   # the body comes on its standard input
      apps:
        support: {app: support-bot, context: prod, key: env:SUPPORT_KEY, callers: [env:CALLER]}
      callbacks:
        allow: ["https://*.example.com", "http://127.0.0.1:9000"]
        secrets: [keyring:difyops/callbacks]       # the first one is sent first; all are sent while one rotates

``WebhookRules`` are frozen: a reload reads new ones and puts them in the place of the old ones at once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.errors import ConfigError
from difyops.sections import Fields
from difyops.webhook.egress import Allowed, Egress, Network, allowed_of, network_of
from difyops.webhook.signing import SCHEMES, TOLERANCE

SECTION = "webhook"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_KINDS = ("app", "url", "runbook", "command")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """Who sends events: how they are signed and where they go. ``ordered``: one after the other, as they came."""

    name: str
    scheme: str
    secrets: tuple[str, ...]
    to: tuple[str, ...]
    ordered: bool = False
    tolerance: float = TOLERANCE
    header: str = "x-signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where events go: to an app, an address, a runbook or a command.

    ``rate`` is the most events a second (0: no limit), ``parallel`` the most at the same time; ``paused`` holds them.
    ``values`` are the inputs of the app or the inputs of the runbook, whose actions are carried out with ``act``.
    """

    name: str
    kind: str
    target: str
    context: str | None = None
    key: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    command: tuple[str, ...] = ()
    rate: float = 0.0
    parallel: int = 4
    paused: bool = False
    act: bool = False
    timeout: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedApp:
    """An app that callers run through ``/run/NAME``; they show its own key, or one of ``callers``."""

    name: str
    app: str
    context: str | None = None
    key: str | None = None
    callers: tuple[str, ...] = ()
    content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Where calls back may go (``networks``: private ones, too), and what they are signed with."""

    allow: tuple[Allowed, ...] = ()
    networks: tuple[Network, ...] = ()
    secrets: tuple[str, ...] = ()
    parallel: int = 8

    @property
    def egress(self) -> Egress:
        """Return the list at work."""
        return Egress(allow=self.allow, networks=self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLimits:
    """What a caller may take: bytes of a body, seconds for its head and its body, streams at once, connections."""

    body: int = 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    streams: int = 500
    connections: int = 1000
    run_seconds: float = 1260.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRules:
    """The whole section. ``digest`` tells two of them apart."""

    listen: tuple[str, int] = ("127.0.0.1", 8099)
    admin: tuple[str, int] | None = ("127.0.0.1", 8098)
    admin_token: str | None = None
    sources: Mapping[str, EventSource] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    apps: Mapping[str, ServedApp] = field(default_factory=dict)
    callbacks: Callbacks = Callbacks()
    limits: WebhookLimits = WebhookLimits()
    keep: float = 4 * 86400.0
    drain: float = 30.0
    digest: str = ""


def rules_of(section: Any) -> WebhookRules:
    """Read the section.

    Raises:
        ConfigError: a field is unknown, of the wrong type, or names what is not there; names the place.
    """
    body = Fields(section, SECTION)
    destinations = {name: _destination(name, item) for name, item in body.mappings("destinations")}
    sources = {name: _source(name, item, destinations) for name, item in body.mappings("sources")}
    apps = {name: _app(name, item) for name, item in body.mappings("apps")}
    admin = body.get("admin", (str, bool), "127.0.0.1:8098")
    rules = WebhookRules(
        listen=_address(body, "listen", "127.0.0.1:8099"),
        admin=_loopback(body, "admin", "127.0.0.1:8098") if admin else None,
        admin_token=_one(body, "admin_token"),
        sources=sources,
        destinations=destinations,
        apps=apps,
        callbacks=_callbacks(Fields(body.get("callbacks", dict), f"{SECTION}.callbacks")),
        limits=_limits(Fields(body.get("limits", dict), f"{SECTION}.limits")),
        keep=body.seconds("keep", 4 * 86400.0),
        drain=body.seconds("drain", 30.0),
        digest=hashlib.sha256(json.dumps(section, sort_keys=True, default=str).encode()).hexdigest()[:16],
    )
    body.done()
    if rules.keep < 4 * 86400.0:
        body.fail("keep", "must be at least 4d: so long does a sender try again, and a doublet must be known")
    return rules


def _source(name: str, body: Fields, destinations: Mapping[str, Destination]) -> EventSource:
    _check_name(name, body.place)
    scheme = body.text("scheme", "standard")
    if scheme not in SCHEMES:
        body.fail("scheme", f"is not a scheme ({scheme!r})", f"One of: {', '.join(SCHEMES)}.")
    found = EventSource(
        name=name,
        scheme=scheme,
        secrets=body.references("secrets"),
        to=body.texts("to"),
        ordered=body.flag("ordered"),
        tolerance=body.seconds("tolerance", TOLERANCE, longest=86400.0),
        header=body.text("header", "x-signature").lower(),
    )
    body.done()
    if not found.secrets:
        body.fail("secrets", "is missing: an event that nobody signed is taken from nobody")
    if not _HEADER.fullmatch(found.header):
        body.fail("header", "is not the name of a header")
    for item in found.to:
        if item not in destinations:
            body.fail("to", f"names no destination ({item!r}; known: {', '.join(sorted(destinations)) or 'none'})")
    if not found.to:
        body.fail("to", "is missing: where do its events go?")
    return found


def _destination(name: str, body: Fields) -> Destination:
    _check_name(name, body.place)
    kinds = [kind for kind in _KINDS if body.body.get(kind)]
    if len(kinds) != 1:
        raise ConfigError(f"{body.place} must have one of: {', '.join(_KINDS)}.")
    kind = kinds[0]
    command = body.texts("command")
    target = body.text(kind) if kind != "command" else command[0]
    values = body.get("inputs", dict) or {}
    found = Destination(
        name=name,
        kind=kind,
        target=target,
        context=body.text("context") or None,
        key=_one(body, "key"),
        values={str(key): value for key, value in values.items()},
        query=body.text("query"),
        command=command,
        rate=float(body.get("rate", (int, float), 0) or 0),
        parallel=body.count("parallel", 4, most=1000),
        paused=body.flag("paused"),
        act=body.flag("act"),
        timeout=body.seconds("timeout", 60.0, longest=3600.0),
    )
    body.asked.update(_KINDS)
    body.done()
    if kind == "url":
        allowed_of(target.partition("?")[0], f"{body.place}.url")
    if found.rate < 0:
        body.fail("rate", "must not be below zero")
    return found


def _app(name: str, body: Fields) -> ServedApp:
    _check_name(name, body.place)
    found = ServedApp(
        name=name,
        app=body.text("app", name),
        context=body.text("context") or None,
        key=_one(body, "key"),
        callers=body.references("callers"),
        content=body.flag("content", True),
    )
    body.done()
    return found


def _callbacks(body: Fields) -> Callbacks:
    allow = tuple(allowed_of(text, f"{body.place}.allow") for text in body.texts("allow"))
    networks = tuple(network_of(text, f"{body.place}.networks") for text in body.texts("networks"))
    found = Callbacks(
        allow=allow, networks=networks, secrets=body.references("secrets"),
        parallel=body.count("parallel", 8, most=1000),
    )  # fmt: skip
    body.done()
    if allow and not found.secrets:
        body.fail("secrets", "is missing: a call back that nobody signed can be anybody's")
    return found


def _limits(body: Fields) -> WebhookLimits:
    found = WebhookLimits(
        body=body.bytes("body", WebhookLimits().body),
        head_seconds=body.seconds("head_seconds", 10.0, longest=300.0),
        body_seconds=body.seconds("body_seconds", 30.0, longest=3600.0),
        streams=body.count("streams", 500),
        connections=body.count("connections", 1000),
        run_seconds=body.seconds("run_seconds", 1260.0, longest=86400.0),
    )
    body.done()
    return found


def _address(body: Fields, name: str, default: str) -> tuple[str, int]:
    text = body.text(name, default)
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not int(port) < 65536:
        body.fail(name, f"is not HOST:PORT ({text!r})")
    return host.strip("[]"), int(port)


def _loopback(body: Fields, name: str, default: str) -> tuple[str, int]:
    host, port = _address(body, name, default)
    if host not in ("127.0.0.1", "::1", "localhost"):
        body.fail(name, "must be on loopback (127.0.0.1 or ::1): it shows what callers sent")
    return host, port


def _one(body: Fields, name: str) -> str | None:
    found = body.references(name)
    if len(found) > 1:
        body.fail(name, "is one reference")
    return found[0] if found else None


def _check_name(name: str, place: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{place}: a name is letters, digits, dots, dashes and underscores, up to 64.")

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from difyops.setting_problems import NOWHERE, BadSetting, Source, named
from difyops.setting_values import Name, Reference, Size, duration_up_to, one_of, text_like, whole
from difyops.settings import KEY, NOT_IN_FILE, Fault, Named, SettingType, read
from difyops.webhook.egress import Allowed, Egress, Network, allowed_of, network_of
from difyops.webhook.signing import SCHEMES, TOLERANCE

SECTION = "webhook"
_KINDS = ("app", "url", "runbook", "command")
_NAME = text_like(
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"), "a name of letters, digits, dots, dashes and underscores, up to 64"
)
_HEADER = text_like(re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}"), "the name of a header")


def _destination_url(value: Any) -> str:
    allowed_of(str(value).partition("?")[0])
    return str(value)


def _address(value: Any) -> tuple[str, int]:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not host or not port.isdecimal() or not int(port) < 65536:
        raise BadSetting(f"expected HOST:PORT, found {named(value)}")
    return host.strip("[]"), int(port)


def _loopback(value: Any) -> tuple[str, int] | None:
    if value is False:
        return None
    host, port = _address(value)
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise BadSetting("must be on loopback (127.0.0.1 or ::1): it shows what callers sent")
    return host, port


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """Who sends events: how they are signed and where they go. ``ordered``: one after the other, as they came."""

    name: Annotated[str, KEY, _NAME]
    scheme: Annotated[str, one_of(*SCHEMES)] = "standard"
    secrets: Annotated[tuple[Reference, ...], "an event that nobody signed is taken from nobody"]
    to: Annotated[tuple[Name, ...], "where its events go"]
    ordered: Annotated[bool, "one after the other, as they came"] = False
    tolerance: Annotated[float, duration_up_to(86400.0), "how old an event may be"] = TOLERANCE
    header: Annotated[str, _HEADER, "where the signature of scheme raw stands"] = "x-signature"

    def faults(self) -> Iterator[Fault]:
        """Yield what is empty."""
        for name in ("secrets", "to"):
            if not getattr(self, name):
                yield (name,), "must not be empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where events go: to an app, an address, a runbook or a command.

    ``rate`` is the most events a second (0: no limit), ``parallel`` the most at the same time; ``paused`` holds them.
    ``values`` are the inputs of the app or the inputs of the runbook, whose actions are carried out with ``act``.
    """

    name: Annotated[str, KEY, _NAME]
    app: str = ""
    url: Annotated[str, SettingType(_destination_url)] = ""
    runbook: str = ""
    command: Annotated[tuple[Name, ...], "the body of the event comes on its standard input"] = ()
    context: Name | None = None
    key: Annotated[Reference | None, "the key of the app"] = None
    values: Annotated[Mapping[str, Any], Named("inputs"), "of the app or the runbook"] = field(default_factory=dict)
    query: str = ""
    rate: Annotated[float, "most events a second; 0: no limit"] = 0.0
    parallel: Annotated[int, whole(1, 1000)] = 4
    paused: bool = False
    act: Annotated[bool, "the runbook's actions are carried out"] = False
    timeout: Annotated[float, duration_up_to(3600.0)] = 60.0

    @property
    def kind(self) -> str:
        """Return which of app, url, runbook and command it is."""
        return next(kind for kind in _KINDS if getattr(self, kind))

    @property
    def target(self) -> str:
        """Return the app, address, runbook or program."""
        return self.command[0] if self.command else self.app or self.url or self.runbook

    def faults(self) -> Iterator[Fault]:
        """Yield what goes not together."""
        if sum(bool(getattr(self, kind)) for kind in _KINDS) != 1:
            yield (), f"must have one of: {', '.join(_KINDS)}"
        if self.rate < 0:
            yield ("rate",), "must not be below zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedApp:
    """An app that callers run through ``/run/NAME``; they show its own key, or one of ``callers``."""

    name: Annotated[str, KEY, _NAME]
    app: Annotated[str, "default: the name"] = ""
    context: Name | None = None
    key: Reference | None = None
    callers: Annotated[tuple[Reference, ...], "what callers show in the place of the app's key"] = ()
    content: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Where calls back may go (``networks``: private ones, too), and what they are signed with."""

    allow: tuple[Annotated[Allowed, SettingType(allowed_of)], ...] = ()
    networks: tuple[Annotated[Network, SettingType(network_of)], ...] = ()
    secrets: Annotated[tuple[Reference, ...], "the first one is sent first"] = ()
    parallel: Annotated[int, whole(1, 1000)] = 8

    @property
    def egress(self) -> Egress:
        """Return the list at work."""
        return Egress(allow=self.allow, networks=self.networks)

    def faults(self) -> Iterator[Fault]:
        """Yield what is missing."""
        if self.allow and not self.secrets:
            yield ("secrets",), "is missing: a call back that nobody signed can be anybody's"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLimits:
    """What a caller may take: bytes of a body, seconds for its head and its body, streams at once, connections."""

    body: Size = 1024 * 1024
    head_seconds: Annotated[float, duration_up_to(300.0)] = 10.0
    body_seconds: Annotated[float, duration_up_to(3600.0)] = 30.0
    streams: Annotated[int, whole(1, 100_000)] = 500
    connections: Annotated[int, whole(1, 100_000)] = 1000
    run_seconds: Annotated[float, duration_up_to(86400.0)] = 1260.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRules:
    """The whole section. ``digest`` tells two of them apart."""

    listen: Annotated[tuple[str, int], SettingType(_address), "what the world reaches"] = ("127.0.0.1", 8099)
    admin: Annotated[tuple[str, int] | None, SettingType(_loopback, {"type": ["string", "boolean"]})] = (
        "127.0.0.1",
        8098,
    )
    admin_token: Annotated[Reference | None, "for the page"] = None
    sources: Mapping[str, EventSource] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    apps: Mapping[str, ServedApp] = field(default_factory=dict)
    callbacks: Callbacks = Callbacks()
    limits: WebhookLimits = WebhookLimits()
    keep: Annotated[float, duration_up_to(30 * 86400.0)] = 4 * 86400.0
    drain: Annotated[float, duration_up_to(30 * 86400.0)] = 30.0
    digest: Annotated[str, NOT_IN_FILE] = ""

    def faults(self) -> Iterator[Fault]:
        """Yield destinations that are not there, and what is too short."""
        known = ", ".join(sorted(self.destinations)) or "none"
        for source in self.sources.values():
            for item in source.to:
                if item not in self.destinations:
                    yield ("sources", source.name, "to"), f"names no destination ({item!r}; known: {known})"
        if self.keep < 4 * 86400.0:
            yield ("keep",), "must be at least 4d: so long does a sender try again, and a doublet must be known"


def rules_of(section: Any, source: Source = NOWHERE) -> WebhookRules:
    """Read the section.

    Raises:
        ConfigError: a field is unknown, of the wrong type, or names what is not there; names file, line and field.
    """
    rules = read(WebhookRules, section, source, (SECTION,))
    digest = hashlib.sha256(json.dumps(section, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return replace(rules, digest=digest)

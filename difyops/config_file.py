"""One configuration file, read with file, line and field in every complaint.

What lives here: the shape of a context, reading one file into a ``Layer``. Writing one is for ``config_writing``; which
files hold, and in which order, is ``config``'s business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from difyops.dsl.model import DslError
from difyops.errors import ConfigError
from difyops.file_owner import open_once
from difyops.setting_problems import BadSetting, Sections, Source, named, told
from difyops.setting_values import Reference, duration_up_to, whole
from difyops.settings import KEY, NOT_IN_FILE, Fault, Reader, SettingType
from difyops.state_address import SQLITE, address_of
from difyops.trust import NAMED, Marked, Trust, is_reference

SECRET_FIELDS = frozenset({"password", "admin_key"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[\w.-]+)(:\d+)?")  # no spaces, controls or tricks
OUR_OWN = ("name", "source", "given", "trust")  # fields of a context that stand in no file
FORMER_ENVIRONMENT_CONTEXT = "env"


def base_url(text: object) -> str:
    """Return the base URL without trailing slash and without the API path people paste.

    Raises:
        BadSetting: it has no http(s) scheme or no host, or carries a password.
    """
    if not isinstance(text, str):
        raise BadSetting(f"expected the address of an instance, found {named(text)}")
    url = text.strip().rstrip("/")
    if "@" in url.partition("?")[0]:
        raise BadSetting("a URL must not carry credentials", "Use email and password, or admin_key.")
    example = "Example: https://dify.example.com"
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and _HOST.fullmatch(parts.netloc)
        )
    except ValueError:  # a port out of range, half an IPv6 address
        good = False
    if not good:
        raise BadSetting(f"{text!r} is not an http or https URL", example)
    if parts.query or parts.fragment:
        raise BadSetting(f"{text!r} is a page's address, not the instance's", example)
    path = parts.path
    for tail in ("/console/api", "/v1", "/apps", "/signin"):
        path = path.removesuffix(tail).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def clean_url(text: str, *, where: str) -> str:
    """Return ``base_url`` of an address that stands in no file. Raises ConfigError."""
    return told(where, base_url, text)


_URL = SettingType(base_url, {"type": "string", "format": "uri"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One instance and one workspace on it.

    ``url`` is the base without ``/console/api`` or ``/v1``, ``api_url`` that of ``/v1`` where another host serves it;
    ``password`` and ``admin_key`` are references (``keyring:``, ``env:``, ``file:``, ``cmd:``). ``timeout`` is seconds
    without a byte; ``max_in_flight`` bounds management calls at the same time; ``source`` says where the context was
    defined, ``given`` which fields stand there, and ``trust`` whether what stands there may be used: whoever connects
    asks it first.
    """

    name: Annotated[str, KEY]
    url: Annotated[str, _URL, "where the instance is"]
    email: str | None = None
    password: Reference | None = None
    admin_key: Reference | None = None
    workspace_id: str | None = None
    api_url: Annotated[str | None, _URL, "where its service API is, when that is another host"] = None
    ca_file: str | None = None
    timeout: Annotated[float, duration_up_to(zero=False), "how long without a byte"] = 30.0
    max_in_flight: Annotated[int, whole(1, 10_000), "management calls at the same time"] = 4
    source: Annotated[str, NOT_IN_FILE] = "default"
    given: Annotated[frozenset[str], NOT_IN_FILE] = field(default=frozenset(), repr=False, compare=False)
    trust: Annotated[Trust, NOT_IN_FILE] = field(default=NAMED, repr=False, compare=False)

    def require_trust(self) -> None:
        """Require trust in the file that says where this context connects, and with what.

        Raises:
            Refused: as ``Trust.require``.
        """
        self.trust.require(f"connect to {self.url}")

    @property
    def former_names(self) -> tuple[str, ...]:
        """Return what this context was called before: each that the environment describes was ``env`` once."""
        is_own = self.source == "environment" and self.name != FORMER_ENVIRONMENT_CONTEXT
        return (FORMER_ENVIRONMENT_CONTEXT,) if is_own else ()

    @property
    def service_url(self) -> str:
        """Return the base address of the service API: keys of apps go there and nowhere else."""
        return self.api_url or self.url


def _state(value: object) -> str:
    return SQLITE if value == SQLITE else address_of(str(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """What one file says. Sections of rooms are kept as they are: their rooms read them."""

    default_context: str | None = None
    contexts: Mapping[str, Any] = field(default_factory=dict)
    store: Annotated[str | None, "the folder of the snapshots"] = None
    state: Annotated[str | None, SettingType(_state), "sqlite, or the address of a PostgreSQL without its password"] = (
        None
    )
    state_password: Reference | None = None
    panels: Any = None
    secrets: Any = None
    seal: Any = None
    deliver: Any = None
    runbooks: Any = None
    webhook: Any = None
    plugins: Any = None

    def faults(self) -> Iterator[Fault]:
        """Yield what goes not together."""
        if self.state_password is not None and self.state in (None, SQLITE):
            yield ("state_password",), "it goes with the address of a PostgreSQL in state, and there is none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one file says; ``label`` names it for people. Sections are kept as they are: their rooms check them.

    ``folder``: from where its paths are seen. ``trust``: whether what it says may be used.
    """

    label: str
    folder: Path
    trust: Trust
    contexts: dict[str, Context]
    default_context: str | None
    store: str | None
    sections: Sections


def read_layer(path: Path, label: str, trust: Trust = NAMED, broken: dict[str, ConfigError] | None = None) -> Layer:
    """Read the file at ``path``; one that is not there is an empty layer. ``trust`` learns what of it needs trust.

    ``broken`` takes the contexts that are written wrongly, with their error; without it the first one is raised.

    Raises:
        ConfigError: it is not readable YAML, a field is unknown or has the wrong type (names file and line), it belongs
            to another user, or others can write it and it names commands (for root: anything).
    """
    if not is_there(path):
        return Layer(
            label=label, folder=path.parent, trust=NAMED, contexts={}, default_context=None, store=None,
            sections=Sections(),
        )  # fmt: skip
    document, source = _parse(path, whose=True)
    if trust is not NAMED:
        trust.learn(document)
    reader = Reader(source)
    head = reader.get(ConfigFile, document) or ConfigFile()
    contexts = {}
    for name, body in head.contexts.items():
        own = reader if broken is None else Reader(source)
        found = own.get(Context, body, ("contexts", name))
        if broken is not None:
            try:
                own.finish()
            except ConfigError as error:
                broken[name] = error
                continue
        if found is not None:
            contexts[name] = _seen_from(path, replace(found, source=f"{label} file {path}", trust=trust), body)
    reader.finish()
    return Layer(
        label=f"{label} file {path}",
        folder=path.parent,
        trust=trust,
        contexts=contexts,
        default_context=head.default_context,
        store=head.store,
        sections=_sections(path, document, source, trust),
    )


def _sections(path: Path, document: Mapping[str, Any], source: Source, trust: Trust) -> Sections:
    found = Sections()
    for key in (key for key in document if key not in ("contexts", "default_context", "store")):
        found[key] = _placed(path, document[key], trust, named=key in ("deliver", "state_password"))
        found.sources[key] = source
    return found


def expanded(text: str) -> Path:
    """Return a path with ``~`` resolved."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser fails for an unknown user


def is_there(path: Path) -> bool:
    """Say whether a file is there and may be looked at."""
    return os.path.isfile(path)  # noqa: PTH113 - False, not an error, in a folder that we may not enter


def _seen_from(path: Path, context: Context, body: Mapping[str, Any]) -> Context:
    """Return a context with its files seen from the file at ``path``, and with the fields that stand there."""
    placed: dict[str, Any] = {
        key: _beside(path, value)
        for key, value in body.items()
        if isinstance(value, str) and (key == "ca_file" or value.startswith("file:"))
    }
    return replace(context, given=frozenset(body), **placed)


def _beside(path: Path, text: str) -> str:
    """Return ``text`` (a path or a ``file:`` reference) with its path seen from the file that names it."""
    kind, name = ("file:", text[5:]) if text.startswith("file:") else ("", text)
    return f"{kind}{path.parent / expanded(name)}" if name else text


def _placed(path: Path, value: Any, trust: Trust, *, named: bool = False) -> Any:
    """Return a section with files under ``deliver`` seen from the file that names them, and references marked."""
    match value:
        case dict():
            return {key: _placed(path, item, trust, named=named or key == "deliver") for key, item in value.items()}
        case list():
            return [_placed(path, item, trust, named=named) for item in value]
        case str() if is_reference(value):
            text = _beside(path, value) if named and value.startswith("file:") else value
            return text if trust is NAMED else Marked.by(text, trust)
        case _:
            return value


def document_of(path: Path) -> dict[str, Any]:
    """Return what stands in a configuration file, not looked through.

    Raises:
        ConfigError: it cannot be read.
    """
    return _parse(path)[0]


def _parse(path: Path, *, whose: bool = False) -> tuple[dict[str, Any], Source]:
    """Read the file once. ``whose``: what it says counts only when nobody else can have written it."""
    from difyops.dsl.load import load_yaml_with_lines  # a tenth of a short command, which may have no file to read

    try:
        opened = open_once(path)
        document, lines = load_yaml_with_lines(opened.content)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except DslError as error:
        raise ConfigError(f"{path}: {error.message}", hint="The file must be YAML; see README, 'Connect'.") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}:1: the file must be a mapping.", hint="See README, 'Connect'.")
    commands = _names_commands(document)
    complaint = opened.complaint(strict=commands) if whose else None
    if complaint is not None:
        names = "names commands to run (cmd:)" if commands else "says where secrets go"
        raise ConfigError(f"{path} {names}, but {complaint[0]}; refused.", hint=complaint[1])
    return document, Source(file=str(path), lines=lines)


def _names_commands(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(_names_commands(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value.startswith("cmd:")

"""One configuration file, read with file, line and field in every complaint.

What lives here: the shape of a context, reading one file into a ``Layer``. Writing one is for ``config_writing``; which
files hold, and in which order, is ``config``'s business.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from difyops.credentials import KINDS
from difyops.dsl.model import DslError
from difyops.errors import ConfigError
from difyops.file_owner import open_once
from difyops.sections import unknown_field
from difyops.state_address import SQLITE, checked
from difyops.trust import NAMED, Marked, Trust, is_reference

SECRET_FIELDS = frozenset({"password", "admin_key"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[\w.-]+)(:\d+)?")  # no spaces, controls or tricks
OUR_OWN = ("name", "source", "given", "trust")  # fields of a context that stand in no file
FORMER_ENVIRONMENT_CONTEXT = "env"
_SECTIONS = frozenset(
    {"default_context", "contexts", "store", "panels", "secrets", "seal", "deliver", "runbooks", "webhook", "plugins"}
    | {"state", "state_password"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One instance and one workspace on it.

    ``url`` is the base without ``/console/api`` or ``/v1``, ``api_url`` that of ``/v1`` where another host serves it;
    ``password`` and ``admin_key`` are references (``keyring:``, ``env:``, ``file:``, ``cmd:``). ``timeout`` is seconds
    without a byte; ``max_in_flight`` bounds management calls at the same time; ``source`` says where the context was
    defined, ``given`` which fields stand there, and ``trust`` whether what stands there may be used: whoever connects
    asks it first.
    """

    name: str
    url: str
    email: str | None = None
    password: str | None = None
    admin_key: str | None = None
    workspace_id: str | None = None
    api_url: str | None = None
    ca_file: str | None = None
    timeout: float = 30.0
    max_in_flight: int = 4
    source: str = "default"
    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False)
    trust: Trust = field(default=NAMED, repr=False, compare=False)

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
    sections: dict[str, Any]


def read_layer(path: Path, label: str, trust: Trust = NAMED, broken: dict[str, ConfigError] | None = None) -> Layer:
    """Read the file at ``path``; one that is not there is an empty layer. ``trust`` learns what of it needs trust.

    ``broken`` takes the contexts that are written wrongly, with their error; without it the first one is raised.

    Raises:
        ConfigError: it is not readable YAML, a field is unknown or has the wrong type (names file and line), it belongs
            to another user, or others can write it and it names commands (for root: anything).
    """
    if not is_there(path):
        return Layer(
            label=label, folder=path.parent, trust=NAMED, contexts={}, default_context=None, store=None, sections={}
        )
    document, lines = _parse(path, whose=True)
    if trust is not NAMED:
        trust.learn(document)
    for key in document:
        if key not in _SECTIONS:
            _fail(path, lines, (key,), unknown_field(key, _SECTIONS))
    raw_contexts = document.get("contexts") or {}
    if not isinstance(raw_contexts, dict):
        _fail(path, lines, ("contexts",), "contexts must be a mapping of names")
    contexts = {}
    for name, body in raw_contexts.items():
        try:
            context = _context(path, lines, str(name), body, f"{label} file {path}")
        except ConfigError as error:
            if broken is None:
                raise
            broken[str(name)] = error
        else:
            contexts[str(name)] = replace(context, trust=trust)
    for key in ("default_context", "store"):
        if document.get(key) is not None and not isinstance(document[key], str):
            _fail(path, lines, (key,), f"{key} must be text")
    _check_state(path, lines, document)
    known, beside = ("contexts", "default_context", "store"), ("deliver", "state_password")
    sections = {key: _placed(path, document[key], trust, named=key in beside) for key in document if key not in known}
    return Layer(
        label=f"{label} file {path}",
        folder=path.parent,
        trust=trust,
        contexts=contexts,
        default_context=document.get("default_context"),
        store=document.get("store"),
        sections=sections,
    )


def _check_state(path: Path, lines: Any, document: dict[str, Any]) -> None:
    """Refuse a place of the state that is none, or holds a password, and a password that is no reference."""
    state, password = document.get("state"), document.get("state_password")
    if state is not None and state != SQLITE:
        checked(str(state), where=f"{path}:{lines.at(('state',))}: state")
    if password is not None and not is_reference(str(password)):
        _fail(path, lines, ("state_password",), "it must be a reference (keyring:, env:, file: or cmd:)")
    if password is not None and state in (None, SQLITE):
        _fail(path, lines, ("state_password",), "it goes with the address of a PostgreSQL in state, and there is none")


def clean_url(text: str, *, where: str) -> str:
    """Return the base URL without trailing slash and without the API path people paste.

    Raises:
        ConfigError: it has no http(s) scheme or no host, or carries a password.
    """
    url = text.strip().rstrip("/")
    if "@" in url.partition("?")[0]:
        raise ConfigError(f"{where}: a URL must not carry credentials.", hint="Use email and password, or admin_key.")
    example = "Example: https://dify.example.com"
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and _HOST.fullmatch(parts.netloc)
        )
    except ValueError:  # a port out of range, half an IPv6 address
        good = False
    if not good:
        raise ConfigError(f"{where}: {text!r} is not an http or https URL.", hint=example)
    if parts.query or parts.fragment:
        raise ConfigError(f"{where}: {text!r} is a page's address, not the instance's.", hint=example)
    path = parts.path
    for tail in ("/console/api", "/v1", "/apps", "/signin"):
        path = path.removesuffix(tail).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def expanded(text: str) -> Path:
    """Return a path with ``~`` resolved."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser fails for an unknown user


def is_there(path: Path) -> bool:
    """Say whether a file is there and may be looked at."""
    return os.path.isfile(path)  # noqa: PTH113 - False, not an error, in a folder that we may not enter


def _context(path: Path, lines: Any, name: str, body: Any, source: str) -> Context:
    where: tuple[str, ...] = ("contexts", name)
    if not isinstance(body, dict):
        _fail(path, lines, where, f"context {name!r} must be a mapping")
    kinds: dict[str, type | tuple[type, ...]] = {
        item.name: (int, float) if item.name == "timeout" else int if item.name == "max_in_flight" else str
        for item in fields(Context)
        if item.name not in OUR_OWN
    }
    for key, value in body.items():
        if key not in kinds:
            _fail(path, lines, (*where, key), unknown_field(key, kinds))
        if isinstance(value, bool) or not isinstance(value, kinds[key]):
            _fail(path, lines, (*where, key), f"{key} has the wrong type ({type(value).__name__})")
        if key in SECRET_FIELDS and str(value).partition(":")[0] not in KINDS:
            _fail(path, lines, (*where, key), f"{key} must be a reference (keyring:, env:, file: or cmd:)")
        if key in ("timeout", "max_in_flight") and value <= 0:
            _fail(path, lines, (*where, key), f"{key} must be above zero")
    if not body.get("url"):
        _fail(path, lines, where, f"context {name!r} has no url")
    url = clean_url(body["url"], where=f"{path}:{lines.at((*where, 'url'))}: contexts.{name}.url")
    if body.get("api_url"):
        place = lines.at((*where, "api_url"))
        body = {**body, "api_url": clean_url(body["api_url"], where=f"{path}:{place}: contexts.{name}.api_url")}
    beside = {
        key: _beside(path, value) for key, value in body.items() if key == "ca_file" or str(value).startswith("file:")
    }
    return Context(name=name, source=source, given=frozenset(body), **{**body, **beside, "url": url})


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


def _parse(path: Path, *, whose: bool = False) -> tuple[dict[str, Any], Any]:
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
    return document, lines


def _fail(path: Path, lines: Any, place: tuple[str, ...], problem: str) -> None:
    raise ConfigError(f"{path}:{lines.at(place)}: {'.'.join(place)}: {problem}.")


def _names_commands(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(_names_commands(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value.startswith("cmd:")

"""Configuration: which instances there are and how to reach them. References to secrets, never secrets.

Found by walking up from the working directory (``difyops.yaml``), over a user file
(``$XDG_CONFIG_HOME/difyops/config.yaml``). Order: flag, environment, project file, user file, default. Every value
knows where it came from, so that ``context show`` can say it. What lives here: reading and writing the files. What may
not: resolving credentials (``credentials``), talking to instances (``api``).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from difyops import atomic_file
from difyops.credentials import KINDS
from difyops.dsl.load import dump_yaml, load_yaml_with_lines
from difyops.dsl.model import DslError
from difyops.errors import ConfigError

PROJECT_FILE = "difyops.yaml"
ENVIRONMENT_CONTEXT = "env"

_ALIASES = {
    "url": ("DIFYOPS_URL", "DIFYOPS_BASE_URL", "DIFY_BASE_URL", "DIFY_API_URL"),
    "email": ("DIFYOPS_EMAIL", "DIFY_EMAIL"),
    "password": ("DIFYOPS_PASSWORD", "DIFY_PASSWORD"),
    "workspace_id": ("DIFYOPS_WORKSPACE_ID", "DIFY_WORKSPACE_ID"),
    "admin_key": ("DIFYOPS_ADMIN_KEY", "DIFY_ADMIN_API_KEY", "DIFY_ADMIN_KEY"),
    "ca_file": ("DIFYOPS_CA_FILE", "SSL_CERT_FILE"),
}
_SECRET_FIELDS = frozenset({"password", "admin_key"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[\w.-]+)(:\d+)?")  # no spaces, controls or tricks
_SECTIONS = frozenset({"default_context", "contexts", "store", "panels", "secrets", "deliver", "runbooks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One instance and one workspace on it.

    ``url`` is the base without ``/console/api`` or ``/v1``; ``password`` and ``admin_key`` are references
    (``keyring:``, ``env:``, ``file:``, ``cmd:``). ``timeout`` is seconds without a byte; ``max_in_flight`` bounds
    management calls at the same time; ``source`` says where the context was defined.
    """

    name: str
    url: str
    email: str | None = None
    password: str | None = None
    admin_key: str | None = None
    workspace_id: str | None = None
    ca_file: str | None = None
    timeout: float = 30.0
    max_in_flight: int = 4
    source: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the files and the environment say, merged; ``origins`` maps a setting to its source."""

    contexts: Mapping[str, Context] = field(default_factory=dict)
    default_context: str | None = None
    store: Path
    state: Path
    project_file: Path | None = None
    user_file: Path
    origins: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)

    def context(self, name: str | None = None) -> Context:
        """Return the named context, or the current one.

        Raises:
            ConfigError: it does not exist, or none is chosen and there are several.
        """
        wanted = name or self.default_context
        if wanted is None and len(self.contexts) == 1:
            return next(iter(self.contexts.values()))
        if wanted is None:
            raise ConfigError(
                "No instance is configured." if not self.contexts else "Several contexts and none is chosen.",
                hint=_no_context_hint(self.contexts),
            )
        if wanted not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none"
            raise ConfigError(f"There is no context {wanted!r} (known: {known}).", hint="difyops context list")
        return self.contexts[wanted]


def load(
    *,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
    store: Path | None = None,
) -> Config:
    """Read the configuration that holds in folder ``start`` (default: the working directory).

    Raises:
        ConfigError: a file is not readable YAML, or a field is unknown or has the wrong type; names file and line.
    """
    env = os.environ if environment is None else environment
    user_file = user_config_file(env)
    project_file = find_project_file(start or _here())
    layers = [_read(path, label) for path, label in ((user_file, "user"), (project_file, "project")) if path]
    contexts: dict[str, Context] = {}
    sections: dict[str, Any] = {}
    origins: dict[str, str] = {}
    default_context: str | None = None
    for layer in layers:
        contexts.update(layer.contexts)
        sections.update(layer.sections)
        if layer.default_context:
            default_context, origins["default_context"] = layer.default_context, layer.label
    from_environment = environment_context(env)
    if from_environment:
        contexts[ENVIRONMENT_CONTEXT] = from_environment
        default_context, origins["default_context"] = ENVIRONMENT_CONTEXT, "environment"
    if chosen := env.get("DIFYOPS_CONTEXT"):
        default_context, origins["default_context"] = chosen, "environment DIFYOPS_CONTEXT"
    store_path, origins["store"] = _store_path(store, env, layers, project_file)
    return Config(
        contexts=contexts,
        default_context=default_context,
        store=store_path,
        state=state_folder(env),
        project_file=project_file,
        user_file=user_file,
        origins=origins,
        sections=sections,
    )


def state_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return where sessions, journals, locks and the ledger live: ``DIFYOPS_STATE`` or the XDG state folder."""
    env = os.environ if env is None else env
    if folder := env.get("DIFYOPS_STATE"):
        return _expanded(folder)
    if folder := env.get("XDG_STATE_HOME"):
        return Path(folder) / "difyops"
    return Path(platformdirs.user_state_dir("difyops"))


def user_config_file(env: Mapping[str, str]) -> Path:
    """Return the user file's path, whether or not it exists."""
    if folder := env.get("XDG_CONFIG_HOME"):
        return Path(folder) / "difyops" / "config.yaml"
    return Path(platformdirs.user_config_dir("difyops")) / "config.yaml"


def find_project_file(start: Path) -> Path | None:
    """Walk up from ``start`` and return the first ``difyops.yaml``."""
    for folder in (start, *start.parents):
        candidate = folder / PROJECT_FILE
        if _is_there(candidate):
            return candidate
    return None


def _is_there(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - False, not an error, in a folder that we may not enter


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"The working directory cannot be used: {error.strerror}.", hint="cd somewhere else."
        ) from error


def environment_context(env: Mapping[str, str]) -> Context | None:
    """Return the context that the environment describes on its own, when it names a URL."""
    found = {key: name for key, names in _ALIASES.items() for name in names[::-1] if env.get(name)}
    if "url" not in found:
        return None
    values: dict[str, Any] = {key: f"env:{name}" if key in _SECRET_FIELDS else env[name] for key, name in found.items()}
    values["url"] = clean_url(values["url"], where=f"environment variable {found['url']}")
    return Context(name=ENVIRONMENT_CONTEXT, source="environment", **values)


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


def save_context(path: Path, context: Context, *, make_default: bool) -> None:
    """Add or replace a context in the file at ``path``. Other content is kept; comments are not.

    Raises:
        ConfigError: the file that is there cannot be read.
    """
    document = _document(path) if path.is_file() else {}
    entry = {
        item.name: getattr(context, item.name)
        for item in fields(Context)
        if item.name not in ("name", "source") and getattr(context, item.name) not in (None, item.default)
    }
    document["contexts"] = {**(document.get("contexts") or {}), context.name: entry}
    if make_default or not document.get("default_context"):
        document["default_context"] = context.name
    _save(path, document)


def choose_context(path: Path, name: str) -> None:
    """Make ``name`` the default in the file at ``path``."""
    document = _document(path) if path.is_file() else {}
    document["default_context"] = name
    _save(path, document)


def remove_context(path: Path, name: str, *, dry_run: bool = False) -> None:
    """Remove a context from the file at ``path``; nothing else (snapshots, stored secrets) is touched.

    Raises:
        ConfigError: the file does not define it. With ``dry_run`` that is all that is looked at.
    """
    document = _document(path) if path.is_file() else {}
    contexts = document.get("contexts")
    if not isinstance(contexts, dict) or name not in contexts:
        raise ConfigError(f"{path} defines no context {name!r}.", hint="difyops context list")
    del contexts[name]
    if document.get("default_context") == name:
        del document["default_context"]
    if not dry_run:
        _save(path, document)


def _save(path: Path, document: dict[str, Any]) -> None:
    # resolved: people keep their configuration as links into a repository, and those stay links
    atomic_file.write(path.resolve(), dump_yaml(document).encode(), mode=atomic_file.PRIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    label: str
    contexts: dict[str, Context]
    default_context: str | None
    store: str | None
    sections: dict[str, Any]


def _read(path: Path, label: str) -> _Layer:
    if not _is_there(path):
        return _Layer(label=label, contexts={}, default_context=None, store=None, sections={})
    document, lines = _parse(path)
    for key in document:
        if key not in _SECTIONS:
            _fail(path, lines, (key,), f"unknown field {key!r} (known: {', '.join(sorted(_SECTIONS))})")
    raw_contexts = document.get("contexts") or {}
    if not isinstance(raw_contexts, dict):
        _fail(path, lines, ("contexts",), "contexts must be a mapping of names")
    contexts = {
        str(name): _context(path, lines, str(name), body, f"{label} file {path}") for name, body in raw_contexts.items()
    }
    if _names_commands(document):
        _refuse_foreign(path)
    for key in ("default_context", "store"):
        if document.get(key) is not None and not isinstance(document[key], str):
            _fail(path, lines, (key,), f"{key} must be text")
    sections = {key: document[key] for key in document if key not in ("contexts", "default_context", "store")}
    return _Layer(
        label=f"{label} file {path}",
        contexts=contexts,
        default_context=document.get("default_context"),
        store=document.get("store"),
        sections=sections,
    )


def _context(path: Path, lines: Any, name: str, body: Any, source: str) -> Context:
    where: tuple[str, ...] = ("contexts", name)
    if not isinstance(body, dict):
        _fail(path, lines, where, f"context {name!r} must be a mapping")
    kinds: dict[str, type | tuple[type, ...]] = {
        item.name: (int, float) if item.name == "timeout" else int if item.name == "max_in_flight" else str
        for item in fields(Context)
        if item.name not in ("name", "source")
    }
    for key, value in body.items():
        if key not in kinds:
            _fail(path, lines, (*where, key), f"unknown field {key!r} in context {name!r} (known: {', '.join(kinds)})")
        if isinstance(value, bool) or not isinstance(value, kinds[key]):
            _fail(path, lines, (*where, key), f"{key} has the wrong type ({type(value).__name__})")
        if key in _SECRET_FIELDS and str(value).partition(":")[0] not in KINDS:
            _fail(path, lines, (*where, key), f"{key} must be a reference (keyring:, env:, file: or cmd:)")
        if key in ("timeout", "max_in_flight") and value <= 0:
            _fail(path, lines, (*where, key), f"{key} must be above zero")
    if not body.get("url"):
        _fail(path, lines, where, f"context {name!r} has no url")
    url = clean_url(body["url"], where=f"{path}:{lines.at((*where, 'url'))}: contexts.{name}.url")
    beside = {
        key: _beside(path, value) for key, value in body.items() if key == "ca_file" or str(value).startswith("file:")
    }
    return Context(name=name, source=source, **{**body, **beside, "url": url})


def _beside(path: Path, text: str) -> str:
    """Return ``text`` (a path or a ``file:`` reference) with its path seen from the file that names it."""
    kind, name = ("file:", text[5:]) if text.startswith("file:") else ("", text)
    return f"{kind}{path.parent / _expanded(name)}" if name else text


def _expanded(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser fails for an unknown user


def _store_path(
    flag: Path | None, env: Mapping[str, str], layers: list[_Layer], project_file: Path | None
) -> tuple[Path, str]:
    if flag is not None:
        return _expanded(str(flag)), "flag --store"
    if text := env.get("DIFYOPS_STORE"):
        return _expanded(text), "environment DIFYOPS_STORE"
    for layer in reversed(layers):
        if layer.store:
            base = (
                project_file.parent
                if project_file and layer.label.startswith("project")
                else user_config_file(env).parent
            )
            return base / _expanded(layer.store), layer.label
    if project_file:
        return project_file.parent / "snapshots", "beside the project file"
    folder = env.get("XDG_DATA_HOME")
    data = Path(folder) / "difyops" if folder else Path(platformdirs.user_data_dir("difyops"))
    return data / "snapshots", "default"


def _document(path: Path) -> dict[str, Any]:
    return _parse(path)[0]


def _parse(path: Path) -> tuple[dict[str, Any], Any]:
    try:
        content = path.read_bytes()
        document, lines = load_yaml_with_lines(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except DslError as error:
        raise ConfigError(f"{path}: {error.message}", hint="The file must be YAML; see README, 'Connect'.") from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}:1: the file must be a mapping.", hint="See README, 'Connect'.")
    return document, lines


def _fail(path: Path, lines: Any, place: tuple[str, ...], problem: str) -> None:
    raise ConfigError(f"{path}:{lines.at(place)}: {'.'.join(place)}: {problem}.")


def _names_commands(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return any(_names_commands(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value.startswith("cmd:")


def _refuse_foreign(path: Path) -> None:
    """Refuse ``cmd:`` references from a file that somebody else could have written: they run commands."""
    status = path.stat()
    if status.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(status.st_mode) & 0o022:
        raise ConfigError(
            f"{path} names commands to run (cmd:) but others can write it; refused.", hint=f"chmod go-w {path}"
        )


def _no_context_hint(contexts: Mapping[str, Context]) -> str:
    if contexts:
        return f"Add -c NAME (one of {', '.join(sorted(contexts))}) or run: difyops context use NAME"
    return "Run: difyops context add NAME --url https://... (or set DIFY_BASE_URL, DIFY_EMAIL, DIFY_PASSWORD)"

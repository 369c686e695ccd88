"""Configuration: which instances there are and how to reach them. References to secrets, never secrets.

Found by walking up from the working directory (``difyops.yaml``), over a user file
(``$XDG_CONFIG_HOME/difyops/config.yaml``). Order: flag, environment, project file, user file, default. Every value
knows where it came from, so that ``context show`` can say it. What lives here: which files hold and how they
merge. What may not: reading one file (``config_file``), resolving credentials (``credentials``), calls (``api``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from difyops.config_file import (
    SECRET_FIELDS,
    Context,
    Layer,
    choose_context,
    clean_url,
    expanded,
    is_there,
    read_layer,
    remove_context,
    save_context,
)
from difyops.errors import ConfigError

__all__ = ["Config", "Context", "choose_context", "clean_url", "load", "remove_context", "save_context"]

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
    layers = [read_layer(path, label) for path, label in ((user_file, "user"), (project_file, "project")) if path]
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
        return expanded(folder)
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
        if is_there(candidate):
            return candidate
    return None


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
    values: dict[str, Any] = {key: f"env:{name}" if key in SECRET_FIELDS else env[name] for key, name in found.items()}
    values["url"] = clean_url(values["url"], where=f"environment variable {found['url']}")
    return Context(name=ENVIRONMENT_CONTEXT, source="environment", **values)


def _store_path(
    flag: Path | None, env: Mapping[str, str], layers: list[Layer], project_file: Path | None
) -> tuple[Path, str]:
    if flag is not None:
        return expanded(str(flag)), "flag --store"
    if text := env.get("DIFYOPS_STORE"):
        return expanded(text), "environment DIFYOPS_STORE"
    for layer in reversed(layers):
        if layer.store:
            base = (
                project_file.parent
                if project_file and layer.label.startswith("project")
                else user_config_file(env).parent
            )
            return base / expanded(layer.store), layer.label
    if project_file:
        return project_file.parent / "snapshots", "beside the project file"
    folder = env.get("XDG_DATA_HOME")
    data = Path(folder) / "difyops" if folder else Path(platformdirs.user_data_dir("difyops"))
    return data / "snapshots", "default"


def _no_context_hint(contexts: Mapping[str, Context]) -> str:
    if contexts:
        return f"Add -c NAME (one of {', '.join(sorted(contexts))}) or run: difyops context use NAME"
    return "Run: difyops context add NAME --url https://... (or set DIFY_BASE_URL, DIFY_EMAIL, DIFY_PASSWORD)"

"""Configuration: which instances there are and how to reach them. References to secrets, never secrets.

Found by walking up from the working directory (``difyops.yaml``), over a user file
(``$XDG_CONFIG_HOME/difyops/config.yaml``). Order: flag, environment, project file, user file, default. Every value
knows where it came from, so that ``context show`` can say it, and whether the file was named or only found: what a
found file says is used when its owner trusts it (``trust``), and its contexts never hide the user's. What lives here:
which files hold and how they merge. What may not: reading one file (``config_file``), resolving credentials
(``credentials``), calls (``api``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from difyops.config_environment import environment_context
from difyops.config_file import FORMER_ENVIRONMENT_CONTEXT, Context, Layer, clean_url, expanded, is_there, read_layer
from difyops.config_writing import choose_context, remove_context, save_context
from difyops.errors import ConfigError
from difyops.setting_problems import Sections
from difyops.state_address import EXAMPLE, checked, is_address
from difyops.trust import NAMED, PROJECT_FILE, Ask, Trust, TrustBook

__all__ = [
    "FORMER_ENVIRONMENT_CONTEXT",
    "PROJECT_FILE",
    "Config",
    "Context",
    "choose_context",
    "clean_url",
    "load",
    "remove_context",
    "save_context",
]


STATE_PASSWORD = "DIFYOPS_STATE_PASSWORD"  # noqa: S105  the name of a variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the files and the environment say, merged; ``origins`` maps a setting to its source.

    ``standing`` maps ``store`` and the sections to the trust that their file has; ``require`` is asked before one is
    used. ``warnings`` are what a person should know about how the files were merged. ``broken``: contexts that are
    written wrongly, where one is to fail alone. ``shared``: names that two sources give to different instances (URLs).
    """

    contexts: Mapping[str, Context] = field(default_factory=dict)
    default_context: str | None = None
    store: Path
    state: Path
    project_file: Path | None = None
    user_file: Path
    origins: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    standing: Mapping[str, Trust] = field(default_factory=dict)
    project_trust: Trust = field(default=NAMED, repr=False)
    warnings: tuple[str, ...] = ()
    broken: Mapping[str, ConfigError] = field(default_factory=dict)
    shared: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def secret_variables(self) -> frozenset[str]:
        """Return the environment variables that secrets are taken from: commands of references do not get them."""
        found: set[str] = set()
        waiting: list[Any] = [self.sections, *((one.password, one.admin_key) for one in self.contexts.values())]
        while waiting:
            match waiting.pop():
                case dict() as mapping:
                    waiting.extend(mapping.values())
                case list() | tuple() as items:
                    waiting.extend(items)
                case str() as text if text.startswith("env:"):
                    found.add(text.removeprefix("env:"))
        return frozenset(found)

    def require(self, part: str, use: str) -> None:
        """Require trust in the file that says ``part`` (``store``, or a section), before it is used for ``use``.

        Raises:
            Refused: that file was only found, and its owner did not say that he trusts it.
        """
        self.standing.get(part, NAMED).require(use)

    def is_found(self, path: Path) -> bool:
        """Say whether ``path`` is a project file that is found, not one that the caller named."""
        return path != self.project_file or self.project_trust is not NAMED

    def context(self, name: str | None = None) -> Context:
        """Return the named context, or the current one.

        Raises:
            ConfigError: it does not exist, or none is chosen and there are several.
        """
        wanted = name or self.default_context
        if wanted is not None and wanted in self.broken:
            raise self.broken[wanted]
        if wanted == FORMER_ENVIRONMENT_CONTEXT and wanted not in self.contexts:
            wanted = next((key for key, each in self.contexts.items() if each.source == "environment"), wanted)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How to look for the files: ``file`` is named by the caller and taken in place of a project file that is found.

    ``ask`` lets the person at the terminal decide about a found file; ``remembers`` keeps that answer. ``is_lenient``:
    a context that is written wrongly is kept as such, for it is not to stop the others.
    """

    start: Path | None = None
    file: Path | None = None
    ask: Ask | None = None
    remembers: bool = True
    is_lenient: bool = False


def load(
    *,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
    store: Path | None = None,
    looking: Looking | None = None,
) -> Config:
    """Read the configuration that holds in folder ``start`` (default: the working directory).

    Raises:
        ConfigError: a file is not readable YAML, or a field is unknown or has the wrong type; names file and line. The
            file that the caller named is not there.
    """
    env = os.environ if environment is None else environment
    looking = looking or Looking(start=start)
    user_file, state = user_config_file(env), state_folder(env)
    named = _named_file(looking, env)
    project_file = named or find_project_file(looking.start or _here())
    trust = NAMED
    if project_file and not named:
        trust = Trust(path=project_file, book=TrustBook(state=state), ask=looking.ask, remembers=looking.remembers)
    broken: dict[str, ConfigError] | None = {} if looking.is_lenient else None
    layers = [read_layer(user_file, "user", broken=broken)]
    if project_file:
        layers.append(read_layer(project_file, "named" if named else "project", trust, broken))
    merged = _Merged()
    for layer in layers:
        merged.take(layer)
    merged.take_environment(env)
    store_path, merged.origins["store"], merged.standing["store"] = _store_path(store, env, layers, project_file)
    return Config(
        contexts=merged.contexts,
        default_context=merged.default_context,
        store=store_path,
        state=state,
        project_file=project_file,
        user_file=user_file,
        origins=merged.origins,
        sections=merged.sections,
        standing=merged.standing,
        project_trust=trust,
        warnings=tuple(merged.warnings),
        broken={name: error for name, error in (broken or {}).items() if name not in merged.contexts},
        shared=_shared(layers),
    )


@dataclass(slots=True)
class _Merged:
    """What the layers and the environment say together; what comes later counts."""

    contexts: dict[str, Context] = field(default_factory=dict)
    sections: Sections = field(default_factory=Sections)
    standing: dict[str, Trust] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    default_context: str | None = None

    def take(self, layer: Layer) -> None:
        """Add what a file says."""
        self.warnings += _merged(self.contexts, layer)
        if "state" in layer.sections:
            self.sections.pop("state_password", None)  # that of another place
            self.origins["state"] = layer.label
        self.sections.update(layer.sections)
        self.sections.sources.update(layer.sections.sources)
        self.standing.update(dict.fromkeys(layer.sections, layer.trust))
        if layer.default_context:
            self.default_context, self.origins["default_context"] = layer.default_context, layer.label

    def take_environment(self, env: Mapping[str, str]) -> None:
        """Add what the environment says."""
        if is_address(env.get("DIFYOPS_STATE", "")):
            _take_state(env, self.sections, self.standing, self.origins)
        if context := environment_context(env):
            self.contexts[context.name] = context
            self.default_context, self.origins["default_context"] = context.name, "environment"
        if chosen := env.get("DIFYOPS_CONTEXT"):
            self.default_context, self.origins["default_context"] = chosen, "environment DIFYOPS_CONTEXT"


def _take_state(
    env: Mapping[str, str], sections: dict[str, Any], standing: dict[str, Trust], origins: dict[str, str]
) -> None:
    """Let ``DIFYOPS_STATE`` say that the state is in a PostgreSQL, and ``DIFYOPS_STATE_PASSWORD`` hold its password."""
    address = checked(env["DIFYOPS_STATE"], where="environment DIFYOPS_STATE")
    if sections.get("state") != address:
        sections.pop("state_password", None)
    if env.get(STATE_PASSWORD):
        sections["state_password"] = f"env:{STATE_PASSWORD}"
    sections["state"], standing["state"], origins["state"] = address, NAMED, "environment DIFYOPS_STATE"


def _shared(layers: Sequence[Layer]) -> dict[str, tuple[str, str]]:
    """Return the names that two files give to different instances, with both addresses."""
    found: dict[str, str] = {}
    shared = {}
    for layer in layers:
        for name, context in layer.contexts.items():
            if found.setdefault(name, context.url) != context.url:
                shared[name] = (found[name], context.url)
    return shared


def _named_file(looking: Looking, env: Mapping[str, str]) -> Path | None:
    text = str(looking.file) if looking.file else env.get("DIFYOPS_CONFIG")
    if not text:
        return None
    path = expanded(text).absolute()
    if not is_there(path):
        source = "--config" if looking.file else "DIFYOPS_CONFIG"
        raise ConfigError(f"{source}: there is no file {path}.", hint="difyops context add NAME --url https://...")
    return path


def _merged(contexts: dict[str, Context], layer: Layer) -> list[str]:
    """Add the contexts of a layer; say which ones of a found file do not count, for the user has one of that name."""
    said = []
    for name, context in layer.contexts.items():
        mine = contexts.get(name)
        if mine is None or layer.trust is NAMED:
            contexts[name] = context
        elif mine != replace(context, source=mine.source):
            said.append(f"{layer.label} defines {name!r}, too; the one of the {mine.source} counts ({mine.url}).")
    return said


def state_folder(env: Mapping[str, str] | None = None) -> Path:
    """Return where sessions, journals, locks and the ledger live: ``DIFYOPS_STATE`` or the XDG state folder.

    Where ``DIFYOPS_STATE`` is the address of a shared state, what stays on this machine lies in
    ``DIFYOPS_STATE_FOLDER``, or in the XDG folder.

    Raises:
        ConfigError: no place is named, and the user has no home folder; or it is an address of something else.
    """
    env = os.environ if env is None else env
    folder = env.get("DIFYOPS_STATE") or ""
    if is_address(folder):
        folder = env.get("DIFYOPS_STATE_FOLDER", "")
    if "://" in folder:  # not repeated: a slip in an address may hold a password
        raise ConfigError(
            "DIFYOPS_STATE: a folder, or the address of a PostgreSQL, is expected.",
            hint=f"export DIFYOPS_STATE={EXAMPLE}",
        )
    if folder:
        return expanded(folder)
    if home := env.get("XDG_STATE_HOME"):
        return Path(home) / "difyops"
    if (found := _of_home(platformdirs.user_state_dir)) is None:
        raise ConfigError("There is no home folder to keep anything in.", hint="export DIFYOPS_STATE=/var/lib/difyops")
    return found


def _of_home(folder: Callable[[str], str]) -> Path | None:
    """Return a folder of ours in the home folder; ``None`` for a user without one (no HOME, no entry of the user)."""
    try:
        return Path(folder("difyops"))
    except RuntimeError:
        return None


def user_config_file(env: Mapping[str, str]) -> Path:
    """Return the user file's path, whether or not it exists; for a user without a home it lies in the state folder.

    Raises:
        ConfigError: there is no home, and no place for the state is named.
    """
    if folder := env.get("XDG_CONFIG_HOME"):
        return Path(folder) / "difyops" / "config.yaml"
    return (_of_home(platformdirs.user_config_dir) or state_folder(env)) / "config.yaml"


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


def _store_path(
    flag: Path | None, env: Mapping[str, str], layers: list[Layer], project_file: Path | None
) -> tuple[Path, str, Trust]:
    if flag is not None:
        return expanded(str(flag)), "flag --store", NAMED
    if text := env.get("DIFYOPS_STORE"):
        return expanded(text), "environment DIFYOPS_STORE", NAMED
    for layer in reversed(layers):
        if layer.store:
            return layer.folder / expanded(layer.store), layer.label, layer.trust
    if project_file:
        return project_file.parent / "snapshots", "beside the project file", NAMED
    folder = env.get("XDG_DATA_HOME")
    data = Path(folder) / "difyops" if folder else _of_home(platformdirs.user_data_dir) or state_folder(env)
    return data / "snapshots", "default", NAMED


def _no_context_hint(contexts: Mapping[str, Context]) -> str:
    if contexts:
        return f"Add -c NAME (one of {', '.join(sorted(contexts))}) or run: difyops context use NAME"
    return "Run: difyops context add NAME --url https://... (or set DIFY_BASE_URL, DIFY_EMAIL, DIFY_PASSWORD)"

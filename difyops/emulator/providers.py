"""The model provider and the tool provider that the instance has: their credentials, and which one is in use.

Stands for the plugin daemon too: a key is good when it starts with ``sk-good`` and was not revoked. No HTTP here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import HIDDEN

OPENAI = "langgenius/openai/openai"
MODELS = {"gpt-4o-mini": ("0.15", "0.60"), "gpt-4o": ("2.50", "10.00")}
SECRET_FIELD = "openai_api_key"
PLUGIN = "langgenius/openai:0.2.8@" + "a" * 64
SEARCH_TOOL = "langgenius/google/google"
SEARCH_SECRET = "serpapi_api_key"


@dataclass(slots=True, kw_only=True)
class Credential:
    """A named set of credential values."""

    id: str
    name: str
    values: dict[str, str]
    is_default: bool = False


@dataclass(slots=True, kw_only=True)
class CustomModel:
    """A model that has credentials of its own."""

    name: str
    type: str
    credentials: list[Credential] = field(default_factory=list)
    current: Credential | None = None


@dataclass(slots=True)
class ModelProvider:
    """``langgenius/openai/openai``. ``cached`` is what runs use; it may lag behind ``current`` (stale switch)."""

    credentials: list[Credential] = field(default_factory=list)
    current: Credential | None = None
    cached: dict[str, str] | None = None
    disabled: set[tuple[str, str]] = field(default_factory=set)
    custom: list[CustomModel] = field(default_factory=list)
    default_model: str = "gpt-4o-mini"

    def find(self, credential_id: str) -> Credential | None:
        """Return the credential with that id."""
        return next((item for item in self.credentials if item.id == credential_id), None)

    def use(self, credential: Credential | None, *, stale: bool = False) -> None:
        """Make ``credential`` current; with ``stale`` the values in use stay what they were."""
        self.current = credential
        if not stale:
            self.cached = dict(credential.values) if credential else None

    def free_name(self) -> str:
        """Return ``API KEY n`` for the first n that is free."""
        return free_name(item.name for item in self.credentials)


def free_name(taken: Iterable[str]) -> str:
    """Return ``API KEY n`` for the first n not in ``taken``."""
    names = set(taken)
    return next(f"API KEY {n}" for n in range(1, len(names) + 2) if f"API KEY {n}" not in names)


def masked(values: dict[str, str]) -> dict[str, str]:
    """Return credential values for reading: secrets as first six, twelve stars, last two."""
    return {name: mask(value) if name.endswith("api_key") else value for name, value in values.items()}


def mask(secret: str) -> str:
    """Mask one secret; two keys with equal ends look the same."""
    if len(secret) <= 8:
        return "*" * 20
    return f"{secret[:6]}{'*' * 12}{secret[-2:]}"


def merged(new: dict[str, str], stored: dict[str, str]) -> dict[str, str]:
    """Return ``new`` with every ``[__HIDDEN__]`` replaced by the stored value; what is left out is lost."""
    return {name: stored.get(name, "") if value == HIDDEN else value for name, value in new.items()}


def key_error(key: str) -> str:
    """Return what the provider says about a key it does not know."""
    return (
        f"Error code: 401 - {{'error': {{'message': 'Incorrect API key provided: {key[:6]}***. You can find your "
        "API key at https://platform.openai.com/account/api-keys.', 'type': 'invalid_request_error', 'param': None, "
        "'code': 'invalid_api_key'}}"
    )


@dataclass(slots=True)
class ToolProvider:
    """A builtin tool provider that wants an API key."""

    name: str = SEARCH_TOOL
    credentials: list[Credential] = field(default_factory=list)

    def find(self, credential_id: str) -> Credential | None:
        """Return the credential with that id."""
        return next((item for item in self.credentials if item.id == credential_id), None)

    def shown(self, item: Credential) -> JsonDict:
        """Return one credential as listed."""
        return {
            "id": item.id,
            "name": item.name,
            "provider": self.name,
            "credential_type": "api-key",
            "is_default": item.is_default,
            "credentials": {name: tool_mask(value) for name, value in item.values.items()},
        }


def tool_mask(secret: str) -> str:
    """Mask a tool secret: first two and last two characters stay."""
    return f"{secret[:2]}{'*' * (len(secret) - 4)}{secret[-2:]}" if len(secret) > 6 else "*" * len(secret)

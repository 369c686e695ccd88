"""The model provider and the tool provider that the instance has: their credentials, and which one is in use.

Stands for the plugin daemon too: a key is good when it starts with ``sk-good`` and was not revoked. No HTTP here.
"""

from __future__ import annotations

import json
import re
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
SEARCH_FIELDS = (SEARCH_SECRET, "endpoint")
_NUMBERED = re.compile(r"^API KEY\s+(\d+)$")


@dataclass(slots=True, kw_only=True)
class Credential:
    """A named set of credential values. Of a tool: ``is_default`` as listed, ``is_marked`` when somebody made it so."""

    id: str
    name: str
    values: dict[str, str]
    is_default: bool = False
    is_marked: bool = False
    added_by: str = ""


@dataclass(slots=True, kw_only=True)
class CustomModel:
    """A model that has credentials of its own. ``cached`` is what runs use; it outlives a deleted ``current``."""

    name: str
    type: str
    credentials: list[Credential] = field(default_factory=list)
    current: Credential | None = None
    cached: dict[str, str] | None = None

    def use(self, credential: Credential, *, stale: bool = False) -> None:
        """Make ``credential`` current; with ``stale`` the values in use stay what they were."""
        self.current = credential
        if not stale:
            self.cached = dict(credential.values)

    def find(self, credential_id: str) -> Credential | None:
        """Return the credential with that id."""
        return next((item for item in self.credentials if item.id == credential_id), None)


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
        """Return a name for a credential that was given none."""
        return free_name(item.name for item in self.credentials)


def free_name(taken: Iterable[str]) -> str:
    """Return ``API KEY n``, one above the highest in ``taken``."""
    numbers = [int(found.group(1)) for name in taken if (found := _NUMBERED.match(name.strip()))]
    return f"API KEY {max(numbers, default=0) + 1}"


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

    def listed(self) -> list[Credential]:
        """Return the credentials, the one in use first: marked ones before others, then the oldest."""
        return sorted(self.credentials, key=lambda item: not item.is_marked)

    def settle(self) -> None:
        """Say which are the default: those marked, and the first, marked or not."""
        for place, item in enumerate(self.listed()):
            item.is_default = item.is_marked or place == 0

    def mark(self, chosen: Credential, account: str) -> None:
        """Mark one as the default; marks on what another account added stay, and then the older one is used."""
        for item in self.credentials:
            if item.added_by == account:
                item.is_marked = False
        chosen.is_marked = True
        self.settle()

    def shown(self, item: Credential) -> JsonDict:
        """Return one credential as listed."""
        return {
            "id": item.id,
            "name": item.name,
            "provider": self.name,
            "credential_type": "api-key",
            "is_default": item.is_default,
            "credentials": {
                name: tool_mask(value) if name == SEARCH_SECRET else value for name, value in item.values.items()
            },
        }


def tool_mask(secret: str) -> str:
    """Mask a tool secret: first two and last two characters stay."""
    return f"{secret[:2]}{'*' * (len(secret) - 4)}{secret[-2:]}" if len(secret) > 6 else "*" * len(secret)


def plugin_error(kind: str, message: str) -> str:
    """Return a plugin's error as the server passes it on: JSON in a sentence."""
    said = json.dumps({"error_type": kind, "message": message, "args": {"description": message}})
    return f"req_id: 0123456789 PluginInvokeError: {said}"

"""Named credentials of a model provider (1.8), of one model (1.8) and of a built-in tool provider (1.7).

Three surfaces with one face, ``CredentialSet``: list, read masked, validate, create, use, delete. No stored value is
ever readable in clear. Shapes and traps as recorded. A switch may leave the old value in use
(a cache that a run in flight refills): ``read(None)`` shows what is used, ``use_again`` cures it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from difyops.api import answers, shapes
from difyops.api.console import HIDDEN, Console
from difyops.api.paths import part
from difyops.api.shapes import fit
from difyops.errors import NotFound, Refused, RequestRejected, SelectorError, UnreadableAnswer
from difyops.secret_text import SecretText

LONGEST_NAME = 30
_BASE = "/workspaces/current"
_STARS = 6
_PLUGIN_SAYS = re.compile(r'PluginInvokeError: \{.*?"message": ("(?:[^"\\]|\\.)+")', re.DOTALL)

Values = Mapping[str, str | SecretText]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One named credential; ``is_current`` when new runs are to use it."""

    id: str
    name: str
    is_current: bool = False


class CredentialSet(Protocol):
    """What the three surfaces have in common."""

    async def list(self) -> tuple[Credential, ...]:
        """Return the credentials by id and name."""
        ...

    async def secret_fields(self) -> tuple[str, ...]:
        """Return the names of the fields that hold secrets."""
        ...

    async def read(self, credential_id: str | None) -> dict[str, str]:
        """Return a credential with its secrets masked; ``None``: what runs use now."""
        ...

    async def validate(self, values: Values) -> str | None:
        """Let the provider try values; return its complaint, ``None`` when they are good (or cannot be tried)."""
        ...

    async def create(self, name: str, values: Values) -> None:
        """Add a credential; the answer has no id, so look it up by name. Validated by the server first."""
        ...

    async def use(self, credential_id: str) -> None:
        """Make a credential the one that new runs use."""
        ...

    async def use_again(self, credential_id: str) -> None:
        """Empty the server's cache of what is used, when the credential is current already."""
        ...

    async def delete(self, credential_id: str) -> None:
        """Delete a credential; one that is gone is fine."""
        ...


@dataclass(slots=True)
class ProviderCredentials:
    """The credentials of a model provider such as ``langgenius/openai/openai``."""

    console: Console
    provider: str

    async def row(self) -> dict[str, Any]:
        """Return the provider's row.

        Raises:
            SelectorError: there is no such provider in the workspace.
        """
        return await provider_row(self.console, self.provider)

    async def list(self) -> tuple[Credential, ...]:
        """Return the credentials."""
        return credentials_in((await self.row()).get("custom_configuration"), "available_credentials")

    async def secret_fields(self) -> tuple[str, ...]:
        """Return the secret fields of the provider's schema."""
        return _secret_fields((await self.row()).get("provider_credential_schema"))

    async def read(self, credential_id: str | None) -> dict[str, str]:
        """Return a credential, masked; ``None``: what is used."""
        params = {"credential_id": credential_id} if credential_id else {}
        body = await self.console.get(
            f"{self._path}/credentials", doing="read the credential", shape=answers.CREDENTIAL, **params
        )
        return _texts(body["credentials"])

    async def validate(self, values: Values) -> str | None:
        """Let the provider try the values."""
        body = {"credentials": _revealed(values)}
        answer = await self.console.send("POST", f"{self._path}/credentials/validate", body, doing="try the credential")
        if isinstance(answer, dict) and answer.get("result") == "error":
            return str(answer.get("error") or "refused")
        return None

    async def create(self, name: str, values: Values) -> None:
        """Add a credential; the first becomes current, later ones do not."""
        body = {"name": name, "credentials": _revealed(values)}
        await self.console.send("POST", f"{self._path}/credentials", body, doing="add the credential")

    async def use(self, credential_id: str) -> None:
        """Switch to a credential."""
        body = {"credential_id": credential_id}
        await self.console.send("POST", f"{self._path}/credentials/switch", body, doing="switch the credential")

    async def use_again(self, credential_id: str) -> None:
        """Switch once more; right 8 times of 8."""
        await self.use(credential_id)

    async def save_unchanged(self, credential_id: str, name: str) -> None:
        """Save a stored credential as it is, its secrets hidden: the server lets the provider try it first.

        Raises:
            RequestRejected: the provider refuses it. UnreadableAnswer: the stored credential cannot be read.
        """
        path, doing = f"{self._path}/credentials", "read the credential"
        body = await self.console.get(path, doing=doing, shape=answers.CREDENTIAL, credential_id=credential_id)
        values = body["credentials"]
        if not values:
            raise UnreadableAnswer("The stored credential cannot be read.")
        hidden = {key: HIDDEN if _is_mask(value) else value for key, value in values.items()}
        save = {"credential_id": credential_id, "credentials": hidden, "name": name}
        await self.console.send("PUT", path, save, doing="validate the credential")

    async def delete(self, credential_id: str) -> None:
        """Delete a credential. The server deletes the current one too, and then every app fails."""
        await _delete(self.console, "DELETE", f"{self._path}/credentials", {"credential_id": credential_id})

    @property
    def _path(self) -> str:
        return f"{_BASE}/model-providers/{part(self.provider, slashes=True)}"


@dataclass(slots=True)
class ModelCredentials:
    """The credentials of one custom model of a provider."""

    console: Console
    provider: str
    model: str
    model_type: str

    async def list(self) -> tuple[Credential, ...]:
        """Return the credentials of the model."""
        row = await provider_row(self.console, self.provider)
        for item in custom_models(row):
            if (item.get("model"), item.get("model_type")) == (self.model, self.model_type):
                return credentials_in(item, "available_model_credentials")
        return ()

    async def secret_fields(self) -> tuple[str, ...]:
        """Return the secret fields of the provider's schema for models."""
        return _secret_fields((await provider_row(self.console, self.provider)).get("model_credential_schema"))

    async def read(self, credential_id: str | None) -> dict[str, str]:
        """Return a credential of the model, masked; ``None``: what is used."""
        params = {**self._which, "config_from": "custom-model"}
        if credential_id:
            params["credential_id"] = credential_id
        body = await self.console.get(
            self._path, doing="read the model's credential", shape=answers.CREDENTIAL, **params
        )
        return _texts(body["credentials"])

    async def validate(self, values: Values) -> str | None:
        """Return ``None``: the server tries the values itself when they are added."""
        return None

    async def create(self, name: str, values: Values) -> None:
        """Add a credential for the model."""
        body = {**self._which, "name": name, "credentials": _revealed(values)}
        await self.console.send("POST", self._path, body, doing="add the model's credential")

    async def use(self, credential_id: str) -> None:
        """Switch the model to a credential."""
        body = {**self._which, "credential_id": credential_id}
        await self.console.send("POST", f"{self._path}/switch", body, doing="switch the model's credential")

    async def use_again(self, credential_id: str) -> None:
        """Empty the cache: by saving the credential with its own values, for a second switch is refused (1.13.0)."""
        try:
            await self.use(credential_id)
        except RequestRejected:
            secrets = set(await self.secret_fields())
            kept = await self.read(credential_id)
            values = {name: HIDDEN if name in secrets else value for name, value in kept.items()}
            body = {**self._which, "credential_id": credential_id, "credentials": values}
            await self.console.send("PUT", self._path, body, doing="save the model's credential again")

    async def delete(self, credential_id: str) -> None:
        """Delete a credential of the model."""
        await _delete(self.console, "DELETE", self._path, {**self._which, "credential_id": credential_id})

    @property
    def _path(self) -> str:
        return f"{_BASE}/model-providers/{part(self.provider, slashes=True)}/models/credentials"

    @property
    def _which(self) -> dict[str, str]:
        return {"model": self.model, "model_type": self.model_type}


@dataclass(slots=True)
class ToolCredentials:
    """The credentials of a built-in tool provider; the default one serves nodes that name none."""

    console: Console
    provider: str

    async def rows(self) -> list[dict[str, Any]]:
        """Return the credentials as the server lists them, the default one first.

        Raises:
            NotFound: there is no such tool provider.
        """
        try:
            body = await self.console.get(
                f"{self._path}/credentials", doing="list tool credentials", shape=answers.TOOL_CREDENTIALS
            )
        except RequestRejected as error:
            raise NotFound(error.message, status=error.status, server_code=error.server_code) from error
        return sorted(body, key=lambda row: not row.get("is_default"))

    async def list(self) -> tuple[Credential, ...]:
        """Return the credentials. The first is the one in use, also where two accounts have set a default each."""
        return tuple(
            Credential(id=str(row.get("id")), name=str(row.get("name")), is_current=place == 0)
            for place, row in enumerate(await self.rows())
        )

    async def secret_fields(self) -> tuple[str, ...]:
        """Return the secret fields of an API key of this provider."""
        path = f"{self._path}/credential/schema/api-key"
        body = await self.console.get(path, doing="read the tool's schema", shape=answers.TOOL_SCHEMA)
        return tuple(str(row["name"]) for row in body if _is_secret(row))

    async def read(self, credential_id: str | None) -> dict[str, str]:
        """Return a credential, masked; ``None``: the default one."""
        rows = await self.rows()
        chosen = [row for row in rows if row.get("id") == credential_id] if credential_id else rows[:1]
        return _texts(chosen[0].get("credentials")) if chosen else {}

    async def validate(self, values: Values) -> str | None:
        """Return ``None``: the server tries the values itself when they are added."""
        return None

    async def create(self, name: str, values: Values) -> None:
        """Add a credential, tried first; the provider's complaint comes wrapped in JSON, and is taken out of it.

        Raises:
            RequestRejected: the provider does not take the value; nothing was added.
        """
        body = {"name": name, "type": "api-key", "credentials": _revealed(values)}
        try:
            await self.console.send("POST", f"{self._path}/add", body, doing="add the tool's credential")
        except RequestRejected as error:
            if (said := _plugin_complaint(error.message)) is None:
                raise
            raise RequestRejected(said, status=error.status, server_code=error.server_code) from error

    async def use(self, credential_id: str) -> None:
        """Make a credential the default, and look that it is.

        The server takes the mark away only from credentials that the caller's own account added (1.13.0): where
        another account's is marked too, the older of the two stays in use.

        Raises:
            Refused: that is so here.
        """
        body = {"id": credential_id}
        await self.console.send("POST", f"{self._path}/default-credential", body, doing="switch the tool's credential")
        first = next(iter(await self.rows()), {})
        if first.get("id") != credential_id:
            raise Refused(
                f"{first.get('name')!r} stays in use: another account added it and made it the default, and the "
                "server lets nobody else take that back.",
                hint="Rotate as the account that added it.",
            )

    async def use_again(self, credential_id: str) -> None:
        """Make it the default once more."""
        await self.use(credential_id)

    async def delete(self, credential_id: str) -> None:
        """Delete a credential; nodes that name it fail from then on."""
        await _delete(self.console, "POST", f"{self._path}/delete", {"credential_id": credential_id})

    @property
    def _path(self) -> str:
        return f"{_BASE}/tool-provider/builtin/{part(self.provider, slashes=True)}"


def _plugin_complaint(message: str) -> str | None:
    """Return what a plugin said itself, out of ``req_id: ... PluginInvokeError: {json}``."""
    found = _PLUGIN_SAYS.search(message)
    try:
        return str(json.loads(found.group(1))) if found else None
    except (ValueError, RecursionError):
        return None


async def provider_row(console: Console, provider: str) -> dict[str, Any]:
    """Return the row of a model provider.

    Raises:
        SelectorError: there is none of that name; lists what there is.
    """
    body = await console.mapping(f"{_BASE}/model-providers", doing="list model providers", shape=answers.PROVIDERS)
    rows: list[dict[str, Any]] = body["data"]
    for row in rows:
        if row["provider"] == provider:
            return row
    known = ", ".join(sorted(str(row["provider"]) for row in rows)) or "none"
    raise SelectorError(f"There is no model provider {provider!r}.", hint=f"There are: {known}.")


def custom_models(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the models of a provider's row that have credentials of their own."""
    configuration = row.get("custom_configuration")
    rows = configuration.get("custom_models") if isinstance(configuration, dict) else None
    return _objects(rows, "custom_models")


def credentials_in(configuration: object, inside: str) -> tuple[Credential, ...]:
    """Return the credentials that a provider's or model's configuration lists."""
    body = configuration if isinstance(configuration, dict) else {}
    return tuple(
        Credential(
            id=str(row.get("credential_id")),
            name=str(row.get("credential_name")),
            is_current=row.get("credential_id") == body.get("current_credential_id"),
        )
        for row in _objects(body.get(inside), inside)
    )


async def _delete(console: Console, method: str, path: str, body: Mapping[str, str]) -> None:
    try:
        await console.send(method, path, body, doing="delete the credential")
    except RequestRejected as error:
        gone = isinstance(error, NotFound) or "not found" in error.message or "not added" in error.message
        if not gone:
            raise


def _secret_fields(schema: object) -> tuple[str, ...]:
    rows = schema.get("credential_form_schemas") if isinstance(schema, dict) else None
    return tuple(str(row.get("variable")) for row in _objects(rows, "credential_form_schemas") if _is_secret(row))


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    """Return the objects of an inner list, ``[]`` when the server left it out; a list of anything else is refused."""
    found: list[dict[str, Any]] = [] if value is None else fit(value, shapes.rows(), doing=f"read {name}")
    return found


def _is_secret(row: Mapping[str, Any]) -> bool:
    return row.get("type") == "secret-input"


def _is_mask(value: object) -> bool:
    """Say whether a value is the server's mask of a secret."""
    return isinstance(value, str) and "*" * _STARS in value


def _texts(values: object) -> dict[str, str]:
    found = values if isinstance(values, dict) else {}
    return {str(name): str(value) for name, value in found.items() if value is not None}


def _revealed(values: Values) -> dict[str, str]:
    return {name: value.reveal() if isinstance(value, SecretText) else value for name, value in values.items()}

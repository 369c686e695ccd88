"""``provider.credential``: does the key that a model provider is used with really work?"""

from __future__ import annotations

from typing import Any

from difyops.api.credential_sets import ProviderCredentials
from difyops.api.instance import Instance
from difyops.api.run_faults import PROVIDER_DOWN, PROVIDER_RATE, kind_of
from difyops.errors import DifyopsError, NotSupported, RequestRejected
from difyops.runbook.providers import provider_named
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Skipped, Value, Warn


async def check(resources: Resources, *, provider: str, credential: str | None = None) -> Result:
    """Let the server validate the stored key with the provider itself; ``status: active`` only says that one is there.

    The one way to do that is to save the stored credential unchanged (its secret stays hidden), which the server
    validates first; the role must be admin or owner, 1.8 or newer. Without ``credential`` (a name) it is the current
    one, and it is also seen whether the old key is still in use after a switch. The provider being down or asking for
    patience is inconclusive: that says nothing about the key.
    """
    instance = await resources.instance()
    row = provider_named(await instance.workspace.model_providers(), provider)
    if row is None:
        return Fail(text=f"there is no model provider {provider!r}", hint="Is its plugin installed?")
    if not instance.capabilities.can("model_credentials"):
        raise NotSupported("A stored key can be validated from server 1.8 on; app.answers shows it, too.")
    configuration = row.get("custom_configuration") or {}
    chosen = _chosen(configuration, credential)
    name = str(row.get("provider"))
    if chosen is None:
        what = f"no credential {credential!r}" if credential else "no current credential"
        return Fail(text=f"{name} has {what}: every app that uses it fails", hint="provider.switch_credential")
    label = str(chosen.get("credential_name") or chosen.get("credential_id"))
    values = (Value(name="credential", value=label),)
    if resources.dry_run:
        return Skipped(text=f"dry run: {name}: the key {label!r} is validated by saving it again", values=values)
    problem = await _validated(instance, name, chosen)
    if problem is not None:
        kind = kind_of(problem.server_code if isinstance(problem, RequestRejected) else "", problem.message)
        if kind in (PROVIDER_DOWN, PROVIDER_RATE) or not isinstance(problem, RequestRejected):
            return Inconclusive(text=f"{name}: {problem.message}", values=values)
        text = f"{name}: the provider refuses the key {label!r}"
        return Fail(
            text=text,
            values=values,
            excerpt=problem.message,
            hint=f"difyops secret rotate provider {name}, or switch it",
        )
    if credential is None and await _is_stale(instance, name, chosen):
        text = f"{name}: the key {label!r} works, but another one is still in use after a switch"
        return Warn(text=text, values=values, hint="Switch to the same credential once more.")
    return Pass(text=f"{name}: the key {label!r} was validated by the provider", values=values)


def _chosen(configuration: dict[str, Any], wanted: str | None) -> dict[str, Any] | None:
    rows = [row for row in configuration.get("available_credentials") or () if isinstance(row, dict)]
    key = "credential_name" if wanted else "credential_id"
    sought = wanted or configuration.get("current_credential_id")
    return next((row for row in rows if sought and row.get(key) == sought), None)


async def _validated(instance: Instance, provider: str, row: dict[str, Any]) -> DifyopsError | None:
    credentials = ProviderCredentials(instance.console, provider)
    try:
        await credentials.save_unchanged(str(row["credential_id"]), str(row.get("credential_name") or ""))
    except DifyopsError as error:
        return error
    return None


async def _is_stale(instance: Instance, provider: str, row: dict[str, Any]) -> bool:
    """Compare the mask of the key in use with that of the stored one; equal ends look the same."""
    credentials = ProviderCredentials(instance.console, provider)
    used, stored = await credentials.read(None), await credentials.read(str(row["credential_id"]))
    return bool(used) and used != stored

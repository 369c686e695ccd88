"""``app.access``: can callers get in? The API switch, the keys, and what a call with a key answers."""

from __future__ import annotations

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.service import Service, app_key
from difyops.errors import CredentialError, Forbidden, NotAuthenticated
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.scene import Scene


async def check(scene: Scene, *, apps: list[str], keys: bool = True) -> Result:
    """Call every app's info page with one of its own keys, and say why callers get 401 or 403.

    Told apart: the API switch is off, the app has no key, its key is refused. No run is made. ``keys: false`` looks at
    the switches only. An app without a key is a warning: it may be used through its page.
    """
    chosen = await scene.chosen(apps)
    instance = await scene.instance()

    async def look(app: App) -> tuple[str, str] | None:
        return await _problem(instance, app, keys=keys)

    closed: list[str] = []
    keyless: list[str] = []
    unread: list[str] = []
    async for result in fan_out(chosen, look, FanoutOptions(limit=instance.context.max_in_flight)):
        match result:
            case Done(item=app, value=("closed", text)):
                closed.append(f"{app.name}: {text}")
            case Done(item=app, value=("keyless", text)):
                keyless.append(f"{app.name}: {text}")
            case Failed(item=app, error=error):
                unread.append(f"{app.name}: {error.message}")
    values = (Value(name="closed", value=len(closed), fail=0), Value(name="without_key", value=len(keyless), warn=0))
    if closed:
        text = f"callers of {len(closed)} of {len(chosen)} apps are refused; first: {sorted(closed)[0]}"
        hint = "Switch it on: difyops app enable APP. Deliver a key: difyops secret list"
        return Fail(text=text, values=values, excerpt="; ".join(sorted(closed)[:12]), hint=hint)
    if unread:
        return Inconclusive(text=f"{len(unread)} of {len(chosen)} apps were not looked at: {unread[0]}", values=values)
    if keyless:
        return Warn(text=f"{len(keyless)} apps have no key; first: {sorted(keyless)[0]}", values=values)
    return Pass(text=f"callers of {len(chosen)} apps get in", values=values)


async def _problem(instance: Instance, app: App, *, keys: bool) -> tuple[str, str] | None:
    detail = await instance.console.app(app.id)
    if detail.enable_api is False:
        return ("closed", "its API switch is off (403 for everybody)")
    if not keys:
        return None
    try:
        await Service(instance.transport, await app_key(instance.console, app.id), app.mode).info()
    except CredentialError:
        return ("keyless", "it has no API key")
    except NotAuthenticated as error:
        return ("closed", f"its key is refused (401: {error.message})")
    except Forbidden as error:
        return ("closed", f"403: {error.message}")
    return None

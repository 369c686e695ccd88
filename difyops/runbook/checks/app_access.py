"""``app.access``: can callers get in? The API switch, the keys, and what a call with a key answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.service import Service, app_key
from difyops.counting import counted
from difyops.errors import CredentialError, Forbidden, NotAuthenticated
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.runbook.kept_switches import kept_switches, last_switch
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.threads import apart

_MOST_NAMED = 5


async def check(
    resources: Resources, *, apps: list[str], keys: bool = True, expected_off: list[str] | None = None
) -> Result:
    """Call every app's info page with one of its own keys, and say why callers get 401 or 403.

    Told apart: the API switch is off, the app has no key, its key is refused. No run is made. ``keys: false`` looks at
    the switches only. An app without a key is a warning: it may be used through its page. An API that is off on purpose
    is no failure: it was off in the last snapshot already, ``expected_off`` names it, or, where no snapshot holds the
    app, difyops switched it off last. Off and unknown why is a warning.
    """
    chosen = await resources.chosen(apps)
    excused = {app.id for app in await resources.chosen(expected_off)} if expected_off else set()
    instance = await resources.instance()
    found = _Found(apps=len(chosen))

    async def look(app: App) -> tuple[str, str] | None:
        return await _problem(instance, app, keys=keys)

    async for result in fan_out(chosen, look, FanoutOptions(limit=instance.context.max_in_flight)):
        match result:
            case Done(item=app, value=("off", _)):
                found.off.append(app)
            case Done(item=app, value=("closed", text)):
                found.closed.append(f"{app.name}: {text}")
            case Done(item=app, value=("keyless", text)):
                found.keyless.append(f"{app.name}: {text}")
            case Failed(item=app, error=error):
                found.unread.append(f"{app.name}: {error.message}")
    if found.off:
        kept = await apart(lambda: kept_switches(resources, [app.id for app in found.off]))
        for app in found.off:
            _sort(resources, app, kept, found, is_excused=app.id in excused)
    return _judged(found)


@dataclass(slots=True, kw_only=True)
class _Found:
    """What the apps said, by what it means. ``off`` is not sorted yet."""

    apps: int
    off: list[App] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    on_purpose: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    keyless: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def values(self) -> tuple[Value, ...]:
        """Return what was counted."""
        return (
            Value(name="closed", value=len(self.closed), fail=0),
            Value(name="off_on_purpose", value=len(self.on_purpose)),
            Value(name="off_unknown_why", value=len(self.unknown), warn=0),
            Value(name="without_key", value=len(self.keyless), warn=0),
        )


def _sort(resources: Resources, app: App, kept: Mapping[str, bool], found: _Found, *, is_excused: bool) -> None:
    """Put an app whose API is off where it belongs."""
    was_on = kept.get(app.id)
    switch = last_switch(resources, app.id)
    who = f", switched {switch[1]}" if switch and switch[0] == "app.disable" else ""
    if is_excused or was_on is False or (was_on is None and who):
        found.on_purpose.append(app.name)
    elif was_on:
        found.closed.append(
            f"{app.name}: its API switch is off, and was on in the last snapshot (403 for everybody){who}"
        )
    else:
        found.unknown.append(app.name)


def _as_typed(apps: Sequence[App]) -> str:
    """Return apps as a command takes them, by id where a name is not plain; ``APP`` for none and for many."""
    plain = re.compile(r"[\w.-]+")
    if not 0 < len(apps) <= _MOST_NAMED:
        return "APP"
    return " ".join(app.name if plain.fullmatch(app.name) else app.id for app in apps)


def _judged(found: _Found) -> Result:
    aside = f" (off on purpose: {_listed(found.on_purpose)})" if found.on_purpose else ""
    if found.closed:
        text = f"callers of {len(found.closed)} of {counted(found.apps, 'app')} are refused; first: {min(found.closed)}"
        hint = f"Switch it on: difyops app enable {_as_typed(found.off)}. Deliver a key: difyops secret list"
        return Fail(text=text + aside, values=found.values, excerpt="; ".join(sorted(found.closed)[:12]), hint=hint)
    if found.unread:
        text = f"{len(found.unread)} of {counted(found.apps, 'app was', 'apps were')} not looked at: {found.unread[0]}"
        return Inconclusive(text=text, values=found.values)
    if found.unknown:
        text = f"the API of {_listed(found.unknown)} is off, and no snapshot says whether it should be"
        hint = f"Keep it as it is: difyops snapshot create. Switch it on: difyops app enable {_as_typed(found.off)}"
        return Warn(text=text + aside, values=found.values, hint=hint)
    if found.keyless:
        text = f"{counted(len(found.keyless), 'app has', 'apps have')} no key; first: {min(found.keyless)}"
        return Warn(text=text + aside, values=found.values)
    return Pass(
        text=f"callers of {counted(found.apps - len(found.on_purpose), 'app')} get in{aside}", values=found.values
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(sorted(names)[:8]) + more


async def _problem(instance: Instance, app: App, *, keys: bool) -> tuple[str, str] | None:
    detail = await instance.console.app(app.id)
    if detail.enable_api is False:
        return ("off", "")
    if not keys:
        return None
    try:
        await Service(
            instance.service_transport, await app_key(instance.console, app.id), app.mode, name=app.name
        ).info()
    except CredentialError:
        return ("keyless", "it has no API key")
    except NotAuthenticated as error:
        return ("closed", f"its key is refused (401: {error.message})")
    except Forbidden as error:
        return ("closed", f"403: {error.message}")
    return None

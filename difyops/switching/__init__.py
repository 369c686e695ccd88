"""Switching one thing, as a change: an app's API or web page, its triggers, a model provider's current credential.

Each is looked at, written to the journal, switched, read back. After a kill it is finished or put back; what somebody
else switched meanwhile is left alone.
"""

from __future__ import annotations

from difyops.switching.app import AppSwitch, switch_app
from difyops.switching.change import Switch, Switches
from difyops.switching.provider import KIND as PROVIDER
from difyops.switching.provider import ProviderSwitch, switch_provider
from difyops.switching.trigger import TriggerSwitch, switch_triggers

_APP, _TRIGGERS = AppSwitch(), TriggerSwitch()
KINDS: dict[str, Switch] = {
    "app.enable": _APP,
    "app.disable": _APP,
    "trigger.enabled": _TRIGGERS,
    "trigger.disabled": _TRIGGERS,
    PROVIDER: ProviderSwitch(),
}

__all__ = ["KINDS", "Switch", "Switches", "switch_app", "switch_provider", "switch_triggers"]

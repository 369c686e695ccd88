"""``/_emulator/``: the control of the emulator over HTTP, for people and other processes on the same machine.

``GET control`` shows moods and counts; ``POST control`` changes them (see ``apply``) and, by ``play``, what somebody
else does to an app (``{"play": {"break": "support-triage"}}``); ``POST reset`` starts anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from difyops.emulator import shapes
from difyops.emulator.control import MOODS, Control
from difyops.emulator.shapes import JsonDict
from difyops.errors import UsageError

_KNOWN = ("mood", "moods", "delay", "limit", "fail", "clear_failures", "revoke", "restore", "reset_counts", "play")


def state(control: Control) -> JsonDict:
    """Return what the control looks like now."""
    return {
        "pid": os.getpid(),
        "moods": sorted(control.moods),
        "known_moods": MOODS,
        "delay": control.seconds,
        "limit": control.in_flight_limit,
        "revoked": len(control.revoked),
        "counts": control.counts(),
    }


def apply(control: Control, orders: JsonDict) -> None:
    """Carry out ``orders``.

    ``mood``: a name; ``moods``: {name: bool}; ``delay``: seconds; ``limit``: requests in flight or null; ``fail``: one
    plan or a list of them ({method, path, nth, times, how}); ``clear_failures``, ``reset_counts``: true; ``revoke``,
    ``restore``: a provider key.

    Raises:
        UsageError: an order, a mood or a plan that makes no sense.
    """
    unknown = sorted(set(orders) - set(_KNOWN))
    if unknown:
        raise UsageError(f"The control knows no {', '.join(unknown)}; it knows {', '.join(_KNOWN)}.")
    if orders.get("clear_failures"):
        control.clear_failures()
    if "mood" in orders:
        control.mood(str(orders["mood"]))
    for name, on in (orders.get("moods") or {}).items():
        control.mood(name, bool(on))
    if "delay" in orders:
        control.delay(float(orders["delay"]))
    if "limit" in orders:
        control.limit(orders["limit"])
    plans = orders.get("fail") or []
    for plan in plans if isinstance(plans, list) else [plans]:
        control.fail(**plan)
    for name, revoked in (("revoke", True), ("restore", False)):
        if orders.get(name):
            control.revoke(str(orders[name]), revoked)
    if orders.get("reset_counts"):
        control.reset_counts()


def panel(
    control: Control, reset: Callable[[], None], play: Callable[[str, str], None]
) -> Callable[[Request, bytes], Response]:
    """Return the handler of ``/_emulator/``."""

    def handle(request: Request, body: bytes) -> Response:
        path, method = request.url.path, request.method
        if path == "/_emulator/reset" and method == "POST":
            reset()
        elif path == "/_emulator/control" and method == "POST":
            orders = json.loads(body or b"{}")
            apply(control, orders)
            for verb, name in (orders.get("play") or {}).items():
                play(verb, str(name))
        elif path != "/_emulator/control" or method != "GET":
            return shapes.answer({"code": "not_found", "message": f"No {method} {path} here.", "status": 404}, 404)
        return shapes.answer(state(control))

    return handle

"""The language model behind the instance: it answers ``echo: <last user message>`` and obeys switches in the prompt.

``[[delay=5]]`` seconds of server time, ``[[chunks=40]]`` pieces, ``[[fail=auth|rate|server|conn|bad|unknown]]`` at
once, ``[[fail-mid=server]]`` after the first piece, ``[[dull=gpt-4o-mini]]`` a model that has no answer to this. Which
credential a call uses, and whether it is good, is decided here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal

from difyops.emulator.instance import Instance
from difyops.emulator.providers import MODELS, OPENAI, SECRET_FIELD
from difyops.emulator.shapes import JsonDict

_SWITCH = re.compile(r"\[\[(delay|chunks|fail|fail-mid|dull)=([\w.-]+)\]\]")
_UNIT = Decimal("0.000001")
_DEFAULT_DELAY = 0.2
_TEXTS = {
    "auth": "[openai] Incorrect model credentials provided, please check and try again.",
    "rate": (
        "[openai] Rate Limit Error, Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o-mini', "
        "'type': 'requests', 'code': 'rate_limit_exceeded'}}"
    ),
    "server": "[openai] Server Unavailable Error, Error code: 503 - The server is overloaded",
    "conn": "[openai] Connection Error, Connection error.",
    "bad": "[openai] Bad Request Error, Error code: 400 - {'error': {'message': 'context_length_exceeded'}}",
}
_UNKNOWN = json.dumps({"error_type": "KeyError", "message": "'choices'", "args": {"description": "'choices'"}})


class ModelFault(Exception):
    """A model call that failed, in the three wordings the server has for it.

    ``text`` is what a workflow shows, ``code`` and ``message`` what a chat answers, ``event_message`` what its stream
    says. ``is_config`` marks faults found before the call: unknown model or provider, no credential.
    """

    def __init__(
        self, text: str, *, code: str, message: str | None = None, event: str | None = None, is_config: bool = False
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.message = message or text
        self.event_message = event or self.message
        self.is_config = is_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is sent to a model: its name, its provider, the messages ``{role, text}``."""

    provider: str
    model: str
    messages: list[JsonDict]

    @property
    def last_user(self) -> str:
        """Return the last user message."""
        return next((str(item["text"]) for item in reversed(self.messages) if item["role"] == "user"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Switches:
    delay: float
    chunks: int
    fail: str
    fail_mid: str
    dull: str


def fault(instance: Instance, kind: str) -> ModelFault:
    """Return the fault the provider reports for ``kind``."""
    if kind == "unknown" or kind not in _TEXTS:
        text = f"req_id: {instance.rng.getrandbits(40):010x} PluginInvokeError: {_UNKNOWN}"
        return ModelFault(text, code="invalid_param", event=_UNKNOWN)
    message = "Incorrect API key provided" if kind == "auth" else None
    return ModelFault(_TEXTS[kind], code="completion_request_error", message=message)


def configuration_fault(instance: Instance, provider: str, model: str) -> ModelFault | None:
    """Return why a model cannot even be called, or None."""
    if instance.control.has("daemon_down"):
        text = instance.tenant_text(instance.release.daemon_error)
        return ModelFault(text, code="invalid_param")
    if provider != OPENAI:
        return ModelFault(f"Provider {provider} does not exist.", code="invalid_param", is_config=True)
    if credential_in_use(instance, model) is None:
        message = f"Model {model} credentials is not initialized."
        return ModelFault("Model is not configured", code="provider_not_initialize", message=message, is_config=True)
    if model not in MODELS and model not in {custom.name for custom in instance.provider.custom}:
        return ModelFault(f"Model {model} not exist.", code="invalid_param", is_config=True)
    return None


def credential_in_use(instance: Instance, model: str) -> dict[str, str] | None:
    """Return the credential values a call to ``model`` uses now; with a stale switch these are the old ones."""
    for custom in instance.provider.custom:
        if custom.name == model and custom.cached is not None:
            return custom.cached
    return instance.provider.cached


def is_good_key(instance: Instance, key: str) -> bool:
    """Tell whether the provider accepts ``key``."""
    return key.startswith("sk-good") and key not in instance.control.revoked


async def invoke(instance: Instance, prompt: Prompt) -> AsyncIterator[str | JsonDict]:
    """Call the model: yields pieces of text, then an empty piece, then the usage.

    Raises:
        ModelFault: no credential, a refused key, a provider that is down, or a switch in the prompt.
    """
    problem = configuration_fault(instance, prompt.provider, prompt.model)
    if problem is not None:
        raise problem
    key = (credential_in_use(instance, prompt.model) or {}).get(SECRET_FIELD, "")
    instance.control.count_provider_key(key)
    switches = _switches(prompt.last_user)
    kind = _refusal(instance, key, switches)
    if kind:
        await instance.pause(min(switches.delay, _DEFAULT_DELAY))
        raise fault(instance, kind)
    started = instance.moment()
    await instance.pause(switches.delay / 2)
    first = instance.moment() - started
    text = "I do not know." if switches.dull == prompt.model else f"echo: {prompt.last_user}"
    pieces = _pieces(text, switches.chunks)
    for number, piece in enumerate(pieces):
        if number == 1 and switches.fail_mid:
            raise fault(instance, switches.fail_mid)
        yield piece
        await instance.pause(switches.delay / 2 / len(pieces))
    yield ""
    asked = max(1, sum(len(str(item["text"])) for item in prompt.messages) // 4)
    yield usage(prompt.model, asked, max(1, len(text) // 4), instance.moment() - started, first)


def _switches(text: str) -> _Switches:
    found = dict(_SWITCH.findall(text))
    return _Switches(
        delay=float(found.get("delay", _DEFAULT_DELAY)),
        chunks=max(1, int(float(found.get("chunks", 4)))),
        fail=found.get("fail", ""),
        fail_mid=found.get("fail-mid", ""),
        dull=found.get("dull", ""),
    )


def _refusal(instance: Instance, key: str, switches: _Switches) -> str:
    if not is_good_key(instance, key):
        return "auth"
    return "server" if instance.control.has("provider_down") else switches.fail


def _pieces(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def usage(model: str, asked: int, answered: int, latency: float, first: float) -> JsonDict:
    """Return the usage object: prices are strings and may look like ``9.0E-7``."""
    price_in, price_out = MODELS.get(model, MODELS["gpt-4o-mini"])
    cost_in, cost_out = Decimal(price_in) * _UNIT * asked, Decimal(price_out) * _UNIT * answered
    return {
        "prompt_tokens": asked, "prompt_unit_price": price_in, "prompt_price_unit": str(_UNIT),
        "prompt_price": str(cost_in), "completion_tokens": answered, "completion_unit_price": price_out,
        "completion_price_unit": str(_UNIT), "completion_price": str(cost_out), "total_tokens": asked + answered,
        "total_price": str(cost_in + cost_out), "currency": "USD", "latency": latency,
        "time_to_first_token": first, "time_to_generate": latency - first,
    }  # fmt: skip


def plain_prices(amounts: JsonDict) -> JsonDict:
    """Return the usage as blocking calls show it: prices without exponent."""
    names = ("prompt_price", "completion_price", "total_price")
    return {**amounts, **{name: format(Decimal(amounts[name]), "f") for name in names}}


def no_usage(latency: float) -> JsonDict:
    """Return the usage of an answer that was stopped: nothing, although the model was called."""
    zero = "0E-7"
    amounts = usage("gpt-4o-mini", 0, 0, latency, 0.0)
    amounts.update(prompt_price=zero, completion_price=zero, total_price=zero)
    amounts.update(time_to_first_token=None, time_to_generate=None)
    return amounts

"""Why a run failed, told apart: everything comes as 400 or as text, so class and advice are read from code and words.

Sources: answers recorded from 1.13.0 to 1.15 (tests/recordings). The provider's own status is never passed on.
"""

from __future__ import annotations

import re

import httpx

from difyops.api.faults import clean
from difyops.api.transport import NotCalled
from difyops.errors import DifyopsError, RateLimited, RequestRejected, Unreachable

PROVIDER_AUTH = "provider_auth"
PROVIDER_RATE = "provider_rate_limit"
PROVIDER_DOWN = "provider_down"
PROVIDER_MISSING = "provider_missing"
QUOTA = "quota"
CONCURRENCY = "concurrency"
BAD_INPUT = "bad_input"
UNPUBLISHED = "unpublished"
WRONG_MODE = "wrong_mode"
PLUGIN_DOWN = "plugin_down"
STOPPED = "stopped"
APP_FAULT = "app_fault"
RATE_LIMIT = "rate_limit"
CUT_OFF = "cut_off"
PAUSED = "paused"

_RETRYABLE = frozenset({PROVIDER_RATE, PROVIDER_DOWN, PLUGIN_DOWN, CONCURRENCY, RATE_LIMIT})
_NOT_BEGUN = frozenset({CONCURRENCY, RATE_LIMIT})
_BY_CODE = {
    "provider_not_initialize": PROVIDER_MISSING,
    "provider_quota_exceeded": QUOTA,
    "model_currently_not_support": PROVIDER_MISSING,
    "app_unavailable": UNPUBLISHED,
    "not_chat_app": WRONG_MODE,
    "not_workflow_app": WRONG_MODE,
    "not_completion_app": WRONG_MODE,
    "too_many_requests": CONCURRENCY,
    "rate_limit_error": QUOTA,
}
_BY_WORDS: tuple[tuple[str, str], ...] = (
    (r"maximum concurrent requests allowed", CONCURRENCY),
    (r"plugin daemon", PLUGIN_DOWN),
    (r"incorrect (api key|model credentials)|invalid_api_key|unauthori[sz]ed|authentication", PROVIDER_AUTH),
    (r"rate limit|\b429\b|rate_limit_exceeded", PROVIDER_RATE),
    (r"quota|insufficient_quota|billing", QUOTA),
    (r"server unavailable|\b50[0234]\b|overloaded|connection error|timed? ?out", PROVIDER_DOWN),
    (r"model is not configured|credentials is not initialized|not exist\.|does not exist", PROVIDER_MISSING),
    (r"workflow not published", UNPUBLISHED),
    (r"agent chat app does not support blocking", WRONG_MODE),
    (r"in input form|arg user must be provided|query is required|is required", BAD_INPUT),
    (r"user requested stop", STOPPED),
)
_HINTS = {
    PROVIDER_AUTH: "The provider refuses its key: difyops secret rotate provider ...",
    PROVIDER_MISSING: "No working credential or model is chosen for this provider.",
    UNPUBLISHED: "Publish the app first.",
    PAUSED: "Somebody must fill in its form; then the run goes on.",
    CONCURRENCY: "The app's limit of concurrent requests is reached; a limit of 1 refuses every streaming run.",
}


class RunFailed(DifyopsError):
    """A run of an app failed. ``kind`` is one of this module's words; ``retryable`` says whether it may pass later."""

    code = "run_failed"

    def __init__(self, message: str, *, kind: str, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint or _HINTS.get(kind), retryable=kind in _RETRYABLE, details={"kind": kind})
        self.kind = kind
        self.retry_after = retry_after

    @property
    def was_begun(self) -> bool:
        """Say whether the server began the run; only a limit refuses before (a form is checked by us)."""
        return self.kind not in _NOT_BEGUN


def kind_of(code: str, message: str) -> str:
    """Return the class of a failure from the server's code and words."""
    text = message.lower()
    for pattern, kind in _BY_WORDS:
        if re.search(pattern, text):
            return kind
    if code in _BY_CODE:
        return _BY_CODE[code]
    return APP_FAULT


def run_failure(code: str, message: str) -> RunFailed:
    """Return the error for what a run said about itself."""
    return RunFailed(clean(message) or "The run failed without a reason.", kind=kind_of(code, message))


def class_of(error: DifyopsError) -> str:
    """Return the one word by which a failed run is counted: its kind, or the code of any other error."""
    return error.kind if isinstance(error, RunFailed) else error.code


def was_not_sent(error: DifyopsError) -> bool:
    """Say whether no connection was made at all, so that nothing can have been begun; a repeat may help."""
    return isinstance(error, Unreachable) and error.retryable and isinstance(error.__cause__, httpx.ConnectError)


def was_never_sent(error: DifyopsError) -> bool:
    """Say whether nothing can have been begun: no connection was made, or the breaker let no call through."""
    too_slow = isinstance(error, Unreachable) and isinstance(error.__cause__, httpx.ConnectTimeout)
    return was_not_sent(error) or too_slow or isinstance(error, NotCalled)


def told_apart(error: DifyopsError) -> DifyopsError:
    """Return the error of a refused run call, told apart: 400s become ``RunFailed``, the others stay what they are."""
    if isinstance(error, RateLimited):
        kind = kind_of("", error.message)
        limit = kind if kind in (CONCURRENCY, QUOTA) else RATE_LIMIT
        return RunFailed(error.message, kind=limit, retry_after=error.retry_after)
    if type(error) is RequestRejected:
        return RunFailed(error.message, kind=kind_of(error.server_code, error.message))
    return error

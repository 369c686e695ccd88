"""Every failure difyops knows, as one tree. Each class carries a stable code and an exit code.

    DifyopsError                      1  failed
    ├── UsageError                    2  usage
    │   ├── ConfigError                  config          (file, line, field)
    │   ├── CredentialError              credential      (a reference that cannot be resolved)
    │   └── SelectorError                selector        (matches nothing, or too much)
    ├── PartialFailure                3  partial         (some targets failed, the rest went on)
    ├── AuthError                     4  auth
    │   ├── NotAuthenticated             not_authenticated
    │   ├── Forbidden                    forbidden
    │   └── AccountLocked                account_locked
    ├── AnswerIsNo                    5  no              (drift, violation, failed check, breach)
    ├── NotSupported                  6  not_supported   (this server version lacks it)
    ├── RateLimited                   7  rate_limited
    ├── OutOfBudget                   7  out_of_budget
    ├── Refused                       8  refused         (a guard said no)
    │   ├── NeedsConfirmation            needs_confirmation
    │   ├── StalePlan                    stale_plan
    │   ├── LockHeld                     lock_held
    │   │   └── LockLost                 lock_lost       (somebody took it over while the shared state was away)
    │   └── UnpublishedEdits             unpublished_edits
    ├── Unreachable                   1  unreachable     (DNS, connection, TLS, breaker open)
    │   └── TimedOut                     timed_out
    ├── ServerFault                   1  server_fault    (5xx, malformed answer)
    │   └── UnreadableAnswer          3  unreadable      (not what its use needs, or contradicted)
    ├── RequestRejected               1  rejected        (4xx that none of the above explains)
    │   ├── NotFound                     not_found
    │   └── Conflict                     conflict        (a draft that moved: the hash lock said no)
    ├── StoreError                    1  store           (git store or ledger unreadable, disk full)
    │   ├── StateAway                    state_away      (the shared state cannot be reached)
    │   │   └── StateMoved            8  state_moved     (also a Refused: it is in another place now)
    │   └── NothingKept               2  nothing_kept    (no such snapshot, no store: what was named is not there)
    └── Interrupted                 130  interrupted

``hint`` is a command to run or a sentence that says what to do next. ``retryable`` says whether the same call may
succeed later without any change; it is set where the error is made, never guessed from the class alone.
"""

from __future__ import annotations

from collections.abc import Mapping


class DifyopsError(Exception):
    """Base of all expected failures. ``str(error)`` is one clear sentence without secrets."""

    code = "failed"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool = False,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retryable = retryable
        self.details: dict[str, object] = dict(details or {})

    def as_dict(self) -> dict[str, object]:
        """Return the ``error`` member of the output envelope: code, message, hint, retryable (+ details)."""
        body: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
        }
        if self.details:
            body["details"] = self.details
        return body


class UsageError(DifyopsError):
    """The command line or its input is wrong; nothing was tried."""

    code = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A configuration file cannot be used; the message names file, line and field."""

    code = "config"


class CredentialError(UsageError):
    """A credential reference cannot be resolved (missing, unreadable, wrong mode, keyring locked)."""

    code = "credential"


class SelectorError(UsageError):
    """A selector matches nothing, or an exact name matches several apps; the message lists what there is."""

    code = "selector"


class PartialFailure(DifyopsError):
    """Some targets failed and the rest went on."""

    code = "partial"
    exit_code = 3


class AuthError(DifyopsError):
    """The instance does not let us in, or not do this."""

    code = "auth"
    exit_code = 4


class NotAuthenticated(AuthError):
    """Credentials are missing, wrong or expired beyond renewal."""

    code = "not_authenticated"


class Forbidden(AuthError):
    """Known to the instance, but the role or a switch forbids this call."""

    code = "forbidden"


class AccountLocked(AuthError):
    """Too many wrong passwords; the instance refuses even the right one for up to a day."""

    code = "account_locked"


class AnswerIsNo(DifyopsError):
    """The tool worked and the answer is no: drift, violation, failed check, breach."""

    code = "no"
    exit_code = 5


class NotSupported(DifyopsError):
    """This server version has no call that could do it."""

    code = "not_supported"
    exit_code = 6


class RateLimited(DifyopsError):
    """The instance or a provider behind it asks for fewer calls."""

    code = "rate_limited"
    exit_code = 7

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, retryable=True)
        self.retry_after = retry_after


class OutOfBudget(DifyopsError):
    """A budget (tokens, retries, time) would be or was exceeded."""

    code = "out_of_budget"
    exit_code = 7


class Refused(DifyopsError):
    """A guard said no before anything was changed."""

    code = "refused"
    exit_code = 8


class NeedsConfirmation(Refused):
    """A change was asked for without a terminal to confirm it and without --yes."""

    code = "needs_confirmation"


class StalePlan(Refused):
    """The instance moved between the plan and its execution."""

    code = "stale_plan"


class LockHeld(Refused):
    """Another process works on the same thing."""

    code = "lock_held"


class LockLost(LockHeld):
    """Somebody else had our lock while the shared state was away; nothing more is done."""

    code = "lock_lost"


class UnpublishedEdits(Refused):
    """The draft holds edits nobody published, and the command would lose them."""

    code = "unpublished_edits"


class Unreachable(DifyopsError):
    """No answer: name resolution, connection, TLS, or the breaker is open after repeated failures."""

    code = "unreachable"


class TimedOut(Unreachable):
    """The answer did not come in the time allowed; whether the server acted is unknown."""

    code = "timed_out"


class ServerFault(DifyopsError):
    """The server answered 5xx, or with something that is not what this call returns."""

    code = "server_fault"


class UnreadableAnswer(ServerFault):
    """An answer has not the shape that its use needs, or another answer of the same run contradicts it.

    What it was asked for counts as not read: never as empty, removed or complete.
    """

    code = "unreadable"
    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message, hint=hint, retryable=True, details=details)


class RequestRejected(DifyopsError):
    """The server understood the request and said no (4xx).

    ``server_code`` is its own word for the reason; ``body`` the parsed answer where it carries more than a message.
    """

    code = "rejected"

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        server_code: str = "",
        hint: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.status = status
        self.server_code = server_code
        self.body: object = None


class NotFound(RequestRejected):
    """The thing named does not exist on the server (any more)."""

    code = "not_found"


class Conflict(RequestRejected):
    """Somebody else changed the thing in between (draft hash mismatch)."""

    code = "conflict"


class StoreError(DifyopsError):
    """The local store (git, SQLite, files) cannot be read or written."""

    code = "store"


class StateAway(StoreError):
    """The database that several machines share cannot be reached; nothing new was begun."""

    code = "state_away"


class StateMoved(Refused, StateAway):
    """The state is in another place now, or on its way here; nothing is written where it was asked for."""

    code = "state_moved"
    exit_code = 8


class NothingKept(StoreError):
    """There is no such snapshot, no snapshot yet, or no store at that place: what was named is not there."""

    code = "nothing_kept"
    exit_code = 2


class Interrupted(DifyopsError):
    """Ctrl-C or SIGTERM; what was done so far is on record."""

    code = "interrupted"
    exit_code = 130

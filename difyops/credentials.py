"""References to secrets, resolved at the moment of use. The only home of ``keyring``.

keyring:SERVICE/NAME   the system keyring (headless hosts often have none: a clear message, never a hang)
env:NAME               an environment variable
file:PATH              a file that only its owner may read (0600), or refused
cmd:COMMAND ...        the standard output of a command (split as a shell splits words, no shell runs)
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import shlex
import subprocess  # running the operator's own command is the feature
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from difyops import atomic_file
from difyops.errors import CredentialError
from difyops.secret_text import SecretText, is_known, remember, scrub
from difyops.trust import KINDS as KINDS
from difyops.trust import require_of

KEYRING_SECONDS = 5.0
COMMAND_SECONDS = 30.0
_LARGEST = 64 * 1024
_MARK = "\ufeff"

T = TypeVar("T")
log = logging.getLogger("difyops.credentials")


def resolve(
    reference: str, *, environment: Mapping[str, str] | None = None, withheld: frozenset[str] | None = None
) -> SecretText:
    """Return the secret behind ``reference``.

    ``withheld``: a command gets neither these variables nor any whose value difyops knows as a secret.

    Raises:
        CredentialError: unknown kind, missing, empty, unreadable, keyring locked or absent, command failed.
        Refused: the reference stands in a found file that nobody trusted.
    """
    require_of(reference, f"read {_shown(reference)}")
    kind, _, rest = reference.partition(":")
    env = os.environ if environment is None else environment
    readers: dict[str, Callable[[str], str]] = {
        "keyring": _from_keyring,
        "env": lambda name: _from_environment(name, env),
        "file": read_file,
        "cmd": lambda command: _run(command, withheld=withheld),
    }
    if kind not in readers or not rest:
        raise CredentialError(
            "A secret must be given as a reference, not as text.", hint="Use keyring:, env:, file: or cmd:."
        )
    text = readers[kind](rest).rstrip("\r\n")
    if not text:
        raise CredentialError(f"{_shown(reference)} is empty.")
    if any(ord(character) < 32 for character in text):
        raise CredentialError(f"{_shown(reference)} holds line breaks or control characters.")
    return SecretText(text)


def store(reference: str, secret: SecretText, *, withheld: frozenset[str] = frozenset()) -> None:
    """Write ``secret`` where ``reference`` points: ``keyring:``, ``file:`` (0600, atomic) or ``cmd:`` (on stdin).

    A command gets neither the variables in ``withheld`` nor any whose value difyops knows as a secret.

    Raises:
        CredentialError: that kind cannot be written (``env:``), or the place refuses.
        Refused: the reference stands in a found file that nobody trusted.
    """
    require_of(reference, f"write a secret to {_shown(reference)}")
    kind, _, rest = reference.partition(":")
    if kind == "keyring" and rest:
        service, name = _split_keyring(rest)
        _ask_keyring(lambda keyring: keyring.set_password(service, name, secret.reveal()))
    elif kind == "file" and rest:
        atomic_file.write(_path(rest), secret.reveal().encode() + b"\n", mode=atomic_file.PRIVATE)
    elif kind == "cmd" and rest:
        _run(rest, feed=secret.reveal(), withheld=withheld)
    else:
        raise CredentialError(
            f"{_shown(reference)} cannot be written to.", hint="Use keyring:SERVICE/NAME, file:PATH or cmd:COMMAND."
        )


def forget(reference: str) -> None:
    """Remove a secret from ``keyring:`` or ``file:``; one that is not there is fine."""
    kind, _, rest = reference.partition(":")
    if kind == "file":
        atomic_file.remove(_path(rest))
    elif kind == "keyring":
        service, name = _split_keyring(rest)
        if _ask_keyring(lambda keyring: keyring.get_password(service, name)) is not None:
            _ask_keyring(lambda keyring: keyring.delete_password(service, name))


def keyring_problem() -> str | None:
    """Say in one sentence why the keyring cannot be used on this host, or ``None`` when it can."""
    try:
        _ask_keyring(lambda keyring: keyring.get_password("difyops", "probe"))
    except CredentialError as error:
        return error.message
    return None


async def resolve_async(reference: str, *, withheld: frozenset[str] | None = None) -> SecretText:
    """``resolve`` off the event loop: a keyring or a command may take seconds."""
    return await asyncio.to_thread(resolve, reference, withheld=withheld)


def check_terminal() -> None:
    """Refuse to go on where a secret would have to be asked for and nobody can answer.

    Raises:
        CredentialError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise CredentialError("There is no terminal to ask for a secret.", hint="Give a reference such as env:NAME.")


def prompt(question: str) -> SecretText:
    """Ask the person at the terminal, without echo.

    Raises:
        CredentialError: there is no terminal.
    """
    check_terminal()
    import getpass

    return SecretText(getpass.getpass(f"{question}: ", stream=sys.stderr))


def _from_environment(name: str, env: Mapping[str, str]) -> str:
    if name not in env:
        raise CredentialError(f"Environment variable {name} is not set.")
    return env[name]


def read_file(path: str) -> str:
    """Return the text of a file that only its owner may read (``~`` is the home folder).

    Raises:
        CredentialError: it is missing, readable by others, too large or not UTF-8.
    """
    content = atomic_file.read_private(_path(path))
    if len(content) > _LARGEST:
        raise CredentialError(f"{path} is larger than a secret can be ({len(content)} bytes).")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise CredentialError(f"{path} is not UTF-8 text.") from error
    if text.startswith(_MARK):  # what some editors put before a text; no password begins with it
        log.warning("%s begins with a byte order mark; it is not taken for a part of the secret.", path)
    return text.removeprefix(_MARK)


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser fails for an unknown user


def _from_keyring(rest: str) -> str:
    service, name = _split_keyring(rest)
    found = _ask_keyring(lambda keyring: keyring.get_password(service, name))
    if found is None:
        raise CredentialError(f"The keyring has no entry {service}/{name}.", hint=f"keyring set {service} {name}")
    return str(found)


def _run(command: str, *, feed: str | None = None, withheld: frozenset[str] | None = None) -> str:
    from difyops.dsl.suspicion import is_secret_name  # its many patterns cost time that only commands need

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CredentialError(f"The command of a cmd: reference cannot be split: {error}.") from error
    if not words:
        raise CredentialError("A cmd: reference names no command.")
    handed = dict(os.environ) if withheld is None else _without_secrets(os.environ, withheld)
    for name, value in handed.items():  # before anything it says is read: it may repeat what it was handed
        if is_secret_name(name) and name != "PWD":
            remember(value)
    try:
        done = subprocess.run(
            words,
            input=feed,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
            env=handed,
        )
    except FileNotFoundError as error:
        raise CredentialError(f"The command {words[0]!r} of a cmd: reference does not exist.") from error
    except UnicodeDecodeError as error:
        raise CredentialError(f"The command {words[0]!r} printed something that is not text.") from error
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or "it cannot be started"
        raise CredentialError(f"The command {words[0]!r} of a cmd: reference may not be run ({said}).") from error
    except subprocess.TimeoutExpired as error:
        raise CredentialError(f"The command {words[0]!r} did not end within {COMMAND_SECONDS:.0f} s.") from error
    if done.returncode != 0:
        said = scrub(done.stderr.strip().splitlines()[-1]) if done.stderr.strip() else "nothing on stderr"
        raise CredentialError(f"The command {words[0]!r} ended with {done.returncode}: {said[:200]}")
    return done.stdout


def _without_secrets(environment: Mapping[str, str], withheld: frozenset[str]) -> dict[str, str]:
    """Return an environment without what is ``withheld``, by name, and without values that difyops knows as secrets."""
    return {name: value for name, value in environment.items() if name not in withheld and not is_known(value)}


def _split_keyring(rest: str) -> tuple[str, str]:
    service, _, name = rest.partition("/")
    if not service or not name:
        raise CredentialError("A keyring reference reads keyring:SERVICE/NAME.")
    return service, name


def _ask_keyring(question: Callable[..., T]) -> T:
    """Call the keyring in a daemon thread: a locked D-Bus keyring can wait for ever for a person who is not there."""
    answers: queue.SimpleQueue[tuple[T | None, CredentialError | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put((_call_keyring(question), None))
        except CredentialError as error:
            answers.put((None, error))
        except Exception as error:  # backends raise whatever their platform raises: D-Bus, pickle, import errors
            answers.put((None, CredentialError(f"The keyring failed: {scrub(repr(error))[:200]}")))

    threading.Thread(target=ask, name="keyring", daemon=True).start()
    try:
        answer, error = answers.get(timeout=KEYRING_SECONDS)
    except queue.Empty:
        raise CredentialError(
            f"The keyring did not answer within {KEYRING_SECONDS:.0f} s (locked?).", hint="Use env: or file: instead."
        ) from None
    if error:
        raise error
    return cast("T", answer)


def _call_keyring(question: Callable[..., T]) -> T:
    import keyring
    import keyring.errors
    from keyring.backends import null

    if isinstance(keyring.get_keyring(), null.Keyring):  # it takes everything, and keeps nothing
        raise CredentialError("The keyring is switched off.", hint="Use env:NAME or file:PATH (0600) instead.")
    try:
        return question(keyring)
    except keyring.errors.NoKeyringError as error:
        raise CredentialError("This host has no keyring.", hint="Use env:NAME or file:PATH (0600) instead.") from error
    except keyring.errors.KeyringLocked as error:
        raise CredentialError("The keyring is locked.", hint="Unlock it, or use env: or file: instead.") from error
    except keyring.errors.KeyringError as error:
        raise CredentialError(f"The keyring failed: {scrub(str(error))[:200]}") from error


def _shown(reference: str) -> str:
    """Show a reference without what could be secret in it: commands are cut to their first word."""
    kind, _, rest = reference.partition(":")
    if kind == "cmd":
        return f"cmd:{rest.split(maxsplit=1)[0] if rest.split() else ''} …"
    return reference if kind in KINDS else "the reference"

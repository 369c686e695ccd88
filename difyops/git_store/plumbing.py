"""git itself: its environment and settings, one call, and one clear sentence when a call fails.

GitPython is used as the driver of the program only (``git.cmd.Git``): its object model and its index are slow and leak.
Nothing of a caller's surroundings decides what happens to the store: the repository is named, never searched for, its
own settings are not read (``closed``), and hooks, signing, line end conversion and the user's and the machine's own
settings are off.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from difyops.errors import StoreError
from difyops.git_store.names import one_line, without_userinfo

os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # a machine without git gets our sentence, not an ImportError

from git.cmd import Git as Driver
from git.exc import GitCommandNotFound

OLDEST = (2, 30, 0)  # update-ref transactions, init -b, --end-of-options
_ALL_FSYNC = (2, 36, 0)
_PATIENCE = 900.0

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.quotePath=false",
    "core.attributesFile=/dev/null",
    "core.warnAmbiguousRefs=false",
    "core.filesRefLockTimeout=3000",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "log.showSignature=false",
    "color.ui=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
)
_OURS_ONLY = 0o077  # the umask of git where it writes a store: state is nobody else's business
_NO_ROOM = re.compile(r"No space left|Out of diskspace|Disk quota exceeded|File too large", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitAnswer:
    """How a call ended. ``errors`` is what git said, as text."""

    command: str
    status: int
    output: bytes
    errors: str

    @property
    def lines(self) -> list[str]:
        """Return the output as lines of text."""
        return self.output.decode(errors="surrogateescape").splitlines()


class Common(Protocol):
    """A folder that stands in for the settings, hooks and attributes of a repository."""

    @property
    def path(self) -> Path:
        """Return where it is."""
        ...


class Git:
    """The git program, bound to one repository (``<path>/.git``) or to none.

    ``common`` stands in for the repository's own settings; without it (a repository that is being made, or none) there
    is nothing of that kind to read.
    """

    def __init__(self, path: Path, *, common: Common | None = None, users_own_settings: bool = False) -> None:
        self.path = path
        self.folder = path / ".git"
        self._common = common
        self._umask = -1 if users_own_settings else _OURS_ONLY
        self._driver = Driver(str(path))
        self._driver.update_environment(**_environment(path, self.folder, users_own_settings))

    @classmethod
    def nowhere(cls, *, users_own_settings: bool = False) -> Git:
        """Return git bound to no repository at all."""
        git = cls(Path("/"), users_own_settings=users_own_settings)
        git._driver.update_environment(GIT_DIR=os.devnull)
        return git

    @property
    def common(self) -> Common | None:
        """Return what stands in for the repository's settings."""
        return self._common

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        settings: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        fine: Sequence[int] = (0,),
        patience: float = _PATIENCE,
    ) -> GitAnswer:
        """Run git to its end and return the answer.

        Raises:
            StoreError: the status is not among ``fine``, git is missing, or it took more than ``patience`` seconds.
        """
        process = self._start(arguments, settings, environment, feed=stdin is not None)
        try:
            output, errors = process.communicate(stdin, timeout=patience)
        except subprocess.TimeoutExpired as error:
            raise StoreError(f"git {arguments[0]} did not end within {patience:.0f} s.", retryable=True) from error
        finally:
            _end(process)
        return self._checked(arguments[0], process.returncode, output, errors, fine)

    def feed(
        self,
        *arguments: str,
        chunks: Iterable[bytes],
        settings: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> GitAnswer:
        """Run git with a long input that is written piece by piece; it must answer in a few lines only.

        Raises:
            StoreError: git failed, or stopped reading.
        """
        process = self._start(arguments, settings, environment, feed=True)
        try:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # git has died; its own words say why
                    process.stdin.writelines(chunks)
                    process.stdin.flush()
            output, errors = process.communicate()
        finally:
            _end(process)
        return self._checked(arguments[0], process.returncode, output, errors, (0,))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a git that answers as long as it is asked; the caller ends it by closing its input.

        Raises:
            StoreError: git is missing.
        """
        return self._start(arguments, (), None, feed=True)

    def _start(
        self, arguments: Sequence[str], settings: Sequence[str], environment: Mapping[str, str] | None, *, feed: bool
    ) -> subprocess.Popen[bytes]:
        chosen = [word for setting in (*_SETTINGS, *_durability(), *settings) for word in ("-c", setting)]
        command = ["git", "--no-pager", "--no-optional-locks", *chosen, *arguments]
        closed = {"GIT_COMMON_DIR": str(self._common.path)} if self._common else {}
        try:
            running = self._driver.execute(
                command,
                istream=subprocess.PIPE if feed else None,
                as_process=True,
                env={**closed, **(environment or {})},
                umask=self._umask,
            )
        except GitCommandNotFound as error:
            raise _missing() from error
        # The process is taken out of GitPython's wrapper: the wrapper kills what it holds when it is collected.
        process, running.proc = running.proc, None
        if process is None:
            raise StoreError(f"git {arguments[0]} could not be started.")
        return process

    def _checked(self, command: str, status: int, output: bytes, errors: bytes, fine: Sequence[int]) -> GitAnswer:
        said = errors.decode(errors="replace")
        answer = GitAnswer(command=command, status=status, output=output, errors=said)
        if status not in fine:
            raise failure(answer, self.path)
        return answer


def failure(answer: GitAnswer, path: Path) -> StoreError:
    """Turn a failed call into one sentence: what git was doing, where, and its own last word on it."""
    if answer.status == -signal.SIGXFSZ or _NO_ROOM.search(answer.errors):
        return StoreError(
            f"No room left to write the snapshot store {path}; nothing was changed.",
            hint="Free disk space, then run again.",
        )
    if answer.status < 0:
        said = f"it was ended by signal {-answer.status}"
    else:
        said = last_word(answer.errors) or f"status {answer.status}"
    damaged = re.search(r"corrupt|bad object|missing blob|unable to read|not a valid object|broken", answer.errors)
    return StoreError(
        f"git {answer.command} failed in the snapshot store {path}: {said}",
        hint="difyops snapshot verify" if damaged else None,
        retryable=answer.status < 0 or ".lock" in answer.errors,
    )


def last_word(errors: str) -> str:
    """Return the one line of git's messages that says most, without credentials."""
    spoken = [one_line(line) for line in errors.splitlines() if line.strip()]
    telling = [line for line in spoken if re.match(r"(fatal|error|remote: error):", line)]
    chosen = next(iter([*telling, *reversed(spoken)]), "")
    return without_userinfo(re.sub(r"^(fatal|error): ", "", chosen))


@functools.cache
def version() -> tuple[int, ...]:
    """Return the version of the git program.

    Raises:
        StoreError: it is not installed, or older than the plumbing used here.
    """
    try:
        found = tuple(Driver().version_info)
    except GitCommandNotFound as error:
        raise _missing() from error
    if found < OLDEST:
        raise StoreError(
            f"git {'.'.join(map(str, found))} is too old; snapshots need {'.'.join(map(str, OLDEST[:2]))} or newer.",
            hint="Install a newer git, then run: difyops doctor",
        )
    return found


def _missing() -> StoreError:
    return StoreError(
        "The git program is not installed, or not on PATH; snapshots are kept in a git repository.",
        hint="Install git, then run: difyops doctor",
    )


def _durability() -> tuple[str, ...]:
    """Before 2.36 only objects can be flushed; newer versions flush references as well and dislike the old name."""
    return ("core.fsync=all",) if version() >= _ALL_FSYNC else ("core.fsyncObjectFiles=true",)


def _environment(path: Path, folder: Path, users_own_settings: bool) -> dict[str, str]:
    """Return what git must see. The names inherited from a surrounding git (a hook, an alias) are all overridden."""
    wanted = {
        "GIT_DIR": str(folder),
        "GIT_WORK_TREE": str(path),
        "GIT_INDEX_FILE": str(folder / "index"),
        "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_NAMESPACE": "",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_DEFAULT_HASH": "sha1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "difyops",
        "GIT_AUTHOR_EMAIL": "difyops@localhost",
        "GIT_COMMITTER_NAME": "difyops",
        "GIT_COMMITTER_EMAIL": "difyops@localhost",
    }
    if not users_own_settings:
        wanted |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        wanted |= {"GIT_CONFIG_COUNT": "0", "GIT_CONFIG_PARAMETERS": ""}
    if "GIT_COMMON_DIR" in os.environ:
        wanted["GIT_COMMON_DIR"] = str(folder)
    return wanted


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # closing flushes; a dead reader is no news here
                pipe.close()

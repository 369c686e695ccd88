"""Files that are either the old or the new one, and locks that die with their owner.

``write`` replaces a file in one step and survives power loss; ``lock`` is an advisory ``flock`` that the kernel
releases when the process ends, however it ends, so there is never a stale lock file to clean up.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from difyops.clock import iso
from difyops.errors import CredentialError, LockHeld, StoreError

PRIVATE = 0o600
PUBLIC = 0o644


def write(path: Path, content: bytes | Iterable[bytes], *, mode: int = PUBLIC) -> None:
    """Replace ``path`` with ``content`` in one step, flushed to disk; parents are made (0700 for private files).

    Content that comes in pieces is never in memory as a whole.

    Raises:
        StoreError: the disk is full, or the folder cannot be written. The former file is untouched then.
    """
    try:
        _make_folder(path.parent, 0o700 if mode == PRIVATE else 0o755)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.writelines((content,) if isinstance(content, bytes) else content)
            handle.flush()
            os.fchmod(handle.fileno(), mode)
            os.fsync(handle.fileno())
        Path(temporary).replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise store_error(error, path) from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()


def remove(path: Path) -> None:
    """Delete ``path`` durably; a file that is not there is fine."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        flush_folder(path.parent)


def read_private(path: Path) -> bytes:
    """Return the bytes of a file that only its owner may read.

    Raises:
        CredentialError: it is missing, not a regular file, owned by somebody else, or readable by group or others.
    """
    try:
        # O_NONBLOCK: opening a named pipe that nobody writes to would wait for ever
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as handle:
            status = os.fstat(handle.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CredentialError(f"{path} is not a regular file.")
            if status.st_mode & 0o077:
                raise CredentialError(
                    f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}); refused.",
                    hint=f"chmod 600 {path}",
                )
            if status.st_uid not in (os.geteuid(), 0):
                raise CredentialError(f"{path} belongs to another user; refused.")
            return handle.read()
    except FileNotFoundError as error:
        raise CredentialError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise CredentialError(f"{path} is a directory.") from error
    except PermissionError as error:
        raise CredentialError(f"{path} cannot be read by this user.") from error
    except (OSError, ValueError) as error:
        raise CredentialError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


@contextlib.contextmanager
def lock(path: Path, *, wait: float = 0.0, holding: str = "this") -> Iterator[None]:
    """Hold an exclusive lock on ``path`` (created when missing) for the length of the block.

    ``wait`` is how many seconds to try before giving up; ``holding`` names the thing for the message.

    Raises:
        LockHeld: another process holds it after ``wait`` seconds.
    """
    with _opened(path) as descriptor:
        _wait_for(descriptor, path, fcntl.LOCK_EX, wait, holding)
        _sign(descriptor)
        yield


@contextlib.contextmanager
def shared_lock(
    path: Path, *, wait: float, holding: str, when_first: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock ``path`` together with others who share it, for the length of the block.

    ``when_first`` is called before that where nobody holds it, with the lock held exclusively.

    Raises:
        LockHeld: another process holds it exclusively after ``wait`` seconds.
    """
    with _opened(path) as descriptor:
        if _try_lock(descriptor, path, fcntl.LOCK_EX):
            when_first()
        _wait_for(descriptor, path, fcntl.LOCK_SH, wait, holding)
        _sign(descriptor)
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        make_private_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path, kind: int, wait: float, holding: str) -> None:
    deadline = time.monotonic() + wait
    while not _try_lock(descriptor, path, kind):
        if time.monotonic() >= deadline:
            who = f": {said}" if (said := _holder(descriptor)) else ""
            raise LockHeld(
                f"Another difyops process works on {holding}{who}.",
                hint="Wait until it ends, then run this again.",
            )
        time.sleep(0.05)


def _sign(descriptor: int) -> None:
    """Write into the file of a lock who holds it."""
    with contextlib.suppress(OSError):  # a full disk: the lock is held all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} since {iso(datetime.now(UTC))}".encode(), 0)


def _holder(descriptor: int) -> str:
    """Return what the holder of a lock wrote into its file: the kernel knows who he is, and does not say."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return os.pread(descriptor, 200, 0).decode()
    return ""


def make_private_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, each for its owner only, whatever the umask says.

    One that is there already is left as it is.

    Raises:
        OSError: it cannot be made, or something else is in its place.
    """
    _make_folder(folder, 0o700)


def made_folder(prefix: str, place: Path | None = None) -> Path:
    """Make a folder of a new name in ``place`` (without: where temporary files are), for its owner only.

    Raises:
        OSError: it cannot be made.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    folder.chmod(0o700)  # a umask may have taken away what its owner may
    return folder


NOT_OURS = (errno.EROFS, errno.EACCES, errno.EPERM)  # a place where we may not write


def store_error(error: OSError, path: Path) -> StoreError:
    """Turn an operating system error about ``path`` into one clear sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            f"No room left to write {path}; nothing was changed.", hint="Free disk space, then run again."
        )
    hint = "DIFYOPS_STATE and DIFYOPS_STORE name other places." if error.errno in NOT_OURS else None
    return StoreError(f"Cannot write {path}: {error.strerror or error}.", hint=hint)


def _make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those above it that are missing, all with ``mode``: ``mkdir`` gives it to the last one only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        try:
            each.mkdir(mode=mode)
        except FileExistsError:
            continue  # another process was first, or a link leads nowhere: the last line says so
        if mode & 0o077 == 0:
            each.chmod(mode)  # a umask takes bits away, those of the owner, too
    folder.mkdir(mode=mode, exist_ok=True)


def _try_lock(descriptor: int, path: Path, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network file systems have no locks
        raise StoreError(f"Cannot lock {path}: {error.strerror or error}.", hint="Set DIFYOPS_STATE.") from error
    return True


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on disk: a rename is safe only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

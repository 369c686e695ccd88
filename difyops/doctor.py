"""Can this machine do its job against this instance? Checks with a verdict and a next step each. Changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess  # asks git for its version
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from difyops import credentials
from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.atomic_file import make_private_folder
from difyops.config import Config, Context
from difyops.dsl.scan import scan
from difyops.errors import AnswerIsNo, DifyopsError, StoreError
from difyops.git_store import GitStore

PASS, WARN, FAIL, SKIP = "pass", "warn", "fail", "skipped"
_OLDEST_GIT = (2, 36)
_MANY_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at: verdict (pass, warn, fail, skipped), what was found, what to do."""

    name: str
    verdict: str
    found: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """All checks. ``error`` is the "no" when any failed."""

    context: str | None
    checks: tuple[Check, ...]

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) when any check failed."""
        failed = [check for check in self.checks if check.verdict == FAIL]
        if not failed:
            return None
        return AnswerIsNo(f"{len(failed)} checks failed: {failed[0].name}: {failed[0].found}", hint=failed[0].hint)


async def examine(config: Config, context: str | None) -> Examined:
    """Run all checks; one that fails does not stop the others."""
    checks = [_python(), _git(), _state(config.state), _disk(config), _keyring()]
    try:
        chosen = config.context(context)
    except DifyopsError as error:
        checks.append(Check(name="context", verdict=FAIL, found=error.message, hint=error.hint))
        return Examined(context=None, checks=tuple(checks))
    checks.append(Check(name="context", verdict=PASS, found=f"{chosen.name}: {chosen.url} ({chosen.source})"))
    checks += await _instance(config, chosen)
    checks += _store(config, chosen.name)
    checks.append(_rollbacks(config, chosen.name))
    checks.append(_audit(config))
    return Examined(context=chosen.name, checks=tuple(checks))


def _python() -> Check:
    return Check(name="python", verdict=PASS, found=".".join(map(str, sys.version_info[:3])))


def _git() -> Check:
    program = shutil.which("git")
    if program is None:
        return Check(name="git", verdict=FAIL, found="git is not installed", hint="Install git 2.36 or newer.")
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    text = words[2] if len(words) > 2 else "?"
    version = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if version < _OLDEST_GIT:
        return Check(name="git", verdict=WARN, found=f"{text}: writes are less durable", hint="Use git 2.36 or newer.")
    return Check(name="git", verdict=PASS, found=text)


def _state(folder: Path) -> Check:
    try:
        make_private_folder(folder)
    except OSError as error:
        return Check(name="state folder", verdict=FAIL, found=f"{folder}: {error.strerror}", hint="Set DIFYOPS_STATE.")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(name="state folder", verdict=FAIL, found=f"{folder} cannot be written", hint="Set DIFYOPS_STATE.")
    return Check(name="state folder", verdict=PASS, found=str(folder))


def _disk(config: Config) -> Check:
    place = next(folder for folder in (config.store, *config.store.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / 2**30:.1f} GiB free at {place}"
    return Check(name="disk", verdict=PASS if free > 2**28 else WARN, found=found)


def _keyring() -> Check:
    problem = credentials.keyring_problem()
    if problem is None:
        return Check(name="keyring", verdict=PASS, found="usable")
    return Check(name="keyring", verdict=SKIP, found=f"{problem} References env:, file: and cmd: work without.")


async def _instance(config: Config, context: Context) -> list[Check]:
    try:
        instance = await connect(context, ConnectOptions(state=config.state))
    except DifyopsError as error:
        return [Check(name="instance", verdict=FAIL, found=error.message, hint=error.hint)]
    try:
        server = instance.capabilities.text or "an unknown version"
        checks = [Check(name="instance", verdict=PASS, found=f"{context.url} answers as {server}")]
        for name, look in (("login", _login), ("clock", _clock), ("apps", _apps)):
            checks.append(await _guarded(name, look, instance))
        return checks
    finally:
        await instance.close()


async def _guarded(name: str, look: Callable[[Instance], Awaitable[Check]], instance: Instance) -> Check:
    try:
        return await look(instance)
    except DifyopsError as error:
        return Check(name=name, verdict=FAIL, found=error.message, hint=error.hint)


async def _login(instance: Instance) -> Check:
    info = await instance.workspace.identify()
    found = f"{info.account}, {info.role or 'role unknown'} of {info.workspace_name} ({info.workspace_id})"
    if info.role in ("owner", "admin", "editor"):
        return Check(name="login", verdict=PASS, found=found)
    return Check(name="login", verdict=FAIL, found=found, hint="Snapshots with secrets kept need an editor or above.")


async def _clock(instance: Instance) -> Check:
    response = await instance.transport.request("GET", "/console/api/setup", doing="read the server's clock")
    stamp = response.headers.get("date")
    if not stamp:
        return Check(name="clock", verdict=SKIP, found="the server does not send its time")
    from email.utils import parsedate_to_datetime

    try:
        skew = abs(datetime.now(UTC).timestamp() - parsedate_to_datetime(stamp).timestamp())
    except (ValueError, OverflowError):
        return Check(name="clock", verdict=SKIP, found="the server sends a time that cannot be read")
    verdict = PASS if skew < 60 else WARN
    return Check(name="clock", verdict=verdict, found=f"{skew:.0f} s apart from the server")


async def _apps(instance: Instance) -> Check:
    apps = [app async for app in instance.console.apps()]
    unpublished = sum(app.has_workflow and app.live_version is None for app in apps)
    return Check(name="apps", verdict=PASS, found=f"{len(apps)} apps, {unpublished} never published")


def _store(config: Config, context: str) -> list[Check]:
    from difyops.snapshot.history import checked_at
    from difyops.snapshot.layout import read_manifest

    try:
        store = GitStore.open(config.store)
        commit = store.head(context)
        if commit is None:
            raise StoreError(f"no snapshot of {context} yet", hint="difyops snapshot create")
        manifest = read_manifest(store, commit)
    except StoreError as error:
        return [Check(name="store", verdict=WARN, found=error.message, hint=error.hint or "difyops snapshot create")]
    last = checked_at(store, context) or manifest.taken_at
    days = (datetime.now(UTC) - datetime.fromisoformat(last)).days
    state = "complete" if manifest.complete else "partial"
    fresh = manifest.complete and days < _MANY_DAYS
    found = f"{config.store}: {len(manifest.apps)} apps, {state}, last checked {last}"
    return [
        Check(
            name="store",
            verdict=PASS if fresh else WARN,
            found=found,
            hint=None if fresh else "difyops snapshot create",
        ),
        *_plaintext(store, commit),
    ]


def _plaintext(store: GitStore, commit: str) -> list[Check]:
    """Name what looks like a secret in the last snapshot, outside the places that are kept out of it."""
    import json

    from difyops.snapshot.layout import read_manifest

    manifest = read_manifest(store, commit)
    paths = [path for path in manifest.files if path.endswith("/live.json")]
    found = []
    for path, content in store.read_many(commit, paths).items():
        name = manifest.apps[path.split("/")[1]].name
        for finding in scan(json.loads(content)):
            hint = "Move it into a secret environment variable of the app."
            found.append(
                Check(
                    name="plaintext secret", verdict=WARN, found=f"{name}: {finding.place} ({finding.kind})", hint=hint
                )
            )
    return found or [Check(name="plaintext secrets", verdict=PASS, found=f"none in {len(paths)} live versions")]


def _rollbacks(config: Config, context: str) -> Check:
    from difyops.changes import Journal
    from difyops.clock import SystemClock
    from difyops.ledger import Ledger
    from difyops.snapshot.first_journal import left_behind

    try:
        with Ledger.open(config.state / "ledger.sqlite3") as ledger:
            journal = Journal(ledger=ledger, state=config.state, context=context, clock=SystemClock(), actor="")
            names = [record.label for record in journal.open()]
        whole, damaged = left_behind(config.state, context)
    except StoreError as error:
        return Check(name="changes", verdict=FAIL, found=error.message, hint=error.hint)
    names += [path.stem for path in whole] + list(damaged)
    if not names:
        return Check(name="changes", verdict=PASS, found="none was cut off")
    return Check(name="changes", verdict=FAIL, found=f"cut off: {', '.join(names)}", hint="difyops changes list")


def _audit(config: Config) -> Check:
    from difyops.ledger import Ledger

    try:
        with Ledger.open(config.state / "ledger.sqlite3") as ledger:
            problems = ledger.check()
    except StoreError as error:
        return Check(name="audit log", verdict=FAIL, found=error.message, hint=error.hint)
    if problems:
        return Check(name="audit log", verdict=FAIL, found=problems[0])
    return Check(name="audit log", verdict=PASS, found="whole")

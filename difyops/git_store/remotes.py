"""Carrying branches, their tags and their check records to another repository. Nothing is ever forced over there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from difyops.errors import DifyopsError, Refused, StoreError
from difyops.git_store import closed, names, refs
from difyops.git_store.plumbing import Common, Git, GitAnswer, last_word

_PATIENCE = 600.0
_PROTOCOLS = "file:git:http:https:ssh"  # every other one is a program of that name
_WAITING = re.compile(
    r"resolve host|timed out|Failed to connect|Connection (?:refused|reset)|Network is unreachable|early EOF"
    r"|HTTP 5\d\d",
    re.I,
)
_LOCKED_OUT = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied|terminal prompts disabled|HTTP 40[13]"
    r"|Host key verification",
    re.I,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """One line of ``git push --porcelain``; ``flag`` is ``!`` for refused and ``=`` for nothing to do."""

    flag: str
    ref: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """Where a push goes. ``quiet``: the store's settings named a folder of this machine, and it may run nothing."""

    name: str
    address: str
    quiet: bool = False


def push(
    path: Path, common: Common, remote: str, branches: Sequence[refs.RefLine], *, dry_run: bool = False
) -> list[str]:
    """Push each branch with its tags and its check record, all or nothing per branch; return the references changed.

    ``remote`` is a name or an address. Of a remote that the store defines only the addresses count; the rest is the
    user's own git settings (credential helpers, SSH command, proxies), and nothing may ask a question. ``dry_run``: the
    other side is asked what it would take, and nothing is sent.

    Raises:
        Refused: the other side has commits or tags that are not ours. Nothing of that branch was changed there.
        StoreError: it cannot be reached, does not let us in, or is no repository.
        UsageError: ``remote`` cannot be a remote, nor can what the store calls so.
    """
    targets = _targets(path, names.remote(remote))
    git = Git(path, common=common, users_own_settings=True)
    changed: list[str] = []
    failures: list[DifyopsError] = []
    for target in targets:
        for branch in branches:
            try:
                changed += _push_one(git, target, branch, *(["--dry-run"] if dry_run else ()))
            except DifyopsError as error:
                failures.append(error)
    if failures:
        first = failures[0]
        first.details["pushed"] = changed
        raise first
    return changed


def _targets(path: Path, remote: str) -> list[_Target]:
    """Return where a remote of the store leads, or the address (or remote of the user's own) as it is."""
    defined = closed.read(path).remotes.get(remote)
    if defined is None:
        return [_Target(name=remote, address=remote)]
    for address in defined:
        names.address(address)
    return [_Target(name=remote, address=each, quiet=names.is_local(each)) for each in defined]


def _push_one(git: Git, target: _Target, line: refs.RefLine, *options: str) -> list[str]:
    answer = _call(git, target, line, "--atomic", *options)
    if "does not support --atomic" in answer.errors:
        answer = _call(git, target, line, *options)
    reports = [report for line in answer.lines if (report := _report(line))]
    refused = [report for report in reports if report.flag == "!"]
    if refused:
        raise _refusal(target, line.branch, refused)
    if answer.status:
        raise _unreached(target, answer, git.path)
    return [report.ref for report in reports if report.flag != "="]


def _call(git: Git, target: _Target, line: refs.RefLine, *options: str) -> GitAnswer:
    branch = line.branch
    receiver = _quiet_receiver(git.path, target.address) if target.quiet else None
    if receiver is not None:
        options = (*options, f"--receive-pack={receiver[0]}")
    specs = [f"{line.ref}:{refs.HEADS}{branch}", f"{line.tags}*:{refs.TAGS}{branch}/*"]
    for record in refs.read(git, *(kind + branch for kind in refs.RECORDS)):
        # A record, not history: a blob has no "fast-forward", and the last writer wins here as it does at home.
        specs.append(f"+{record}:{record}")
    return git.run(
        "push",
        "--porcelain",
        "--no-verify",
        "--no-follow-tags",
        "--recurse-submodules=no",
        "--no-signed",
        *options,
        "--",
        target.address,
        *specs,
        settings=("push.default=nothing", "core.askPass="),
        environment=_without_questions(git),
        fine=(0, 1, 128),
        patience=_PATIENCE,
    )


def _quiet_receiver(path: Path, address: str) -> tuple[str, closed.CommonFolder] | None:
    """Return the command by which a repository of this machine receives without its own settings and hooks, and the
    folder that stands in for them; ``None`` where there is no repository, which git says better.

    Raises:
        Refused: it is another user's, or a partial clone.
    """
    start = path / re.sub(r"(?i)^file://", "", address)
    for folder in (start / ".git", start, Path(f"{start}.git/.git"), Path(f"{start}.git")):  # as git looks for it
        if (folder / "HEAD").is_file() and (folder / "refs").is_dir():
            closed.refuse_foreign(folder)
            closed.refuse_pipes(folder)
            common = closed.CommonFolder(folder, closed.read_file(folder / "config"))
            objects = str((folder / "objects").absolute())
            words = ["env", f"GIT_COMMON_DIR={common.path}", f"GIT_OBJECT_DIRECTORY={objects}", "git", "receive-pack"]
            return shlex.join(words), common
    return None


def _without_questions(git: Git) -> Mapping[str, str]:
    silent = {"SSH_ASKPASS_REQUIRE": "never", "GCM_INTERACTIVE": "never"}
    silent["GIT_ALLOW_PROTOCOL"] = os.environ.get("GIT_ALLOW_PROTOCOL") or _PROTOCOLS
    own_ssh = {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys()
    if not own_ssh and git.run("config", "--get", "core.sshCommand", fine=(0, 1)).status:
        silent["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes -o ConnectTimeout=20"
    return silent


def _report(line: str) -> _Report | None:
    parts = line.split("\t")
    if len(parts) != 3 or len(parts[0]) != 1:
        return None
    return _Report(flag=parts[0], ref=parts[1].rpartition(":")[2], summary=names.one_line(parts[2]))


def _refusal(target: _Target, branch: str, refused: Sequence[_Report]) -> Refused:
    causes = [each for each in refused if "atomic" not in each.summary] or refused
    why = "; ".join(f"{each.ref} {each.summary}" for each in causes[:3])
    where = names.without_userinfo(target.name)
    return Refused(
        f"{where} refused {branch}: {why}. Nothing of {branch} was changed there; a push is never forced.",
        hint="Another store writes to the same place: push to a place of its own, or look with: git fetch, git log",
        details={"refused": [each.ref for each in causes]},
    )


def _unreached(target: _Target, answer: GitAnswer, store: Path) -> StoreError:
    where = names.without_userinfo(target.name)
    git = f"git -C {shlex.quote(str(store))}"
    hint = f"Check the name or address: {git} remote -v; {git} ls-remote {shlex.quote(where)}"
    if _LOCKED_OUT.search(answer.errors):
        hint = "Set up an SSH key or a git credential helper for this user; nothing is asked for here."
    return StoreError(
        f"Cannot push to {where}: {last_word(answer.errors)}",
        hint=hint,
        retryable=bool(_WAITING.search(answer.errors)),
    )

"""Carrying branches, their tags and their check records to another repository. Nothing is ever forced over there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from difyops.errors import DifyopsError, Refused, StoreError
from difyops.git_store import names, refs
from difyops.git_store.plumbing import Answer, Git, last_word

_PATIENCE = 600.0
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


def push(path: Path, remote: str, branches: Sequence[str]) -> list[str]:
    """Push each branch with its tags and its check record, all or nothing per branch; return the references changed.

    ``remote`` is a configured name or an address. The user's own git settings count here (credential helpers,
    proxies), but nothing may ask a question.

    Raises:
        Refused: the other side has commits or tags that are not ours. Nothing of that branch was changed there.
        StoreError: it cannot be reached, does not let us in, or is no repository.
        UsageError: ``remote`` cannot be a remote.
    """
    target = names.remote(remote)
    git = Git(path, users_own_settings=True)
    changed: list[str] = []
    failures: list[DifyopsError] = []
    for branch in branches:
        try:
            changed += _push_one(git, target, branch)
        except DifyopsError as error:
            failures.append(error)
    if failures:
        first = failures[0]
        first.details["pushed"] = changed
        raise first
    return changed


def _push_one(git: Git, target: str, branch: str) -> list[str]:
    answer = _call(git, target, branch, "--atomic")
    if "does not support --atomic" in answer.errors:
        answer = _call(git, target, branch)
    reports = [report for line in answer.lines if (report := _report(line))]
    refused = [report for report in reports if report.flag == "!"]
    if refused:
        raise _refusal(target, branch, refused)
    if answer.status:
        raise _unreached(target, answer)
    return [report.ref for report in reports if report.flag != "="]


def _call(git: Git, target: str, branch: str, *options: str) -> Answer:
    specs = [f"{refs.HEADS}{branch}:{refs.HEADS}{branch}", f"{refs.TAGS}{branch}/*:{refs.TAGS}{branch}/*"]
    checked = refs.CHECKED + branch
    if checked in refs.read(git, checked):
        # A record, not history: a blob has no "fast-forward", and the last writer wins here as it does at home.
        specs.append(f"+{checked}:{checked}")
    return git.run(
        "push",
        "--porcelain",
        "--no-verify",
        "--no-follow-tags",
        "--recurse-submodules=no",
        "--no-signed",
        *options,
        "--",
        target,
        *specs,
        settings=("push.default=nothing", "core.askPass="),
        environment=_without_questions(git),
        fine=(0, 1, 128),
        patience=_PATIENCE,
    )


def _without_questions(git: Git) -> Mapping[str, str]:
    silent = {"SSH_ASKPASS_REQUIRE": "never", "GCM_INTERACTIVE": "never"}
    own_ssh = {"GIT_SSH", "GIT_SSH_COMMAND"} & os.environ.keys()
    if not own_ssh and git.run("config", "--get", "core.sshCommand", fine=(0, 1)).status:
        silent["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes -o ConnectTimeout=20"
    return silent


def _report(line: str) -> _Report | None:
    parts = line.split("\t")
    if len(parts) != 3 or len(parts[0]) != 1:
        return None
    return _Report(flag=parts[0], ref=parts[1].rpartition(":")[2], summary=names.one_line(parts[2]))


def _refusal(target: str, branch: str, refused: Sequence[_Report]) -> Refused:
    causes = [each for each in refused if "atomic" not in each.summary] or refused
    why = "; ".join(f"{each.ref} {each.summary}" for each in causes[:3])
    where = names.without_userinfo(target)
    return Refused(
        f"{where} refused {branch}: {why}. Nothing of {branch} was changed there; a push is never forced.",
        hint="Another store writes to the same place: push to a place of its own, or look with: git fetch, git log",
        details={"refused": [each.ref for each in causes]},
    )


def _unreached(target: str, answer: Answer) -> StoreError:
    where = names.without_userinfo(target)
    hint = f"Check the name or address: git remote -v; git ls-remote {where}"
    if _LOCKED_OUT.search(answer.errors):
        hint = "Set up an SSH key or a git credential helper for this user; nothing is asked for here."
    return StoreError(
        f"Cannot push to {where}: {last_word(answer.errors)}",
        hint=hint,
        retryable=bool(_WAITING.search(answer.errors)),
    )

"""A store that a stranger prepared: every setting that git knows of names a program, every hook is one, and more."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

_HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout", "post-commit",
    "post-index-change", "post-merge", "post-receive", "post-rewrite", "post-update", "pre-applypatch", "pre-auto-gc",
    "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase", "pre-receive", "prepare-commit-msg", "proc-receive",
    "push-to-checkout", "reference-transaction", "sendemail-validate", "update",
)  # fmt: skip
# What the list of git 2.39 does not name, or came later.
_MORE = (
    "filter.evil.process", "uploadpack.packObjectsHook", "gc.recentObjectsHook", "core.askPass", "core.editor",
    "core.pager", "trailer.evil.cmd", "trailer.evil.command", "hook.evil.command", "tar.evil.command", "pager.log",
    "credential.helper", "sequence.editor", "core.fsmonitor", "include.path", "alias.fast-import", "alias.ls-tree",
    "diff.external", "merge.evil.driver", "credential.http://127.0.0.1.helper", "remote.backup.vcs", "core.worktree",
    "remote.backup.uploadpack", "remote.backup.receivepack", "remote.backup.proxy", "url.ext::evil.insteadOf",
    "url.ext::evil.pushInsteadOf", "http.proxy", "ssh.variant", "imap.tunnel", "receive.procReceiveRefs",
)  # fmt: skip
_NOT_A_PROGRAM = ("extensions.", "core.repositoryformatversion", "remote.", "submodule.", "core.sharedrepository")


@lru_cache
def keys() -> tuple[str, ...]:
    """Return every setting that the git on this machine names, with ``evil`` for what is free, and more."""
    named = subprocess.run(["git", "help", "--config"], capture_output=True, text=True, check=True).stdout.splitlines()
    filled = [_filled(key.strip()) for key in named if key.strip().count(".") >= 1 and " " not in key.strip()]
    return (*[key for key in filled if "_" not in key and not key.lower().startswith(_NOT_A_PROGRAM)], *_MORE)


def _filled(key: str) -> str:
    head, opened, rest = key.partition("<")
    key = f"{head}evil{rest.partition('>')[2]}" if opened else key
    return key.replace("*", "evil")


def trap(folder: Path) -> tuple[Path, Path]:
    """Return a program that leaves a mark when anything runs it, and where the mark would be."""
    program, mark = folder / "evil", folder / "EVIL-RAN"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {mark}\nexit 0\n')
    program.chmod(0o755)
    return program, mark


def plant(git_folder: Path, program: Path, names: tuple[str, ...] = ()) -> None:
    """Make a repository hostile, in its settings, hooks, attributes and files beside them; it stays a repository.

    ``names``: only these settings, so that plain git gets as far as running the program.
    """
    config = git_folder / "config"
    lines = []
    for key in names or keys():
        section, _, name = key.rpartition(".")
        head, dot, tail = section.partition(".")
        lines.append(f'[{head} "{tail}"]\n' if dot else f"[{head}]\n")
        lines.append(f"\t{name} = {git_folder / 'more' if key == 'include.path' else program}\n")
    (git_folder / "more").write_text(f"[core]\n\tfsmonitor = {program}\n\thooksPath = {git_folder / 'hooks'}\n")
    config.write_text(config.read_text() + "".join(lines) + f"[core]\n\thooksPath = {git_folder / 'hooks'}\n")
    (git_folder / "config.worktree").write_text(f"[core]\n\tfsmonitor = {program}\n\tsshCommand = {program}\n")
    (git_folder / "hooks").mkdir(exist_ok=True)
    for name in _HOOKS:
        (git_folder / "hooks" / name).unlink(missing_ok=True)
        (git_folder / "hooks" / name).symlink_to(program)
    (git_folder / "info").mkdir(exist_ok=True)
    for attributes in (git_folder / "info" / "attributes", git_folder.parent / ".gitattributes"):
        attributes.write_text("* filter=evil diff=evil merge=evil\n")

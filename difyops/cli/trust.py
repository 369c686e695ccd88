"""``difyops trust``: say that a project file, and the runbooks beside it, may do what they say. One command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Lines, Outcome, Table

if TYPE_CHECKING:
    from difyops.config import Config
    from difyops.trust import Trust, TrustBook

noun = group("Say that a project file, or a runbook, may do what it says.")


@command(noun, "trust")
def trust(
    session: Session,
    place: Annotated[
        Path | None, typer.Argument(metavar="[DIR|FILE]", help="A folder with difyops.yaml, or a runbook's file.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Instead: what is trusted, and whether it still is so.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Instead: trust it no more.")] = False,
) -> Outcome:
    """Trust a difyops.yaml that came with a folder, and its runbooks, as they are now; another value asks again.

    Examples:
        difyops trust --list
        difyops trust --yes
    """
    from difyops.config import state_folder
    from difyops.trust import TrustBook

    book = TrustBook(state=state_folder())
    if list_:
        return _listed(book)
    target = (place or Path.cwd()).expanduser().absolute()
    if remove:
        return _removed(session, book, target)
    return _outcome(session, [_given(session, one) for one in _standing(target)])


def _standing(target: Path) -> Iterator[Trust]:
    """Yield what there is to trust, the project file first: runbooks are looked up where it says, once it is trusted.

    Raises:
        UsageError: there is no such file, and no project file in or above the folder.
    """
    if target.is_file() and target.name != "difyops.yaml":
        yield _runbook(_config(target.parent), target)
        return
    folder = target.parent if target.is_file() else target
    if not folder.is_dir():
        raise UsageError(f"There is no folder or file {target}.", hint="difyops trust DIR")
    config = _config(folder)
    if config.project_file is None:
        raise UsageError(
            f"There is no difyops.yaml in {folder} or above.", hint="difyops context add NAME --url https://..."
        )
    yield config.project_trust
    if config.project_trust.is_given:
        yield from _runbooks(config)


def _config(folder: Path) -> Config:
    from difyops import config

    environment = {name: value for name, value in os.environ.items() if name != "DIFYOPS_CONFIG"}
    return config.load(environment=environment, looking=config.Looking(start=folder))


def _runbooks(config: Config) -> Iterator[Trust]:
    """Yield the runbooks of the project that do something that needs trust; broken ones are left to ``lint``."""
    from difyops.runbook.library import project_files

    for path in project_files(config):
        try:
            one = _runbook(config, path)
        except (UsageError, OSError):
            continue
        if one.would:
            yield one


def _runbook(config: Config, path: Path) -> Trust:
    from difyops.file_owner import open_once
    from difyops.runbook.library import hides_shipped, trust_in
    from difyops.runbook.load import parse

    opened = open_once(path)
    runbook, _ = parse(opened.content, path)
    if runbook is None:
        raise UsageError(f"{path} is no runbook.", hint=f"difyops runbook lint {path}")
    return trust_in(config, opened, runbook, hides=hides_shipped(path))


def _given(session: Session, one: Trust) -> tuple[Trust, bool]:
    """Give trust after a person saw what for; say whether it is new."""
    if one.path is None or one.is_given:
        return one, False
    if not session.dry_run:
        session.show_lines([f"{one.path} would", *(f"  - {line}" for line in one.would)])
        session.confirm(f"Trust {one.path}?", changes=f"Trusting {one.path}")
        one.give()
    return one, True


def _outcome(session: Session, given: list[tuple[Trust, bool]]) -> Outcome:
    new = [one for one, is_new in given if is_new]
    rows = [
        {"file": str(one.path), "sha256": one.digest, "new": is_new, "would": list(one.would)}
        for one, is_new in given
        if one.path is not None and one.digest
    ]
    lines = [
        line for one, _ in given if one.digest for line in ((" ", str(one.path)), *((" ", f"  {w}") for w in one.would))
    ]
    word = "would trust" if session.dry_run else "trusted"
    return Outcome(
        kind="trust",
        data=rows,
        blocks=[Lines(lines=lines)] if lines else [],
        summary=f"{word} {', '.join(str(one.path) for one in new)}" if new else "nothing here needs more trust",
        names=[str(row["file"]) for row in rows],
    )


def _listed(book: TrustBook) -> Outcome:
    rows = [
        {"file": path, "sha256": digest, "state": _state(book, Path(path))} for path, digest in book.entries().items()
    ]
    table = Table(
        columns=("file", "state"),
        rows=[(row["file"], row["state"]) for row in rows],
        empty="No found file is trusted yet: difyops trust DIR",
    )
    return Outcome(kind="trust.list", data=rows, blocks=[table], names=[row["file"] for row in rows])


def _state(book: TrustBook, path: Path) -> str:
    if not path.is_file():
        return "gone"
    try:
        config = _config(path.parent)
        one = config.project_trust if path.name == "difyops.yaml" else _runbook(config, path)
    except (DifyopsError, OSError):
        return "unreadable"
    return "trusted" if book.knows(path, one.digest) else "changed since"


def _removed(session: Session, book: TrustBook, target: Path) -> Outcome:
    path = target if target.suffix in (".yaml", ".yml") else target / "difyops.yaml"
    if session.dry_run:
        return Outcome(kind="trust.remove", data={"file": str(path)}, summary=f"would no longer trust {path}")
    if not book.remove(path):
        raise UsageError(f"{path} is not trusted.", hint="difyops trust --list")
    return Outcome(kind="trust.remove", data={"file": str(path)}, summary=f"{path} is no longer trusted")

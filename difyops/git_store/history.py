"""Reading history: the log, the tags, and from what a person types to one commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from difyops.clock import from_unix
from difyops.errors import NothingKept
from difyops.git_store import names, refs
from difyops.git_store.plumbing import Git
from difyops.git_store.records import CommitInfo, FileChange, TagInfo, Touched

_FAR = 1_000_000  # commits


def log(git: Git, line: refs.RefLine, *, limit: int) -> list[CommitInfo]:
    """Return the newest ``limit`` commits of a branch along its first parents, newest first; none without a branch."""
    if line.commit is None:
        return []
    named: dict[str, list[str]] = {}
    for tag in tags(git, line):
        named.setdefault(tag.commit, []).append(tag.name)
    answer = git.run(
        "log",
        "-z",
        "--first-parent",
        f"--max-count={max(0, limit)}",
        "--encoding=UTF-8",
        "--format=tformat:%H%x00%ct%x00%an <%ae>%x00%B",
        "--end-of-options",
        line.ref,
        "--",
    )
    return [
        CommitInfo(
            id=commit,
            when=_moment(seconds),
            author=author,
            subject=message.strip().partition("\n")[0],
            body=message.strip().partition("\n")[2].strip(),
            tags=tuple(named.get(commit, ())),
        )
        for commit, seconds, author, message in _records(answer.output, 4)
    ]


def touching(git: Git, line: refs.RefLine, folder: str, *, limit: int) -> list[Touched]:
    """Return the newest ``limit`` commits that changed files below ``folder``, newest first, with these files."""
    if line.commit is None or limit <= 0:
        return []
    answer = git.run(
        "log",
        "-z",
        "-m",
        "--first-parent",
        f"--max-count={limit}",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--format=tformat:%x01%H",
        "--end-of-options",
        line.ref,
        "--",
        folder,
    )
    changed: dict[str, list[FileChange]] = {}
    fields = iter(answer.output.decode(errors="surrogateescape").split("\0"))
    commit = ""
    for field in fields:
        text = field.lstrip("\n")
        if text.startswith("\x01"):
            commit = text[1:]
            changed[commit] = []
        elif text.startswith(":"):
            *_, blob, status = text.split(" ")
            changed[commit].append(FileChange(status=status[0], path=next(fields), blob=blob))
    infos = {info.id: info for info in log(git, line, limit=_FAR)}
    return [Touched(commit=infos[each], files=tuple(files)) for each, files in changed.items() if each in infos]


def tags(git: Git, line: refs.RefLine) -> list[TagInfo]:
    """Return the tags of a context that point to commits, newest first."""
    prefix = line.tags
    fields = "%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)%00"
    answer = git.run(
        "for-each-ref",
        "--sort=refname",
        "--sort=-creatordate",
        f"--format={fields}%(creatordate:unix)%00%(contents)%00",
        prefix,
    )
    found: list[TagInfo] = []
    for ref, kind, own_id, peeled_kind, peeled_id, seconds, message in _records(answer.output, 7):
        annotated = kind == "tag"
        if (peeled_kind if annotated else kind) == "commit":
            found.append(
                TagInfo(
                    name=ref.removeprefix(prefix),
                    commit=peeled_id if annotated else own_id,
                    when=_moment(seconds),
                    message=message.strip() if annotated else "",
                )
            )
    return found


def resolve(git: Git, text: str, line: refs.RefLine) -> str:
    """Return the commit a person means: ``latest``, ``HEAD``, a tag, a commit id of this context, each with ``~N``.

    Raises:
        StoreError: there is no such snapshot in this context; the hint lists the newest tags.
    """
    name, back = names.steps_back(text.strip())
    start = _start(git, name, line)
    found = _commit(git, f"{start}~{back}") if start and back else start
    if found is None:
        raise NothingKept(f"There is no snapshot {names.shown(text)} of {line.branch}.", hint=_what_there_is(git, line))
    return found


def _start(git: Git, name: str, line: refs.RefLine) -> str | None:
    if name in (*names.NEWEST, line.branch):
        return line.commit
    if names.is_tag(name):
        ref = f"{line.tags}{name}"
        if ref in refs.read(git, ref):
            return _commit(git, ref)
    if names.is_some_id(name.lower()):
        found = _commit(git, name.lower())
        return found if found and _belongs(git, found, line) else None
    return None


def _commit(git: Git, expression: str) -> str | None:
    """Ask git for a commit. ``expression`` is made here from checked parts, never a person's text as it is."""
    answer = git.run(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{expression}^{{commit}}", fine=(0, 1, 128)
    )
    return next((line for line in answer.lines if names.is_full_id(line)), None)


def _belongs(git: Git, commit: str, line: refs.RefLine) -> bool:
    answer = git.run("for-each-ref", "--count=1", f"--contains={commit}", line.ref, line.tags)
    return bool(answer.lines)


def _what_there_is(git: Git, line: refs.RefLine) -> str:
    newest = tags(git, line)
    if newest:
        return f"Newest tags: {names.listed(tag.name for tag in newest)}; all: difyops snapshot list"
    if log(git, line, limit=1):
        return "No tags yet; use latest, latest~1 or a commit id: difyops snapshot list"
    return "No snapshot was taken yet: difyops snapshot create"


def _records(output: bytes, width: int) -> Iterator[list[str]]:
    """Cut NUL-separated fields into records; some commands put a line end between two records."""
    fields = iter(output.decode(errors="replace").split("\0"))
    while len(record := list(islice(fields, width))) == width:
        yield [record[0].lstrip("\n"), *record[1:]]


def _moment(seconds: str) -> datetime:
    found = from_unix(int(seconds)) if len(seconds) < 20 and seconds.isdecimal() else None
    return found or datetime.fromtimestamp(0, UTC)  # who wrote the commit can write any number

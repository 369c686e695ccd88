"""``GitStore``: the one door to the snapshot repository. It holds the lock of writers and puts the parts together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path

from difyops.errors import LockHeld, NothingKept, StoreError
from difyops.git_store import history, incoming, names, place, refs, remotes, tree, writers
from difyops.git_store.plumbing import Git
from difyops.git_store.reader import ObjectReader
from difyops.git_store.records import CommitInfo, FileMissing, StoreMoved, TagExists, TagInfo, Touched

_AT_ONCE = 200  # contents in memory together
_NOT_EDITS = frozenset({"README.md", ".gitignore"})


class GitStore:
    """Snapshots of several contexts in one git repository. Safe for several threads and processes at once."""

    def __init__(self, git: Git, algorithm: str) -> None:
        self._git = git
        self._algorithm = algorithm
        self._former: dict[str, str] = {}
        self._known = tree.Known(git)
        self._null_id = "0" * len(tree.blob_id(b"", algorithm))

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> GitStore:
        """Open the repository at exactly ``path``; with ``create`` make it when the folder is missing or empty.

        ``README.md`` and ``.gitignore`` may be there already. A repository further up is never used.

        Raises:
            StoreError: nothing there, not a repository, damaged, or git is missing or too old.
        """
        return cls(*place.find(path, create=create))

    @property
    def path(self) -> Path:
        """Return the folder of the repository (absolute)."""
        return self._git.path

    def close(self) -> None:
        """End the git that reads contents, which keeps a disk in use; the next look at one starts it again."""
        self._known.reader.close()

    def private_file(self, name: str) -> Path:
        """Return the path of a file beside the objects: it is in no commit and is never pushed or cloned."""
        return self._git.folder / name

    def head(self, branch: str) -> str | None:
        """Return the newest commit of a branch, ``None`` when there is none yet.

        Raises:
            StoreError: the reference is damaged (never taken for "no snapshot yet").
        """
        return self._line(branch).commit

    def takes_over(self, branch: str, former: str) -> None:
        """Let ``branch``, as long as there is none, be what the branch ``former`` holds.

        The next commit gives it that history, with its tags, under its own name. ``former`` stays as it is.
        """
        self._former[names.branch(branch)] = names.branch(former)

    def _line(self, branch: str) -> refs.RefLine:
        return refs.line(self._git, names.branch(branch), self._former.get(branch))

    def resolve(self, text: str, *, branch: str) -> str:
        """Return the commit id a person means: ``latest``, ``HEAD``, a tag, an id (4+ digits), each with ``~N``.

        Raises:
            StoreError: there is no such snapshot in this context; the hint lists what there is.
        """
        return history.resolve(self._git, text, self._line(branch))

    def commit(
        self,
        branch: str,
        files: Mapping[str, bytes | None],
        *,
        base: str | None,
        replace: bool,
        message: str,
        author: str,
        when: datetime,
        tag: tuple[str, str] | None = None,
        note: bytes | None = None,
        aside: bool = False,
    ) -> str:
        """Write one commit on top of ``base`` and return its id; branch, tag and note move together or not at all.

        ``files``: path -> content, ``None`` deletes. ``replace``: the tree is exactly ``files``; else ``base``'s tree
        with these changes. ``tag``: (name, message), annotated. ``note``: as in ``note()``. A tree that equals
        ``base``'s makes no commit: a tag then goes to ``base``, and ``base`` is returned. ``aside``: only the tag leads
        to the commit; the branch stays where it is.

        Raises:
            StoreMoved: the branch is not at ``base`` (``None``: must not exist). Nothing was changed.
            TagExists: there is such a tag. Nothing was changed.
            LockHeld: another process has been writing for a minute.
            StoreError: disk full, not writable, damaged. The last good state is intact.
            UsageError: a name or path cannot be stored.
        """
        tag_ref = f"{refs.TAGS}{names.branch(branch)}/{names.tag(tag[0])}" if tag else None
        # the first one of a branch has every file to hash: the writers of other branches need not wait for that
        changes = tree.changes({}, files, replace=replace, algorithm=self._algorithm) if base is None else []
        with self._writing(branch):
            line = self._line(branch)
            self._expect(line, base, tag_ref)
            if base is not None:
                changes = tree.changes(self._known.listing(base), files, replace=replace, algorithm=self._algorithm)
            commit, blob = base, None
            if commit is None or changes:
                draft = incoming.Draft(
                    parent=base,
                    changes=changes,
                    message=message,
                    author=author,
                    when=when,
                    note=note,
                    null_id=self._null_id,
                )
                commit, blob = incoming.write(self._git, draft)
            moves = self._moved(line, base if aside else commit)
            if tag and tag_ref:
                name = tag_ref.removeprefix(refs.TAGS)
                new = incoming.write_tag(self._git, name=name, commit=commit, message=tag[1], author=author, when=when)
                moves.append(refs.Move(ref=tag_ref, new=new))
            if note is not None:
                blob = blob or incoming.write_blob(self._git, note)
                moves.append(refs.Move(ref=refs.CHECKED + branch, new=blob, from_anywhere=True))
            self._move(line, base, tag_ref, moves)
        return commit

    def blob_ids(self, rev: str) -> dict[str, str]:
        """Return path -> blob id for every file of ``rev`` (a full commit id, or a branch).

        Raises:
            StoreError: there is no such commit.
        """
        entries = self._known.listing(self._commit(rev))
        return {path: entry.id for path, entry in entries.items() if entry.kind == "blob"}

    def read(self, rev: str, path: str) -> bytes:
        """Return one file of ``rev`` (a full commit id, or a branch).

        Raises:
            FileMissing: the commit has no such file.
            StoreError: there is no such commit, or the store is damaged.
        """
        return self.read_many(rev, [path])[path]

    def read_many(self, rev: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Return several files of ``rev`` by path, in the order asked for. Errors as in ``read``."""
        ids = self.blob_ids(rev)
        for path in paths:
            if path not in ids:
                raise FileMissing(f"The snapshot {rev[:10]} has no file {names.shown(path)}.")
        blobs = self._known.blobs([ids[path] for path in paths])
        return {path: blobs[ids[path]] for path in paths}

    def at(self, rev: str) -> ObjectReader:
        """Return a reader of the files of ``rev`` (a full commit id, or a branch); the caller closes it.

        Raises:
            StoreError: there is no such commit.
        """
        commit = self._commit(rev)
        return ObjectReader(self._known.reader, commit, self._known.listing(commit))

    def log(self, branch: str, *, limit: int = 50) -> list[CommitInfo]:
        """Return the newest ``limit`` commits of a branch, newest first, with their tags."""
        return history.log(self._git, self._line(branch), limit=limit)

    def touching(self, branch: str, folder: str, *, limit: int) -> list[Touched]:
        """Return the newest ``limit`` commits that changed files below ``folder`` (``apps/ID/``), with these files."""
        return history.touching(self._git, self._line(branch), folder, limit=limit)

    def contents(self, blobs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the contents of blobs by their ids, a few at a time.

        Raises:
            StoreError: one is missing or damaged.
        """
        for start in range(0, len(blobs), _AT_ONCE):
            yield from self._known.reader.read(blobs[start : start + _AT_ONCE]).items()

    def tags(self, branch: str) -> list[TagInfo]:
        """Return the tags of a branch, newest first."""
        return history.tags(self._git, self._line(branch))

    def branches(self) -> list[str]:
        """Return the names of all branches that have a commit."""
        found = (ref.removeprefix(refs.HEADS) for ref in refs.under(self._git, refs.HEADS))
        return [name for name in found if name != names.UNBORN]

    def note(self, branch: str, content: bytes) -> None:
        """Keep ``content`` as the context's "last checked" record: no commit, the last writer wins.

        Raises:
            StoreError: as in ``commit``.
        """
        ref = refs.CHECKED + names.branch(branch)
        with self._writing(branch):
            blob = incoming.write_blob(self._git, content)
            refs.move(self._git, [refs.Move(ref=ref, new=blob, from_anywhere=True)], reason="difyops: checked")

    def read_note(self, branch: str) -> bytes | None:
        """Return the context's "last checked" record, ``None`` when nothing was noted yet."""
        return self._record(refs.CHECKED, branch)

    def _record(self, kind: str, branch: str) -> bytes | None:
        """Return a record of a branch; before it has one of its own, that of the branch whose history it takes over."""
        wanted = [kind + names.branch(branch), *(kind + name for name in (self._former.get(branch),) if name)]
        there = refs.read(self._git, *wanted)
        blob = next((there[ref] for ref in wanted if ref in there), None)
        return self._known.blobs([blob])[blob] if blob else None

    def anchors(self, branch: str) -> dict[str, bytes]:
        """Return how long each ledger that took snapshots of this context was, by the ledger's name."""
        lines = (self._record(refs.LEDGER, branch) or b"").splitlines()
        return {name.decode(errors="replace"): content for name, _, content in (line.partition(b" ") for line in lines)}

    def keep_anchor(self, branch: str, name: str, content: bytes) -> None:
        """Keep how long the ledger ``name`` is, on one line; those of other machines stay.

        Raises:
            StoreError: as in ``commit``.
        """
        with self._writing(branch):
            kept = self.anchors(branch)
            if kept.get(name) != content:
                lines = [each.encode() + b" " + line for each, line in sorted({**kept, name: content}.items())]
                self._keep_record(refs.LEDGER, branch, lines)

    def facts(self, branch: str, kind: str) -> list[str]:
        """Return what is known about a branch beside its history; ``kind``: ``refs.PLACES`` or ``refs.RESTORED``."""
        return (self._record(kind, branch) or b"").decode(errors="replace").splitlines()

    def keep_facts(self, branch: str, kind: str, lines: Sequence[str]) -> None:
        """Add lines to what is known about a branch; each stands there once.

        Raises:
            StoreError: as in ``commit``.
        """
        with self._writing(branch):
            kept = self.facts(branch, kind)
            new = [line for line in dict.fromkeys(lines) if line not in kept]
            if new:
                self._keep_record(kind, branch, [line.encode() for line in (*kept, *new)])

    def _keep_record(self, kind: str, branch: str, lines: Sequence[bytes]) -> None:
        blob = incoming.write_blob(self._git, b"\n".join([*lines, b""]))
        ref = kind + names.branch(branch)
        refs.move(self._git, [refs.Move(ref=ref, new=blob, from_anywhere=True)], reason="difyops: record")

    def check(self) -> list[str]:
        """Read every object and every link between them; return one line per problem, none for a sound store."""
        answer = self._git.run(
            "fsck", "--full", "--strict", "--no-dangling", "--no-reflogs", "--no-progress", fine=range(256)
        )
        said = [*answer.lines, *answer.errors.splitlines()]
        problems = [names.one_line(line) for line in said if line.strip() and not line.startswith("notice:")]
        if answer.status and not problems:
            problems.append(f"git fsck ended with status {answer.status}")
        return problems

    def push(self, remote: str, *, branch: str | None = None, dry_run: bool = False) -> list[str]:
        """Push a branch (or all) with tags and notes to a configured remote or an address; never by force.

        Returns the references that changed over there (``dry_run``: that would), none when all was there already.

        Raises:
            Refused: the other side has what we do not have. StoreError: cannot be reached. UsageError: not a remote.
        """
        names.remote(remote)
        if branch is not None and self.head(branch) is None:
            raise NothingKept(f"There is no snapshot of {branch} to push.", hint="difyops snapshot create")
        common = self._git.common
        assert common is not None  # noqa: S101 - a store is opened with one
        lines = [self._line(name) for name in ([branch] if branch else self.branches())]
        return remotes.push(self._git.path, common, remote, lines, dry_run=dry_run)

    def local_changes(self) -> bool:
        """Tell whether somebody edited files in the work tree by hand and did not commit. Informational only."""
        answer = self._git.run("status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=all")
        rows = [row.decode(errors="replace") for row in answer.output.split(b"\0") if row]
        return any(not (row.startswith("?? ") and row[3:] in _NOT_EDITS) for row in rows)

    def tidy(self) -> None:
        """Pack the store tighter when many snapshots have piled up; cheap when there is nothing to do.

        While somebody writes nothing is done: the next one packs.

        Raises:
            StoreError: git failed; nothing is lost.
        """
        if not incoming.has_piled_up(self._git):
            return
        with suppress(LockHeld), writers.alone(self._git):
            refs.clear_dead_locks(self._git, ["packed-refs"])
            self._git.run(
                "gc",
                "--auto",
                "--quiet",
                settings=(
                    f"gc.auto={incoming.MANY_OBJECTS}",
                    f"gc.autoPackLimit={incoming.MANY_PACKS}",
                    "gc.autoDetach=false",
                ),
            )

    def _writing(self, branch: str) -> AbstractContextManager[None]:
        """Hold what a writer of ``branch`` holds; the branch whose history it takes over stands still meanwhile."""
        return writers.alongside(self._git, (branch, self._former.get(branch, branch)))

    def _moved(self, line: refs.RefLine, commit: str | None) -> list[refs.Move]:
        """Return the moves that put the branch at ``commit``; its first own one brings the former tags along."""
        head = refs.HEADS + line.branch
        if line.is_own:
            return [refs.Move(ref=head, new=commit, old=line.commit)] if commit and commit != line.commit else []
        if commit is None:
            return []
        moves = [refs.Move(ref=head, new=commit)]
        if line.named != line.branch:
            own = f"{refs.TAGS}{line.branch}/"
            there = refs.under(self._git, own)
            moves += [
                refs.Move(ref=own + ref.removeprefix(line.tags), new=target)
                for ref, target in refs.under(self._git, line.tags).items()
                if own + ref.removeprefix(line.tags) not in there
            ]
        return moves

    def _expect(self, line: refs.RefLine, base: str | None, tag_ref: str | None) -> None:
        """Check that the branch is at ``base`` and the tag is free; the transaction checks the same once more."""
        branch = line.branch
        name = tag_ref.removeprefix(f"{refs.TAGS}{branch}/") if tag_ref else ""
        there = refs.read(self._git, *(f"{prefix}{name}" for prefix in (f"{refs.TAGS}{branch}/", line.tags) if name))
        if self._line(branch).commit != base:
            raise StoreMoved(
                f"Somebody else wrote a snapshot of {branch} in the meantime; nothing was changed.",
                hint="Run the same command again.",
                retryable=True,
            )
        if there:
            raise TagExists(
                f"There is a tag {names.shown(name)} of {branch} already; tags never move. Nothing was changed.",
                hint="Choose another tag: difyops snapshot list",
            )

    def _move(self, line: refs.RefLine, base: str | None, tag_ref: str | None, moves: Sequence[refs.Move]) -> None:
        if not moves:
            return
        head_ref = refs.HEADS + line.branch
        if moves[0].ref == head_ref:
            refs.step_aside(self._git, head_ref, line.commit if line.is_own else None)
        try:
            refs.move(self._git, moves, reason="difyops: snapshot")
        except StoreError:
            self._expect(line, base, tag_ref)  # a person's git was faster: say that instead
            raise

    def _commit(self, rev: str) -> str:
        if names.is_full_id(rev):
            return rev
        found = self.head(rev)
        if found is None:
            raise NothingKept(f"There is no snapshot of {rev}.", hint="difyops snapshot create")
        return found

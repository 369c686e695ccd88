"""Snapshots in an ordinary git repository. The only home of GitPython and of the git program.

One branch per context (``refs/heads/<context>``), annotated tags in the context's own namespace
(``refs/tags/<context>/<tag>``) and one record per context that travels without a commit
(``refs/difyops/checked/<context>``, "last checked"). What the files mean is not known here.

The write path uses no work tree and no index: objects go through one ``git fast-import`` into a side folder, are moved
in as one pack, and then one ``git update-ref`` transaction with expected old ids makes them the newest snapshot. Killed
anywhere before that transaction nothing has happened; killed after it everything has.

A person may work in the same folder with plain git. ``HEAD`` of a new store names a branch that does not exist
(``nothing-checked-out``), so ``git status`` is quiet, while ``git log prod``, ``git show prod:apps/...`` and ``git
checkout prod`` work. When the branch that moves is checked out, ``HEAD`` is first detached at the commit the work tree
came from: edits by hand stay what they are, and a later ``git commit -a`` cannot undo a snapshot by accident; ``git
checkout prod`` goes back to the newest. Index and work tree are never touched. A linked work tree (``git worktree
add``) should use ``--detach``.

    records   what callers get, and the three errors of this room
    names     branch, tag, path, author, remote: what may become an argument of git
    closed    whose store it is; what stands in for its own settings, which git never reads
    plumbing  git itself: environment, settings, one call, one sentence when it fails
    place     finding, opening and making the repository
    tree      which files change between a commit and the wanted tree
    writers   who may write when: a lock for each branch, and one of the store that writers share
    incoming  new objects, through the side folder
    refs      reading and moving references; locks left by the dead
    history   log, tags, and from what a person types to a commit
    remotes   push
    reader    the files of one commit, one by one
    store     ``GitStore``, the one door
"""

from difyops.git_store.reader import ObjectReader
from difyops.git_store.records import CommitInfo, FileChange, FileMissing, StoreMoved, TagExists, TagInfo, Touched
from difyops.git_store.store import GitStore

__all__ = [
    "CommitInfo",
    "FileChange",
    "FileMissing",
    "GitStore",
    "ObjectReader",
    "StoreMoved",
    "TagExists",
    "TagInfo",
    "Touched",
]

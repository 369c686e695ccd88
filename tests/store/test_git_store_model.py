"""The store against a model: a dictionary of trees. Whatever is done in whatever order, both say the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from difyops.errors import UsageError
from difyops.git_store import GitStore, StoreMoved, TagExists
from tests.store.store_tools import save, tree

BRANCHES = st.sampled_from(["prod", "staging"])
SEGMENTS = st.sampled_from(["a", "b", "\u00e9", 'q"', "x y"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)
CONTENTS = st.binary(max_size=12)
TREES = st.dictionaries(PATHS, CONTENTS, max_size=5)
CHANGES = st.dictionaries(PATHS, st.none() | CONTENTS, max_size=4)
TAGS = st.none() | st.sampled_from(["t1", "t2", "t3"])


class AgainstADictionary(RuleBasedStateMachine):
    """History as a list of trees per branch, tags as indexes into it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = GitStore.open(Path(self.folder.name) / "store", create=True)
        self.history: dict[str, list[tuple[str, dict[str, bytes]]]] = {"prod": [], "staging": []}
        self.tags: dict[tuple[str, str], str] = {}
        self.notes: dict[str, bytes] = {}

    def teardown(self) -> None:
        assert self.store.check() == []
        self.folder.cleanup()

    @rule(branch=BRANCHES, files=TREES, tag=TAGS)
    def whole_tree(self, branch: str, files: dict[str, bytes], tag: str | None) -> None:
        self._write(branch, dict(files), files, tag, replace=True)

    @rule(branch=BRANCHES, changes=CHANGES, tag=TAGS)
    def some_changes(self, branch: str, changes: dict[str, bytes | None], tag: str | None) -> None:
        before = self.history[branch][-1][1] if self.history[branch] else {}
        after = {path: content for path, content in (before | changes).items() if content is not None}
        self._write(branch, changes, after, tag, replace=False)

    @rule(branch=BRANCHES, files=TREES)
    def from_an_old_base(self, branch: str, files: dict[str, bytes]) -> None:
        if len(self.history[branch]) > 1:
            with pytest.raises(StoreMoved):
                save(self.store, files, branch, base=self.history[branch][0][0])

    @rule(branch=BRANCHES, content=CONTENTS)
    def note(self, branch: str, content: bytes) -> None:
        self.store.note(branch, content)
        self.notes[branch] = content

    @invariant()
    def both_say_the_same(self) -> None:
        for branch, history in self.history.items():
            assert self.store.head(branch) == (history[-1][0] if history else None)
            assert self.store.read_note(branch) == self.notes.get(branch)
            if history:
                assert tree(self.store, history[-1][0]) == history[-1][1]

    @rule(branch=BRANCHES)
    def history_is_whole(self, branch: str) -> None:
        history = self.history[branch]
        assert [info.id for info in self.store.log(branch)] == [commit for commit, _ in reversed(history)]
        for back, (commit, files) in enumerate(reversed(history)):
            assert self.store.resolve(f"latest~{back}", branch=branch) == commit
            assert tree(self.store, commit) == files
        named = {tag.name: tag.commit for tag in self.store.tags(branch)}
        assert named == {name: commit for (where, name), commit in self.tags.items() if where == branch}

    def _write(
        self,
        branch: str,
        given: dict[str, bytes | None],
        after: dict[str, bytes],
        tag: str | None,
        *,
        replace: bool,
    ) -> None:
        label = (tag, "label") if tag else None
        if tag and (branch, tag) in self.tags:
            with pytest.raises(TagExists):
                save(self.store, given, branch, replace=replace, tag=label)
            return
        if any(other.startswith(path + "/") for path in after for other in after):
            with pytest.raises(UsageError):
                save(self.store, given, branch, replace=replace, tag=label)
            return
        commit = save(self.store, given, branch, replace=replace, tag=label)
        history = self.history[branch]
        if history and history[-1][1] == after:
            assert commit == history[-1][0]
        else:
            history.append((commit, after))
        if tag:
            self.tags[branch, tag] = commit


AgainstADictionary.TestCase.settings = settings(
    max_examples=3, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAgainstADictionary = pytest.mark.slow(AgainstADictionary.TestCase)

"""What older snapshots hold in clear: secrets that were kept before they were sealed, by commit and place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from difyops.dsl.exports import in_clear
from difyops.dsl.marks import MARKER, is_sealed
from difyops.dsl.model import DslError, as_dict
from difyops.dsl.secret_places import found_in_text
from difyops.dsl.secret_policy import DEFAULT, SealPolicy
from difyops.dsl.secrets import redact
from difyops.errors import AnswerIsNo, DifyopsError
from difyops.git_store import GitStore

_File = tuple[str, str]  # an app's id, the file's short name
_FAR = 1_000_000  # snapshots
_RID = (
    "Rotate these secrets first: whoever has a copy of the store has them. Newer snapshots seal them. To leave the old "
    "commits behind, begin a new store (difyops snapshot create --store NEW) and remove the old one with its copies."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A place of one app that holds a secret in clear, from commit ``first`` (the oldest) to ``last``.

    ``at_head``: the newest snapshot holds it still.
    """

    app_id: str
    app: str
    file: str
    place: str
    first: str
    first_at: datetime
    last: str
    commits: int
    at_head: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaks:
    """What was found in all snapshots of a context."""

    context: str
    snapshots: int
    leaks: tuple[Leak, ...]

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" when something was found."""
        if not self.leaks:
            return None
        number = len(self.leaks)
        return AnswerIsNo(
            f"{number} place{'s' * (number != 1)} in older snapshots of {self.context} hold a secret in clear.",
            hint=_RID,
        )


def find_leaks(
    store: GitStore,
    branch: str,
    *,
    policy: SealPolicy = DEFAULT,
    progress: Callable[[int, int, str], None] | None = None,
) -> Leaks:
    """Look through every version of every app's files that the snapshots of a branch hold; values are never shown.

    Raises:
        StoreError: there is no snapshot yet, or the store is damaged.
    """
    store.resolve("latest", branch=branch)
    rows = store.touching(branch, "apps/", limit=_FAR)[::-1]  # oldest first
    kinds = {
        change.blob: change.path.rpartition("/")[2] for row in rows for change in row.files if change.status != "D"
    }
    places: dict[str, frozenset[str]] = {}
    names: dict[str, str] = {}
    for number, (blob, content) in enumerate(store.contents(sorted(kinds)), start=1):
        places[blob] = frozenset(_places(kinds[blob], content, policy))
        if kinds[blob] == "app.json":
            names[blob] = str(as_dict(_json(content)).get("name") or "")
        if progress:
            progress(number, len(kinds), kinds[blob])
    commits = store.log(branch, limit=_FAR)[::-1]
    found = _Spans(order={info.id: number for number, info in enumerate(commits)})
    newest: dict[str, str] = {}
    for row in rows:
        for change in row.files:
            _, app_id, name = change.path.split("/", 2)
            found.now(row.commit.id, (app_id, name), places.get(change.blob, frozenset()))
            newest[app_id] = names.get(change.blob) or newest.get(app_id, app_id)
    leaks = [
        Leak(
            app_id=app_id,
            app=newest[app_id],
            file=name,
            place=place,
            first=commits[first].id,
            first_at=commits[first].when,
            last=commits[last].id,
            commits=last - first + 1,
            at_head=last == len(commits) - 1,
        )
        for (app_id, name), place, first, last in found.ended()
    ]
    ordered = tuple(sorted(leaks, key=lambda leak: (leak.app, leak.app_id, leak.file, leak.place, leak.first_at)))
    return Leaks(context=branch, snapshots=len(commits), leaks=ordered)


@dataclass(slots=True)
class _Spans:
    """From which to which commit each place of a file held a secret. ``order``: the number of each commit."""

    order: Mapping[str, int]
    _open: dict[_File, dict[str, int]] = field(default_factory=dict)
    _ended: list[tuple[_File, str, int, int]] = field(default_factory=list)

    def now(self, commit: str, file: _File, places: frozenset[str]) -> None:
        """Note which places of a file hold one from ``commit`` on."""
        at, since = self.order[commit], self._open.setdefault(file, {})
        for place in since.keys() - places:
            self._ended.append((file, place, since.pop(place), at - 1))
        for place in places - since.keys():
            since[place] = at

    def ended(self) -> list[tuple[_File, str, int, int]]:
        """Return all of them; what is open reaches to the newest commit."""
        newest = len(self.order) - 1
        still = [(file, place, since, newest) for file, places in self._open.items() for place, since in places.items()]
        return [*self._ended, *still]


def _places(name: str, content: bytes, policy: SealPolicy) -> Iterable[str]:
    """Return the places of a file that hold a secret in clear."""
    if name == "live.dsl.yml":
        text = content.decode(errors="replace")
        try:
            yield from in_clear(text, policy)
        except DslError:
            yield from () if text == MARKER or is_sealed(text) else ("the whole text, which is no DSL",)
    elif name in ("live.json", "draft.json"):
        yield from (
            location.label for location in redact(as_dict(_json(content)), is_marked=True, policy=policy).secrets
        )
    elif name == "app.json":
        body = as_dict(_json(content))
        shown = {f"web page: {key}": text for key, text in as_dict(body.get("site")).items()}
        texts = {"description": body.get("description"), **shown}
        yield from (key for key, text in texts.items() if isinstance(text, str) and found_in_text(text))


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return {}  # a damaged file holds nothing that can be told; verify names it

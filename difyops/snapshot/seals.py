"""Who can open the sealed values of a store: told, changed, and everything at the head encrypted anew for it.

Every branch of the store carries the same recipients. A change is one commit on each branch; one that was cut off
between two branches is ended by running it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from difyops.clock import Clock, iso
from difyops.errors import DifyopsError, NothingKept, Refused, UsageError
from difyops.git_store import GitStore
from difyops.sealing.access import Access, Agreed, shown
from difyops.sealing.age import Identity
from difyops.sealing.key import StoreKey
from difyops.sealing.store import FILES, Seal, files_of, identities_for, keep_key, read_seal, seal_to_compare
from difyops.sealing.values import SealedFound, encrypted, opened, summarized, summary
from difyops.snapshot.layout import MANIFEST, Manifest, app_file, digest, read_manifest
from difyops.snapshot.never_shown import never_shown
from difyops.snapshot.take import AUTHOR

_TEXTS = ("live.json", "draft.json", "live.dsl.yml", "sealed.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealStatus:
    """What stands sealed in the newest snapshot of a context, and who can open it.

    ``opens``: an identity here opened the head just now; ``None`` where there is nothing to open. ``lost`` values have
    a fingerprint only: nobody can bring them back from this store. ``never_shown``: what no snapshot holds, for the
    server shows it to nobody.
    """

    context: str
    commit: str
    store_id: str
    recipients: tuple[str, ...]
    is_agreed: bool
    key_here: bool
    opens: bool | None
    opened_at: str | None
    apps: int
    values: int
    lost: int
    never_shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealChanged:
    """The recipients of a store after a change, and how many sealed values were encrypted anew for them."""

    recipients: tuple[str, ...]
    branches: tuple[str, ...]
    values: int
    waiting: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSeal:
    """What is to hold: recipients, and a new store key where that changes."""

    recipients: tuple[str, ...]
    key: StoreKey | None = field(default=None, repr=False)


def status(store: GitStore, branch: str, access: Access, clock: Clock) -> SealStatus:
    """Say what is sealed and who can open it; tries what this machine has.

    Raises:
        StoreError: there is no snapshot, or it is damaged.
    """
    commit = store.resolve("latest", branch=branch)
    manifest = read_manifest(store, commit)
    seal = seal_to_compare(store, branch, access)
    agreed = access.agreed(seal.store_id)
    held = _sealed_files(store, commit, manifest)
    values = {mark for places, _ in held.values() for mark in places.values()}
    kept = {mark for places, age in held.values() if age is not None for mark in places.values()}
    opens = _opens(held, seal, access)
    if opens:
        access.opened(seal.store_id, commit, iso(clock.now()))
    return SealStatus(
        context=branch,
        commit=commit,
        store_id=seal.store_id,
        recipients=seal.recipients,
        is_agreed=is_agreed(seal, agreed),
        key_here=seal.key is not None,
        opens=opens,
        opened_at=iso(clock.now()) if opens else agreed.opened_at,
        apps=len(held),
        values=len(values),
        lost=len(values - kept),
        never_shown=never_shown(store, commit, manifest),
    )


def is_agreed(seal: Seal, agreed: Agreed) -> bool:
    """Say whether recipients and store key are those that this machine agreed to, if it did."""
    is_key = agreed.key_id is None or agreed.key_id == seal.key_id
    return agreed.recipients is None or (set(agreed.recipients) == set(seal.recipients) and is_key)


def set_recipients(store: GitStore, branch: str, wanted: NewSeal, access: Access, clock: Clock) -> SealChanged:
    """Make ``wanted`` the recipients of every branch; encrypt anew what an identity here opens.

    What cannot be opened here waits: the next snapshot reads those apps anew and seals them for the new list.

    Raises:
        Refused: this machine lacks the store key. StoreError: there is no snapshot, or the store cannot be written.
    """
    found = read_seal(store, branch)
    if found is None:
        raise NothingKept("There is no snapshot yet whose values could be sealed.", hint="difyops snapshot create")
    seal = seal_to_compare(store, branch, access)
    if seal.key is None:
        raise Refused("This machine has no store key.", hint="Run this where snapshots are taken.")
    identities = identities_for(seal, access)
    key = wanted.key or seal.key
    new = replace(seal, key=key, key_id=key.id, recipients=wanted.recipients, files={})
    new = replace(new, files=files_of(new))
    work = _Work(store=store, old=seal, new=new, identities=identities, clock=clock)
    if wanted.key is not None:
        work.check_all_open()
    for name in store.branches():
        work.carry_over(name)
    if wanted.key is not None:
        keep_key(store, wanted.key)
    access.agree(seal.store_id, replace(access.agreed(seal.store_id), recipients=wanted.recipients, key_id=key.id))
    return SealChanged(
        recipients=wanted.recipients,
        branches=tuple(work.moved),
        values=work.values,
        waiting=work.waiting,
    )


def removed(recipients: Sequence[str], gone: str) -> tuple[str, ...]:
    """Return the recipients without one, named whole or by an unmistakable beginning.

    Raises:
        UsageError: none or several are meant, or nobody would be left.
    """
    meant = [text for text in recipients if text == gone or (len(gone) >= 8 and text.startswith(gone))]
    if len(meant) != 1:
        raise UsageError(f"{gone[:40]!r} means {len(meant)} of the recipients ({shown(recipients)}).")
    left = tuple(text for text in recipients if text != meant[0])
    if not left:
        raise UsageError("Nobody would be left who could open the sealed values.", hint="Add another one first.")
    return left


@dataclass(slots=True)
class _Work:
    """One change of the seal under way."""

    store: GitStore
    old: Seal
    new: Seal
    identities: Sequence[Identity]
    clock: Clock
    moved: list[str] = field(default_factory=list)
    values: int = 0
    waiting: int = 0

    def check_all_open(self) -> None:
        """Refuse a new key while anything cannot be opened: its marks could not be made anew.

        Raises:
            Refused: that is so.
        """
        for name in self.store.branches():
            head = self.store.head(name)
            held = _sealed_files(self.store, head, read_manifest(self.store, head)) if head else {}
            for app_id, (places, age) in held.items():
                if places and self._opened(app_id, age) is None:
                    raise Refused(
                        f"The sealed values of app {app_id} in {name} cannot be opened here; the store key stays.",
                        hint="Run this where an identity is: difyops snapshot seal status",
                    )

    def carry_over(self, branch: str) -> None:
        """Write one commit that has the new seal on top of a branch."""
        head = self.store.head(branch)
        if head is None:
            return
        manifest = read_manifest(self.store, head)
        files: dict[str, bytes | None] = {path: self.new.files.get(path) for path in FILES}
        states: dict[str, str] = {}
        for app_id, (places, age) in _sealed_files(self.store, head, manifest).items():
            found = self._opened(app_id, age)
            if found is None or manifest.apps[app_id].seal != self.old.state:
                self.waiting += len(set(places.values()))
                continue
            files.update(self._files_of(head, manifest, app_id, found))
            states[app_id] = self.new.state
            self.values += len(found.values)
        self._commit(branch, head, manifest, files, states)

    def _opened(self, app_id: str, age: bytes | None) -> SealedFound | None:
        if age is None:
            return None
        try:
            return opened(app_id, age, self.identities)
        except DifyopsError:
            return None

    def _files_of(self, head: str, manifest: Manifest, app_id: str, found: SealedFound) -> Mapping[str, bytes | None]:
        """Return the files of an app under the new seal: the age file, and with a new key everything with a mark."""
        path = app_file(app_id, "sealed.age")
        if self.new.key_id == self.old.key_id:
            return {path: encrypted(app_id, found, self.new.recipients)}
        marks = {mark: self.new.mark(value.reveal()) for mark, value in found.values.items()}
        moved = SealedFound(
            places={place: marks[mark] for place, mark in found.places.items()},
            values={marks[mark]: value for mark, value in found.values.items()},
        )
        files: dict[str, bytes | None] = {path: encrypted(app_id, moved, self.new.recipients)}
        for name in _TEXTS:
            text = app_file(app_id, name)
            if text in manifest.files:
                content = self.store.read(head, text)
                for old, new in marks.items():
                    content = content.replace(old.encode(), new.encode())
                files[text] = content
        files[app_file(app_id, "sealed.json")] = summary(moved)  # the draft's print is of the old key: read anew once
        return files

    def _commit(
        self,
        branch: str,
        head: str,
        manifest: Manifest,
        files: Mapping[str, bytes | None],
        states: Mapping[str, str],
    ) -> None:
        sums = {path: each for path, each in manifest.files.items() if files.get(path, b"") is not None}
        sums |= {path: digest(content) for path, content in files.items() if content is not None}
        unsealed = {app_id for app_id, entry in manifest.apps.items() if entry.seal == self.old.state}
        unsealed -= set(_sealed_apps(manifest)) | set(states)
        entries = {
            app_id: replace(entry, seal=self.new.state) if app_id in states or app_id in unsealed else entry
            for app_id, entry in manifest.apps.items()
        }
        new = replace(manifest, files=dict(sorted(sums.items())), apps=entries, taken_at=manifest.taken_at)
        count = len(self.new.recipients)
        self.store.commit(
            branch,
            {
                **{path: content for path, content in files.items() if content is not None or path in manifest.files},
                MANIFEST: new.encoded(),
            },
            base=head,
            replace=False,
            message=f"sealed for {count} recipient{'s' * (count != 1)}\n",
            author=AUTHOR,
            when=self.clock.now(),
        )
        self.moved.append(branch)


def _sealed_apps(manifest: Manifest) -> list[str]:
    return [app_id for app_id in manifest.apps if app_file(app_id, "sealed.json") in manifest.files]


def _sealed_files(
    store: GitStore, commit: str, manifest: Manifest
) -> dict[str, tuple[Mapping[str, str], bytes | None]]:
    """Return the marks by place of each app that has any, and its age file."""
    apps = _sealed_apps(manifest)
    paths = [app_file(app_id, name) for app_id in apps for name in ("sealed.json", "sealed.age")]
    held = store.read_many(commit, [path for path in paths if path in manifest.files])
    return {
        app_id: (summarized(held[app_file(app_id, "sealed.json")]).places, held.get(app_file(app_id, "sealed.age")))
        for app_id in apps
    }


def _opens(held: Mapping[str, tuple[Mapping[str, str], bytes | None]], seal: Seal, access: Access) -> bool | None:
    """Try every age file of the head; ``None`` where there is none."""
    files = [(app_id, age) for app_id, (_, age) in held.items() if age is not None]
    if not files:
        return None
    try:
        identities = identities_for(seal, access)
        for app_id, age in files:
            opened(app_id, age, identities)
    except DifyopsError:
        return False
    return True

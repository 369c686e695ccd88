"""``difyops snapshot``: keeping and looking. Parse, call the room, return what it found. Going back: ``going_back``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli import going_back, sealing, snapshot_looking
from difyops.cli.door import command, group, seconds
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.session import Session
from difyops.cli.stores import context_of, open_store
from difyops.errors import DifyopsError, Interrupted, StoreError, TimedOut, UsageError
from difyops.outcome import Facts, Outcome

if TYPE_CHECKING:
    from difyops.git_store import GitStore
    from difyops.snapshot.drift import Drift

noun = group("Keep workflows in git, see what changed, go back.")

SameInstance = Annotated[
    bool, typer.Option("--same-instance", help="The instance moved: go on with its snapshots (kept in the store).")
]
Selectors = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SELECTOR]...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all (default)."),
]


@command(noun, "create", fleet=True)
def create(
    session: Session,
    selectors: Selectors = None,
    tag: Annotated[
        str | None, typer.Option("--tag", "-t", help="Name this snapshot; a tag that exists is refused.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="What this snapshot is for.")] = "",
    live_only: Annotated[
        bool, typer.Option("--live-only", help="Look at live versions only; drafts as before.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Read everything again.")] = False,
    max_in_flight: Annotated[
        int | None, typer.Option("--max-in-flight", min=1, max=64, help="Calls at once (default 4).")
    ] = None,
    same_instance: SameInstance = False,
) -> Outcome:
    """Take a snapshot of the selected apps (default: the whole workspace).

    Examples:
        difyops snapshot create --tag before-release -m "before the spring release"
        difyops snapshot create 'support-*' tag:prod
    """
    from difyops.render import snapshot as views
    from difyops.render.progress import progress
    from difyops.snapshot.take import Taken, TakeOptions, take

    missing = session.dry_run and not session.config.store.exists()
    store = None if missing else open_store(session, create=not session.dry_run)
    session.max_in_flight = max_in_flight

    async def work() -> Taken:
        async with session.instance() as instance:
            options = TakeOptions(
                selectors=tuple(selectors or ("all",)),
                tag=tag,
                message=message,
                live_only=live_only,
                full=full,
                dry_run=session.dry_run,
                limit=max_in_flight or instance.context.max_in_flight,
                access=session.access,
                same_instance=same_instance,
            )
            with progress("reading apps", quiet=session.quiet) as moved:
                return await take(instance, store, options, progress=moved)

    taken = session.run(work())
    if store is not None and not session.dry_run:
        _anchor_ledger(session, store)
    return views.taken(taken, dry_run=session.dry_run)


def _anchor_ledger(session: Session, store: GitStore) -> None:
    """Keep in the store how long the ledger is, where there is one: the store is pushed to other places."""
    from difyops.ledger.anchor import name_of, read
    from difyops.shared_state import place_of

    place = place_of(session.config)
    known = None
    if place.url is None and session.has_ledger:
        known = session.ledger.anchor
    elif place.url is not None:
        with contextlib.suppress(StoreError):  # doctor tells that this machine's anchor is damaged
            known = read(place.local)  # enough, and it needs no server
    if known is not None:
        store.keep_anchor(context_of(session), name_of(place.local), known.as_bytes().strip())


@command(noun, "list", fleet=True)
def list_(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
) -> Outcome:
    """List the snapshots of a context, newest first.

    Examples:
        difyops snapshot list
        difyops snapshot list --limit 5 -o json
    """
    from difyops.render import snapshot as views
    from difyops.snapshot.history import history

    return views.history(history(open_store(session), context_of(session), limit=limit))


@command(noun, "diff", fleet=True)
def diff(
    session: Session,
    revisions: Annotated[
        list[str] | None, typer.Argument(metavar="[FROM] [TO]", help="One snapshot: against live. Two: between them.")
    ] = None,
    app: Annotated[list[str] | None, typer.Option("--app", "-a", help="Only these apps (selector).")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Drafts against what is live.")] = False,
) -> Outcome:
    """Show what differs, in meaning: between snapshots, with live (default: latest), or drafts with live.

    Examples:
        difyops snapshot diff
        difyops snapshot diff v1 latest --app support-triage
    """
    from difyops.render import snapshot as views
    from difyops.snapshot.compare import Comparison, between, draft_with_live, with_live

    chosen, given = tuple(app or ("all",)), list(revisions or ())
    if len(given) > 2 or (draft and given):
        raise UsageError("diff takes at most two snapshots, and none together with --draft.")
    if len(given) == 2:
        return views.comparison(between(open_store(session), context_of(session), given[0], given[1], chosen))

    async def work() -> Comparison:
        async with session.instance() as instance:
            if draft:
                return await draft_with_live(instance, chosen)
            revision = given[0] if given else "latest"
            return await with_live(instance, open_store(session), revision, chosen, access=session.access)

    return views.comparison(session.run(work()))


@command(noun, "drift", fleet=True)
def drift(
    session: Session,
    selectors: Selectors = None,
    as_: As = None,
    same_instance: SameInstance = False,
    watch: Annotated[
        str | None, typer.Option("--watch", metavar="TIME", help="Look again each 30s, 5m, ...; tell what changed.")
    ] = None,
) -> Outcome:
    """Does live still look like the last snapshot? Exit 5 when not.

    --watch goes on until Ctrl-C or --deadline; each change is a line, and the last verdict is the end.

    Examples:
        difyops snapshot drift
        difyops snapshot drift tag:prod --as junit=drift.xml
    """
    from difyops.render import snapshot as views
    from difyops.render.cases import drift_suite
    from difyops.render.progress import progress
    from difyops.snapshot.drift import DriftOptions
    from difyops.snapshot.drift import drift as look_for_drift
    from difyops.snapshot.rotated import explained

    async def work() -> Drift:
        async with session.instance() as instance:
            options = DriftOptions(
                selectors=tuple(selectors or ("all",)),
                access=session.access,
                limit=instance.context.max_in_flight,
                same_instance=same_instance,
                writes=not session.dry_run,
            )
            with progress("comparing apps", quiet=session.quiet) as moved:
                found = await look_for_drift(instance, open_store(session), options, progress=moved)
            return explained(found, session.ledger) if session.has_ledger and found.apps else found

    formats = formats_of(as_)
    try:
        found = session.run(work()) if watch is None else _watched(session, work, seconds(watch))
    except Interrupted:
        raise
    except DifyopsError as error:
        return unknown(error, formats, "snapshot.drift")
    return reported(views.drift(found), drift_suite(found), formats, dry_run=session.dry_run)


def _watched(session: Session, look: Callable[[], Coroutine[Any, Any, Drift]], pause: float) -> Drift:
    """Look again and again; tell each change on stderr. Return the last verdict when the deadline comes."""
    import asyncio

    from difyops.render.snapshot import drift_line

    seen: list[Drift] = []

    async def work() -> None:
        while True:
            found = await look()
            if not seen or seen[-1].apps != found.apps:
                session.show_lines(drift_line(found, seen[-1] if seen else None))
            seen.append(found)
            del seen[:-1]
            await asyncio.sleep(pause)

    try:
        session.run(work())
    except TimedOut:
        if not seen:
            raise
    return seen[-1]


@command(noun, "verify", fleet=True)
def verify(
    session: Session,
    revision: Annotated[str, typer.Argument(metavar="SNAPSHOT")] = "latest",
    subset: Annotated[str | None, typer.Option("--subset", metavar="N/T", help="Re-hash the n-th of t parts.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All snapshots of the context.")] = False,
    as_: As = None,
) -> Outcome:
    """Re-hash a snapshot, check git's integrity and the manifest. Exit 5 when something is wrong.

    Examples:
        difyops snapshot verify
        difyops snapshot verify --all --subset 1/7
    """
    from difyops.render import snapshot as views
    from difyops.render.cases import verify_suite
    from difyops.snapshot.check import subset as parsed
    from difyops.snapshot.check import verify as check

    formats = formats_of(as_)
    part = parsed(subset) if subset else (1, 1)
    try:
        store = open_store(session)
        found = check(store, context_of(session), revision=revision, part=part, history=everything)
    except DifyopsError as error:
        return unknown(error, formats, "snapshot.verify")
    return reported(views.checked(found), verify_suite(found), formats, dry_run=session.dry_run)


@command(noun, "push")
def push(
    session: Session,
    remote: Annotated[str, typer.Argument(metavar="REMOTE", help="A remote of the store, or a URL.")] = "origin",
) -> Outcome:
    """Push the snapshots of a context with their tags to a remote; never with force.

    Examples:
        difyops snapshot push backup
        difyops snapshot push backup --dry-run
    """
    store = open_store(session)
    context = context_of(session)
    pushed = store.push(remote, branch=context, dry_run=session.dry_run)
    word = "would push" if session.dry_run else "pushed"
    said = f"{word} {context} to {remote}" if pushed else f"{remote} has all of {context} already"
    return Outcome(
        kind="snapshot.push",
        data={"remote": remote, "branch": context, "pushed": pushed},
        blocks=[Facts(pairs=[(word, line) for line in pushed] or [(word, "nothing new")])],
        summary=f"dry run: {said}" if session.dry_run else said,
    )


going_back.register(noun)
snapshot_looking.register(noun)
noun.add_typer(sealing.noun, name="seal")

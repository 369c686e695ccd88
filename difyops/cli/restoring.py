"""``difyops snapshot restore``: a deleted app, or an app in another context. And the options that rollback shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.changes import with_state
from difyops.cli.session import Session
from difyops.errors import DifyopsError, Interrupted, TimedOut, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.git_store import GitStore
    from difyops.secret_text import SecretText
    from difyops.snapshot.restore import Restored, RestoreOptions, RestorePlan

AppName = Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug.")]
To = Annotated[str, typer.Option("--to", metavar="SNAPSHOT", help="Tag, commit, latest, latest~1.")]
SecretFrom = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="KEY=REF", help="A value nobody else has: env:NAME=file:... (repeatable)."),
]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Go on though something is missing here.")]


def restore(
    session: Session,
    app: AppName,
    to: To = "latest",
    source: Annotated[str | None, typer.Option("--from", metavar="CONTEXT", help="Whose snapshot.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Another name for the restored app.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="YAML: datasets, credentials, secrets (references).")
    ] = None,
    secret: SecretFrom = None,
    api: Annotated[bool, typer.Option("--api", help="Switch the service API on.")] = False,
    site: Annotated[bool, typer.Option("--site", help="Switch the web page on.")] = False,
    triggers: Annotated[
        bool, typer.Option("--triggers", help="Switch on the triggers that the snapshot holds as on.")
    ] = False,
    allow_missing: AllowMissing = False,
    confirm_newer: Annotated[
        bool, typer.Option("--confirm-newer", help="Import a DSL that is newer than the server.")
    ] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Take sealed values along into another instance.")
    ] = False,
) -> Outcome:
    """Bring back a deleted app, or put an app into another context, as a new app with API and site off."""
    from difyops.render import snapshot as views
    from difyops.snapshot.restore import RestoreOptions

    options = RestoreOptions(
        name=name,
        mapping=_translation(map_file, secret, dry_run=session.dry_run),
        api=api,
        site=site,
        triggers=triggers,
        allow_missing=allow_missing,
        confirm_newer=confirm_newer,
        with_secrets=with_secrets,
    )
    try:
        done = session.run(_restore(session, app, to, source, options))
    except (Interrupted, TimedOut) as error:
        raise with_state(session, error) from error
    return views.restore_planned(done) if session.dry_run else views.restored(done)  # type: ignore[arg-type]


def given_secrets(pairs: list[str] | None, *, dry_run: bool = False) -> dict[str, SecretText]:
    """Return the values that ``--secret KEY=REF`` names, resolved; a dry run runs no program for one.

    Raises:
        UsageError: a pair without a reference. CredentialError: one that cannot be resolved.
    """
    given = {}
    for pair in pairs or ():
        key, _, reference = pair.partition("=")
        if not reference:
            raise UsageError(
                f"--secret {key!r} has no reference.", hint="Example: --secret env:API_TOKEN=file:token.txt"
            )
        given[key] = _value(reference, dry_run=dry_run)
    return given


def _value(reference: str, *, dry_run: bool) -> SecretText:
    from difyops.credentials import resolve
    from difyops.secret_text import SecretText

    if dry_run and reference.startswith("cmd:"):
        return SecretText("(what the command would print)")
    return resolve(reference)


async def _restore(
    session: Session, selector: str, to: str, source: str | None, options: RestoreOptions
) -> Restored | RestorePlan:
    from difyops.cli.snapshot import open_store
    from difyops.sealing.store import seal_to_compare
    from difyops.snapshot.history import kept_app
    from difyops.snapshot.restore import plan_restore
    from difyops.snapshot.restore import restore as bring_back

    store = open_store(session)
    async with session.instance() as instance:
        branch = _branch(session, store, source) if source else instance.name
        if store.head(branch) is None:
            raise _nothing_of(store, branch)
        kept = kept_app(store, store.resolve(to, branch=branch), selector)
        options = replace(options, access=session.access, seal=seal_to_compare(store, branch, session.access))
        if session.dry_run:
            return await plan_restore(instance, kept, to, options)
        session.confirm("Create it?", changes=f"Restoring {kept.record.name!r} into {instance.name}")
        return await bring_back(session.workspace(instance, store=store), kept, to, options)


def _branch(session: Session, store: GitStore, source: str) -> str:
    """Return the branch that ``--from`` means: a context's, or any that the store has (its instance may be lost)."""
    return source if source in store.branches() else session.config.context(source).name


def _nothing_of(store: GitStore, branch: str) -> DifyopsError:
    from difyops.errors import NothingKept

    others = ", ".join(store.branches())
    hint = f"Those of another one: --from NAME ({others})" if others else "difyops snapshot create"
    return NothingKept(f"There is no snapshot of {branch}.", hint=hint)


def _translation(path: Path | None, pairs: list[str] | None, *, dry_run: bool) -> Any:
    from difyops.cli.values import yaml_mapping
    from difyops.snapshot.restore import Translation

    body = yaml_mapping(path, {"datasets", "credentials", "secrets"}) if path else {}
    secrets = {key: _value(str(reference), dry_run=dry_run) for key, reference in (body.get("secrets") or {}).items()}
    return Translation(
        datasets=body.get("datasets") or {},
        credentials=body.get("credentials") or {},
        secrets={**secrets, **given_secrets(pairs, dry_run=dry_run)},
    )

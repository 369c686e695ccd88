"""``difyops snapshot restore``: a deleted app, or an app in another context. And the options that rollback shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.git_store import GitStore
    from difyops.secret_text import SecretText
    from difyops.snapshot.restore import RestoreOptions
    from difyops.snapshot.restore_many import RestoredMany

Chosen = Annotated[
    list[str],
    typer.Argument(metavar="SELECTOR...", help="Apps of the snapshot: id, name, slug, glob, mode:NAME, @file, all."),
]
To = Annotated[str, typer.Option("--to", metavar="SNAPSHOT", help="Tag, commit, latest, latest~1.")]
SecretFrom = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="KEY=REF", help="A value nobody else has: env:NAME=file:... (repeatable)."),
]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Go on though something is missing here.")]


def restore(
    session: Session,
    selectors: Chosen,
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
    """Bring back deleted apps, or put apps into another context, as new apps with API and site off.

    Of several, those that still exist here are left as they are.

    Examples:
        difyops snapshot restore support-triage --to v1 --dry-run
        difyops snapshot restore support-triage --to v1 --secret env:API_TOKEN=file:token.txt --yes
    """
    from difyops.render import going_back as views
    from difyops.snapshot.restore import RestoreOptions, refusal

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
    done = session.run(_restore(session, selectors, to, source, options))
    refused = refusal(done.plans[0], options) if done.is_one and session.dry_run else None
    return views.restored(done, dry_run=session.dry_run, refused=refused)


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
    session: Session, selectors: list[str], to: str, source: str | None, options: RestoreOptions
) -> RestoredMany:
    from difyops.cli.stores import open_store
    from difyops.sealing.store import seal_to_compare
    from difyops.snapshot.former import former_ids, keep_former
    from difyops.snapshot.history import load_app
    from difyops.snapshot.layout import read_manifest
    from difyops.snapshot.restore import plan_restore, refusal
    from difyops.snapshot.restore import restore as bring_back
    from difyops.snapshot.restore_many import RestoredMany, beside, chosen_of

    store = open_store(session)
    async with session.instance() as instance:
        branch = _branch(session, store, source) if source else instance.name
        if store.head(branch) is None:
            raise _nothing_of(store, branch)
        commit = store.resolve(to, branch=branch)
        manifest = read_manifest(store, commit)
        here = [app async for app in instance.console.apps()]
        origins = {app.id: {app.id, *former_ids(store, branch, app.id)} for app in here}
        there = set[str]().union(*origins.values())
        chosen = chosen_of(manifest, selectors, there, commit=commit, renamed=options.name is not None)
        options = replace(options, access=session.access, seal=seal_to_compare(store, branch, session.access))
        done = RestoredMany(is_one=chosen.is_one, still_here=chosen.still_here)
        if not session.dry_run and chosen.apps:
            names = ", ".join(repr(app.name) for app in chosen.apps[:5]) + (" ..." if len(chosen.apps) > 5 else "")
            session.confirm(
                "Create it?" if chosen.is_one else f"Create {counted(len(chosen.apps), 'app')}?",
                changes=f"Restoring {names} into {instance.name}",
            )
        for app in chosen.apps:
            try:
                kept = load_app(store, commit, manifest, app.id)
                options = replace(options, beside=beside(manifest, origins, app.id))
                if session.dry_run:
                    plan = await plan_restore(instance, kept, to, options)
                    refused = None if chosen.is_one else refusal(plan, options)
                    if refused is not None:
                        raise refused
                    done.plans.append(plan)
                    continue
                restored = await bring_back(session.workspace(instance, store=store), kept, to, options)
            except DifyopsError as error:
                if chosen.is_one:
                    raise
                done.failed[f"{app.name} ({app.id})"] = error
            else:
                done.apps.append(restored)
                origins[restored.app_id] = {restored.app_id, app.id}
                if branch == instance.name:
                    keep_former(store, branch, restored.app_id, app.id)
        return done


def _branch(session: Session, store: GitStore, source: str) -> str:
    """Return the branch that ``--from`` means: a context's, or any that the store has (its instance may be lost)."""
    return source if source in store.branches() else session.config.context(source).name


def _nothing_of(store: GitStore, branch: str) -> DifyopsError:
    from difyops.errors import NothingKept

    others = ", ".join(store.branches())
    hint = f"Those of another one: --from NAME ({others})" if others else "difyops snapshot create"
    return NothingKept(f"There is no snapshot of {branch}.", hint=hint)


def _translation(path: Path | None, pairs: list[str] | None, *, dry_run: bool) -> Any:
    from difyops.settings_file import read_file
    from difyops.snapshot.restore import Translation, TranslationFile

    body = read_file(TranslationFile, path, error=UsageError, may_run=True)[0] if path else TranslationFile()
    secrets = {key: _value(reference, dry_run=dry_run) for key, reference in body.secrets.items()}
    return Translation(
        datasets=body.datasets,
        credentials=body.credentials,
        secrets={**secrets, **given_secrets(pairs, dry_run=dry_run)},
    )

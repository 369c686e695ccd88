"""One app of the source prepared for the target: read, translated, filled with the secrets that are alive there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App, Workflow
from difyops.counting import counted
from difyops.credentials import resolve_async
from difyops.dsl.model import tools
from difyops.dsl.secrets import Location, redact
from difyops.errors import DifyopsError
from difyops.publishing.putting import Now
from difyops.release.plan import PROMOTION, Version, hash_of_plain
from difyops.release.planning import PlanRequest, planned
from difyops.release.promote.bindings import Bindings
from difyops.release.promote.parts import Parts, credentials_of
from difyops.release.promote.plan import RingStep
from difyops.release.promote.translate import BindingRow, Translated, translate, without_secrets
from difyops.release.sources import Plain, ReleaseTarget
from difyops.secret_text import SecretText
from difyops.snapshot.carry import secrets_of
from difyops.snapshot.history import Kept
from difyops.snapshot.layout import RecordedApp
from difyops.snapshot.plan import read_situation
from difyops.snapshot.situation import PlanOptions, Situation
from difyops.workspace import Workspace

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both instances, what each has, what stands for what, and how the release is judged."""

    source: Instance
    target: Workspace
    has: Parts
    there: Parts
    bindings: Bindings
    request: PlanRequest
    with_secrets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSides:
    """What is live of an app in the source: the document without its secrets, and its hash."""

    app: App
    document: JsonObject = field(repr=False)
    version: str
    hash: str


class Unfit(DifyopsError):
    """An app cannot be promoted; the message says why."""

    code = "unfit"


async def read_source(source: Instance, app: App) -> ReadSides:
    """Read what is live of an app; no secret is asked for.

    Raises:
        Unfit: nothing is live, or apps of this mode cannot be promoted.
    """
    if app.is_agent:
        raise Unfit("agent apps cannot be promoted: their files and skills are in no document")
    version = ""
    if app.has_workflow:
        live = await source.console.published(app.id)
        if live is None:
            raise Unfit(f"it was never published in {source.name}")
        document, version = without_secrets(live.document), live.id
    else:
        document = {"model_config": dict((await source.console.app(app.id)).model_config or {})}
    plain = redact(document).document
    return ReadSides(app=app, document=plain, version=version, hash=hash_of_plain(plain))


def target_app(sides: Sides, app: App) -> App:
    """Return the app of the target that an app of the source stands for: the bound one, else that of the same name.

    Raises:
        Unfit: there is none, there are several, or it has another mode.
    """
    bound = sides.bindings.apps
    wanted = bound.get(app.id) or bound.get(app.name) or app.name
    found = [item for item in sides.there.apps if item.id == wanted] or [
        item for item in sides.there.apps if item.name == wanted
    ]
    name = sides.target.instance.name
    if len(found) != 1:
        many = counted(len(found), "app is", "apps are") if found else "no app is"
        raise Unfit(f"{many} called {wanted!r} in {name} (difyops snapshot restore brings one there)")
    if found[0].mode != app.mode:
        raise Unfit(f"{wanted!r} is a {found[0].mode} app in {name} and {app.mode} here")
    return found[0]


async def prepare(sides: Sides, app: App) -> tuple[RingStep, ReleaseTarget | None]:
    """Return the step of one app, and its document for the target where nothing is in the way.

    Raises:
        DifyopsError: an instance cannot be read.
    """
    try:
        read = await read_source(sides.source, app)
        target = target_app(sides, app)
    except Unfit as error:
        row = BindingRow(kind="app", name=app.name, here=app.id, problem=error.message)
        return RingStep(source_id=app.id, source_name=app.name, hash="", rows=(row,)), None
    translated = await _translated(sides, read, target)
    given = await _given(sides.bindings)
    situation, problems = await _filled(sides, read, target, translated, given)
    rows = (*_secret_rows(situation), *translated.rows)
    missing = [BindingRow(kind="need", name=app.name, problem=text) for text in problems if not _is_told(text, rows)]
    found = (*[row for row in rows if row.problem], *missing, *[row for row in rows if not row.problem])
    step = RingStep(source_id=app.id, source_name=app.name, hash=read.hash, target_id=target.id, rows=found)
    if step.problems:
        return step, None
    document = situation.filled.document
    word = f"{sides.source.name}/{app.name}"
    plain = Plain(live=situation.live_document, target=redact(document).document)
    done = ReleaseTarget(
        document=document, version=Version(hash=hash_of_plain(plain.target), source=PROMOTION, word=word)
    )
    now = now_in(situation)
    if hash_of_plain(plain.live) == done.version.hash and not situation.changed_secrets:
        return replace(step, is_same=True), done
    plan = planned(sides.target, now, done, sides.request, plain).plan
    return replace(step, plan=plan), done


async def _translated(sides: Sides, read: ReadSides, target: App) -> Translated:
    used = {provider for provider, _, _, credential in tools(read.document) if credential}
    await credentials_of(sides.source, sides.has, used)
    await credentials_of(sides.target.instance, sides.there, used)
    live: JsonObject = {}
    if read.document.get("environment_variables"):
        version = await sides.target.instance.console.published(target.id)
        live = version.document if version else {}
    return translate(read.document, live, sides.has, sides.there, sides.bindings)


async def _filled(
    sides: Sides, read: ReadSides, target: App, translated: Translated, given: Mapping[str, SecretText]
) -> tuple[Situation, tuple[str, ...]]:
    record = RecordedApp(id=target.id, name=target.name, mode=target.mode)
    kept = Kept(commit=read.hash, record=record, live=translated.document, draft=None, dsl=None)
    instance = sides.target.instance
    situation, problems = await read_situation(instance, kept, sides.source.name, PlanOptions(given=given))
    if not situation.filled.missing or not sides.with_secrets:
        return situation, problems
    known = await secrets_of(sides.source.console, read.app.id, read.version or None)
    more = {location.key: known[location] for location in situation.filled.missing if location in known}
    return await read_situation(instance, kept, sides.source.name, PlanOptions(given={**given, **more}))


async def _given(bindings: Bindings) -> dict[str, SecretText]:
    """Return the secrets that the bindings refer to, by address; a bare name is an environment variable."""
    found = {}
    for key, reference in bindings.secrets.items():
        address = key if ":" in key else f"env:{key}"
        found[Location.parse(address).key] = await resolve_async(reference)
    return found


def _secret_rows(situation: Situation) -> list[BindingRow]:
    rows = [
        BindingRow(kind="secret", name=location.label, rule=source)
        for location, source in situation.filled.sources.items()
    ]
    return rows + [
        BindingRow(kind="secret", name=location.label, here=location.key,
            problem=f"no value there; secrets: {{{location.key}: REF}} in the bindings, or --with-secrets")
        for location in situation.filled.missing
    ]  # fmt: skip


def _is_told(text: str, rows: tuple[BindingRow, ...]) -> bool:
    """Say whether another row says the same: a secret without a value, a dataset or credential without a match."""
    return text.startswith("the value of ") or any(row.problem and row.here and row.here in text for row in rows)


def now_in(situation: Situation) -> Now:
    """Return what a rollback's plan read as what a release goes by."""
    live, content, draft = situation.live, situation.live_content, situation.draft_content
    if isinstance(live, Workflow) and content is not None:
        return Now(
            app=situation.app, live=content.document, draft=draft.document if draft else None, version=live.id,
            label=live.version, published_at=live.created_at, found=live, read=content,
        )  # fmt: skip
    return Now(app=situation.app, live={"model_config": situation.live_config})

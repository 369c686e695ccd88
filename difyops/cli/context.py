"""``difyops context``: instances and how to reach them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.errors import ConfigError, Refused, UsageError
from difyops.outcome import Facts, Outcome, Table

if TYPE_CHECKING:
    from difyops.config import Context
    from difyops.trust import TrustBook

noun = group("Instances and how to reach them.")

Name = Annotated[str, typer.Argument(metavar="CONTEXT", help="The context.")]
UserFile = Annotated[bool, typer.Option("--user", help="In the user file, not the project's difyops.yaml.")]
Password = Annotated[
    str | None, typer.Option("--password", metavar="REF", help="keyring:, env:, file: or cmd: reference.")
]
AdminKey = Annotated[
    str | None, typer.Option("--admin-key", metavar="REF", help="Reference to the server's ADMIN_API_KEY.")
]
ApiUrl = Annotated[str | None, typer.Option("--api-url", help="Base address of /v1 where it is on another host.")]
MaxInFlight = Annotated[
    int | None, typer.Option("--max-in-flight", min=1, max=64, help="Management calls at once (default 4).")
]
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@command(noun, "add")
def add(
    session: Session,
    name: Name,
    url: Annotated[str, typer.Option("--url", help="Base address, without /console/api.")],
    email: Annotated[str | None, typer.Option("--email", help="Account for the login.")] = None,
    password: Password = None,
    admin_key: AdminKey = None,
    workspace_id: Annotated[str | None, typer.Option("--workspace-id", help="Needed with --admin-key.")] = None,
    api_url: ApiUrl = None,
    ca_file: Annotated[str | None, typer.Option("--ca-file", help="CA that signed the certificate.")] = None,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="Without a byte, e.g. 30s.")] = None,
    max_in_flight: MaxInFlight = None,
    use: Annotated[bool, typer.Option("--use", help="Make it the default.")] = False,
    user: UserFile = False,
) -> Outcome:
    """Add or replace a context. Secrets are given as references; on a terminal the password can be asked for.

    Examples:
        difyops context add prod --url https://dify.example.com --email ops@example.com
        difyops context add ci --url https://dify.example.com --email ci@example.com --password env:DIFY_PASSWORD
    """
    from difyops import credentials
    from difyops.config import Context, clean_url

    _check_name(name)
    for option, reference in (("--password", password), ("--admin-key", admin_key)):
        _check_reference(option, reference)
    _check_together(email, password, admin_key, workspace_id)
    if ca_file:
        _check_ca(Path(ca_file))
    path = _file(session, user)
    base = clean_url(url, where="--url")
    is_asked = bool(email and not password)
    if is_asked:
        credentials.check_terminal()
    if is_asked and not session.dry_run:
        password = _place_for_password(name, session)
    extra: dict[str, Any] = {"timeout": seconds(timeout)} if timeout else {}
    if max_in_flight:
        extra["max_in_flight"] = max_in_flight
    context = Context(
        name=name,
        url=base,
        email=email,
        password=_absolute(password),
        admin_key=_absolute(admin_key),
        workspace_id=workspace_id,
        api_url=clean_url(api_url, where="--api-url") if api_url else None,
        ca_file=str(Path(ca_file).absolute()) if ca_file else None,
        **extra,
    )
    is_same = _save(session, path, context, make_default=use, is_asked=is_asked)
    return Outcome(
        kind="context.add",
        data={"name": name, "file": str(path), "url": context.url, "changed": not is_same},
        summary=_told(session, f"context {name}", path, is_same=is_same),
        warnings=_doubts(context),
        names=[name],
    )


def _check_name(name: str) -> None:
    from difyops.config import FORMER_ENVIRONMENT_CONTEXT

    if not _NAME.fullmatch(name) or name in (FORMER_ENVIRONMENT_CONTEXT, "all"):
        hint = "Letters, digits, dots, dashes; not 'env', not 'all'."
        raise UsageError(f"{name!r} cannot name a context.", hint=hint)


def _save(session: Session, path: Path, context: Context, *, make_default: bool, is_asked: bool) -> bool:
    """Write the context, and its password where one is asked for; say whether all of it stood there already.

    Raises:
        NeedsConfirmation: another context of this name stands there, and nobody agreed.
        Refused: the file was changed while the person was asked.
    """
    from difyops import config, credentials
    from difyops.config_writing import written_context

    before = written_context(path, context.name)
    changed = _agreed(session, path, before, context)
    is_same = before is not None and not changed and not make_default
    secret = credentials.prompt(f"Password of {context.email}") if is_asked and not session.dry_run else None
    if written_context(path, context.name) != before:
        raise Refused(
            f"Context {context.name} was changed in {path} meanwhile; nothing was changed.", hint="Run it again."
        )
    if secret:
        credentials.store(str(context.password), secret)
    if not session.dry_run and not is_same:
        config.save_context(path, context, make_default=make_default, trust=_book(session, path))
    return is_same


def _doubts(context: Context) -> list[str]:
    """Return what makes the context of little use, or unsafe."""
    doubts = []
    if not context.password and not context.admin_key:
        doubts.append("no credentials: give --email and --password, or --admin-key and --workspace-id")
    if context.url.startswith("http://") and not re.match(r"http://(localhost|127\.|\[::1\])", context.url):
        doubts.append("http: password and answers cross the network unencrypted")
    return doubts


def _agreed(session: Session, path: Path, before: Mapping[str, Any] | None, context: Context) -> bool:
    """Show what differs from the context that stands there, and let the person agree; say whether anything does.

    Raises:
        NeedsConfirmation: the person said no, or there is no terminal and no ``--yes``.
    """
    from difyops.config_writing import as_written

    changed = _differences(before, as_written(context))
    if changed:
        session.show_lines([f"{path} says of context {context.name}:", *changed])
    if changed and not session.dry_run:
        session.confirm("Replace it?", changes=f"Replacing context {context.name}")
    return bool(changed)


def _differences(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> list[str]:
    """Return a line a field that another value would stand in; references are told by kind and name only."""
    if before is None:
        return []

    def shown(fields: Mapping[str, Any], key: str) -> str:
        value = fields.get(key)
        return "nothing" if value is None else str(_reference(value) if key in ("password", "admin_key") else value)

    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [f"{key}: {shown(before, key)}, and would say {shown(after, key)}" for key in keys]


def _told(session: Session, what: str, path: Path, *, is_same: bool) -> str:
    if is_same:
        return f"{what} stands in {path} already"
    return f"{'would write' if session.dry_run else 'wrote'} {what} to {path}"


@command(noun, "list")
def list_(session: Session) -> Outcome:
    """List the contexts that hold here.

    Examples:
        difyops context list
        difyops context list -o name
    """
    settings = session.config
    current = settings.default_context or (next(iter(settings.contexts)) if len(settings.contexts) == 1 else None)
    rows = [
        {
            "name": item.name,
            "current": item.name == current,
            "url": item.url,
            "login": "admin key" if item.admin_key else item.email,
            "source": item.source,
        }
        for item in settings.contexts.values()
    ]
    columns = ("name", "current", "url", "login", "source")
    table = Table(
        columns=columns,
        rows=[tuple(row[key] for key in columns) for row in rows],
        empty="No context yet: difyops context add NAME --url https://...",
    )
    return Outcome(kind="context.list", data=rows, blocks=[table], names=[str(row["name"]) for row in rows])


@command(noun, "show")
def show(session: Session, name: Annotated[str | None, typer.Argument(metavar="[CONTEXT]")] = None) -> Outcome:
    """Show a context and where every value came from; secrets are references only.

    Examples:
        difyops context show
        difyops context show prod -o json
    """
    from difyops.shared_state import place_of

    settings = session.config
    context = settings.context(name or session.one_context())
    shown = {
        "name": context.name,
        "url": context.url,
        "email": context.email,
        "password": _reference(context.password),
        "admin_key": _reference(context.admin_key),
        "workspace_id": context.workspace_id,
        "api_url": context.api_url,
        "ca_file": context.ca_file,
        "timeout": context.timeout,
        "max_in_flight": context.max_in_flight,
    }
    origin = {key: context.source if key in {*context.given, "name"} else "default" for key in shown}
    shown |= {"store": str(settings.store), "state": str(settings.state)}
    origin |= {"store": settings.origins.get("store", "default"), "state": "environment or XDG"}
    where = place_of(settings)
    shown |= {"shared_state": where.shown if where.url else None}
    origin |= {"shared_state": where.source}
    chosen = settings.origins.get("default_context", "the only one")
    rows = [(key, value, origin[key]) for key, value in shown.items()]
    return Outcome(
        kind="context.show",
        data={"context": shown, "from": origin, "chosen_by": "flag -c" if name or session.contexts else chosen},
        blocks=[Table(columns=("setting", "value", "from"), rows=rows)],
        names=[context.name],
    )


@command(noun, "use")
def use(session: Session, name: Name, user: UserFile = False) -> Outcome:
    """Make a context the default.

    Examples:
        difyops context use prod
        difyops context use staging --user
    """
    from difyops import config
    from difyops.config_writing import default_in

    session.config.context(name)
    path = _file(session, user)
    data = {"name": name, "file": str(path)}
    if default_in(path) == name:
        return Outcome(kind="context.use", data=data, summary=f"{name} is the default in {path} already", names=[name])
    if not session.dry_run:
        config.choose_context(path, name)
    word = "would make" if session.dry_run else "made"
    return Outcome(kind="context.use", data=data, summary=f"{word} {name} the default in {path}", names=[name])


@command(noun, "remove")
def remove(session: Session, name: Name, user: UserFile = False) -> Outcome:
    """Remove a context from the file; its snapshots and stored secrets stay.

    Examples:
        difyops context remove staging --dry-run
        difyops context remove staging --yes
    """
    from difyops import config

    path = _file(session, user)
    config.remove_context(path, name, dry_run=True)
    if not session.dry_run:
        session.confirm(f"Remove context {name} from {path}?", changes=f"Removing context {name}")
        config.remove_context(path, name, trust=_book(session, path))
    word = "would remove" if session.dry_run else "removed"
    data = {"name": name, "file": str(path)}
    return Outcome(kind="context.remove", data=data, summary=f"{word} {name} from {path}", names=[name])


@command(noun, "check")
def check(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="[CONTEXT]")] = None,
    try_again: Annotated[
        bool, typer.Option("--try-again", help="Send a password that was refused once more (five lock the account).")
    ] = False,
) -> Outcome:
    """Connect, log in, say who and where we are. Exit 4 when the instance does not let us in.

    Examples:
        difyops context check
        difyops context check staging --deadline 10s
    """
    from difyops.api.model import ServerInfo

    async def work() -> tuple[ServerInfo, str | None]:
        from difyops.api.service import other_service_url

        async with session.instance(name, login_again=try_again) as instance:
            return await instance.workspace.identify(), await other_service_url(instance)

    info, other = session.run(work())
    pairs: list[tuple[str, object]] = [
        ("url", info.url),
        ("server", info.version),
        ("account", info.account),
        ("role", info.role),
        ("workspace", f"{info.workspace_name} ({info.workspace_id})"),
        ("timezone", info.timezone),
    ]
    offered = f"the apps name {other} as their service API: set api_url in the context if that is so"
    return Outcome(
        kind="context.check",
        data=info,
        blocks=[Facts(pairs=pairs)],
        summary="connected",
        warnings=[offered] if other else [],
        names=[info.url],
    )


def _file(session: Session, user: bool) -> Path:
    from difyops.config import PROJECT_FILE

    if user:
        return session.config.user_file
    return session.config.project_file or Path.cwd() / PROJECT_FILE


def _book(session: Session, path: Path) -> TrustBook | None:
    """Return where trust is written down for a file that is found later; the user's file and a named one need none."""
    from difyops.config import PROJECT_FILE
    from difyops.trust import TrustBook

    is_found = path.name == PROJECT_FILE and path != session.config.user_file and session.config.is_found(path)
    return TrustBook(state=session.config.state) if is_found else None


def _check_together(email: str | None, password: str | None, admin_key: str | None, workspace_id: str | None) -> None:
    """Refuse what cannot connect: half of a login, an admin key for no workspace, a workspace that is none."""
    if admin_key is not None and not workspace_id:
        raise UsageError(
            "--admin-key needs --workspace-id: an admin key is for a workspace, not an account.",
            hint="Its id is in the web page's address bar and in GET /console/api/workspaces.",
        )
    if workspace_id is not None and not _UUID.fullmatch(workspace_id):
        raise UsageError(f"--workspace-id {workspace_id!r} is not a UUID.", hint="Example: 3c5b1a5e-2f0e-4a52-9d56-...")
    if password is not None and not email:
        raise UsageError("--password needs --email: whose password is it?")


def _check_ca(path: Path) -> None:
    import ssl

    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--ca-file {path} holds no certificate that can be used.", hint="PEM is expected.") from error


def _check_reference(option: str, reference: str | None) -> None:
    from difyops.credentials import KINDS

    kind, _, rest = (reference or "").partition(":")
    if kind in KINDS and (not rest.strip() or (kind == "keyring" and not all(rest.partition("/")[::2]))):
        raise ConfigError(f"{option} {reference}: the reference names nothing.", hint="Example: keyring:SERVICE/NAME")
    if reference is not None and kind not in KINDS:
        raise ConfigError(
            f"{option} takes a reference, never the secret itself (it would stay in the shell's history).",
            hint="Use keyring:SERVICE/NAME, env:NAME, file:PATH or cmd:COMMAND.",
        )


def _absolute(reference: str | None) -> str | None:
    """Return a ``file:`` reference with the path as it is from here; the file that names it may be elsewhere."""
    if reference is None or not reference.startswith("file:") or reference.startswith("file:~"):
        return reference
    return f"file:{Path(reference.removeprefix('file:')).absolute()}"


def _place_for_password(name: str, session: Session) -> str:
    """Return the reference under which a password is kept: in the keyring, or in a 0600 file where there is none."""
    from difyops import credentials

    if credentials.keyring_problem():
        return f"file:{session.config.user_file.parent / 'secrets' / name}"
    return f"keyring:difyops/{name}"


def _reference(text: str | None) -> str | None:
    if text is None:
        return None
    kind, _, rest = text.partition(":")
    return f"cmd:{rest.split(maxsplit=1)[0]} ..." if kind == "cmd" and rest.split() else text

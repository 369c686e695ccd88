"""``difyops emulator``: a small Dify-compatible instance on this machine, for trials, demos and tests."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Facts, Lines, Outcome

noun = group("A small Dify-compatible instance on this machine.")

# Written out: the help must not load the emulator. A test holds them against it.
_VERSIONS = "1.4.3, 1.9.1, 1.11.2, 1.13.0, 1.13.3, 1.15, 1.16.1, 1.17"
_MOODS = (
    "slow, flaky, rate_limited, expired_session, dead_session, provider_down, redis_down, daemon_down, worker_down, "
    "half_written_import, stale_switch, ghost_keys, busy_editor, gateway_down, indexing_fails"
)
App = Annotated[str, typer.Argument(metavar="APP", help="An app of the emulator that runs, by its name.")]


@command(noun, "start")
def start(
    session: Session,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="On 127.0.0.1.")] = 5901,
    version: Annotated[str, typer.Option("--server-version", help=f"One of {_VERSIONS}.")] = "1.13.0",
    apps: Annotated[int, typer.Option("--apps", min=0, max=5000, help="A seeded fleet of this many apps more.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the fleet.")] = 7,
    mood: Annotated[list[str] | None, typer.Option("--mood", help=f"A bad day, repeatable: {_MOODS}.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="In the background.")] = False,
    play: Annotated[
        bool, typer.Option("--play", help="Telling app names, tags, and a month of runs: what the docs show.")
    ] = False,
) -> Outcome:
    """Start it; only this machine can reach it. Prints what to export to use it.

    Examples:
        difyops emulator start --play --detach
        difyops emulator start --apps 50 --port 5907 --detach
    """
    from difyops.emulator import MOODS, VERSIONS, background

    if version not in VERSIONS:
        raise UsageError(f"The emulator has no version {version!r}.", hint=f"One of: {', '.join(VERSIONS)}.")
    for name in mood or ():
        if name not in MOODS:
            raise UsageError(f"The emulator has no mood {name!r}.", hint=f"One of: {', '.join(MOODS)}.")
    settings = background.Settings(port=port, version=version, apps=apps, seed=seed, moods=tuple(mood or ()), play=play)
    if session.dry_run:
        return Outcome(kind="emulator.start", data=settings, summary=f"dry run: would start on port {port}")
    if not detach:
        background.serve(settings, quiet=session.quiet)
        return Outcome(kind="emulator.start", data=None, summary="emulator stopped")
    running = background.start(session.config.state, settings)
    pairs: list[tuple[str, object]] = [("url", running.url), ("pid", running.pid)]
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in running.environment.items())
    return Outcome(
        kind="emulator.start",
        data=running,
        blocks=[Facts(pairs=pairs), Lines(lines=[("", f"export {words}")])],
        summary=f"emulator {version} runs at {running.url}",
        names=[running.url],
    )


@command(noun, "status")
def status(session: Session) -> Outcome:
    """Say whether the detached emulator runs, and what it was asked. Exit 5 when it does not run.

    Examples:
        difyops emulator status
        difyops emulator status -o json
    """
    from difyops.emulator import background
    from difyops.errors import AnswerIsNo

    running = background.status(session.config.state)
    if running is None:
        error = AnswerIsNo("No emulator runs.", hint="difyops emulator start --detach")
        return Outcome(kind="emulator.status", data={"running": False}, error=error)
    pairs: list[tuple[str, object]] = [("url", running.url), ("pid", running.pid)]
    pairs += [(name.replace("_", " "), _told(value)) for name, value in running.counts.items()]
    return Outcome(kind="emulator.status", data=running, blocks=[Facts(pairs=pairs)], names=[running.url])


@command(noun, "stop", no_dry_run="stopping is all this does.")
def stop(session: Session) -> Outcome:
    """Stop the detached emulator; one that does not run is fine.

    Examples:
        difyops emulator stop
        difyops emulator stop -q
    """
    from difyops.emulator import background

    stopped = background.stop(session.config.state)
    return Outcome(
        kind="emulator.stop",
        data={"stopped": stopped},
        summary="emulator stopped" if stopped else "no emulator was running",
    )


@command(noun, "break")
def break_(session: Session, app: App) -> Outcome:
    """Let somebody else publish a broken version of an app.

    Examples:
        difyops emulator break support-triage
        difyops emulator break support-chat -q
    """
    return _played(session, "break", app, "published a broken version of")


@command(noun, "delete")
def delete(session: Session, app: App) -> Outcome:
    """Let somebody else delete an app.

    Examples:
        difyops emulator delete order-lookup
        difyops emulator delete order-lookup --dry-run
    """
    return _played(session, "delete", app, "deleted")


@command(noun, "rotate")
def rotate(session: Session, app: App) -> Outcome:
    """Let somebody else give an app's secret variables new values, and publish it.

    Examples:
        difyops emulator rotate support-triage
        difyops emulator rotate support-triage -q
    """
    return _played(session, "rotate", app, "rotated the secrets of")


@command(noun, "publish")
def publish(session: Session, app: App) -> Outcome:
    """Let somebody else publish an app's draft as it is.

    Examples:
        difyops emulator publish order-intake
        difyops emulator publish order-intake -q
    """
    return _played(session, "publish", app, "published")


def _played(session: Session, verb: str, app: str, said: str) -> Outcome:
    from difyops.emulator import background

    if session.dry_run:
        background.running_one(session.config.state)
    else:
        background.play(session.config.state, verb, app)
    summary = f"dry run: somebody would have {said} {app}" if session.dry_run else f"somebody {said} {app}"
    return Outcome(
        kind=f"emulator.{verb}", data={"app": app, "done": not session.dry_run}, summary=summary, names=[app]
    )


def _told(value: object) -> object:
    """Return a count, or counts by name, as text."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    return value

"""``difyops emulator``: a small Dify-compatible instance on this machine, for trials, demos and tests."""

from __future__ import annotations

from typing import Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Facts, Outcome

noun = group("A small Dify-compatible instance on this machine.")


@command(noun, "start")
def start(
    session: Session,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="On 127.0.0.1.")] = 5901,
    version: Annotated[str, typer.Option("--server-version", help="1.9.1, 1.11.2, 1.13.0, 1.13.3 or 1.15.")] = "1.13.0",
    apps: Annotated[int, typer.Option("--apps", min=0, max=5000, help="A seeded fleet of this many apps more.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Of the fleet.")] = 7,
    mood: Annotated[list[str] | None, typer.Option("--mood", help="slow, flaky, redis_down, ... (repeatable).")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="In the background.")] = False,
) -> Outcome:
    """Start it; only this machine can reach it. Prints what to export to use it."""
    from difyops.emulator import MOODS, VERSIONS, background

    if version not in VERSIONS:
        raise UsageError(f"The emulator has no version {version!r}.", hint=f"One of: {', '.join(VERSIONS)}.")
    for name in mood or ():
        if name not in MOODS:
            raise UsageError(f"The emulator has no mood {name!r}.", hint=f"One of: {', '.join(MOODS)}.")
    settings = background.Settings(port=port, version=version, apps=apps, seed=seed, moods=tuple(mood or ()))
    if session.dry_run:
        return Outcome(kind="emulator.start", data=settings, summary=f"dry run: would start on port {port}")
    if not detach:
        background.serve(settings, quiet=session.quiet)
        return Outcome(kind="emulator.start", data=None, summary="emulator stopped")
    running = background.start(session.config.state, settings)
    pairs: list[tuple[str, object]] = [("url", running.url), ("pid", running.pid), *running.environment.items()]
    return Outcome(
        kind="emulator.start",
        data=running,
        blocks=[Facts(pairs=pairs)],
        summary=f"emulator {version} runs at {running.url}",
        names=[running.url],
    )


@command(noun, "status")
def status(session: Session) -> Outcome:
    """Say whether the detached emulator runs, and what it was asked. Exit 5 when it does not run."""
    from difyops.emulator import background
    from difyops.errors import AnswerIsNo

    running = background.status(session.config.state)
    if running is None:
        error = AnswerIsNo("No emulator runs.", hint="difyops emulator start --detach")
        return Outcome(kind="emulator.status", data={"running": False}, error=error)
    pairs: list[tuple[str, object]] = [("url", running.url), ("pid", running.pid), *running.counts.items()]
    return Outcome(kind="emulator.status", data=running, blocks=[Facts(pairs=pairs)], names=[running.url])


@command(noun, "stop")
def stop(session: Session) -> Outcome:
    """Stop the detached emulator; one that does not run is fine."""
    from difyops.emulator import background

    stopped = background.stop(session.config.state)
    return Outcome(
        kind="emulator.stop",
        data={"stopped": stopped},
        summary="emulator stopped" if stopped else "no emulator was running",
    )

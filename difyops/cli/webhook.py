"""``difyops webhook``: the server for events that come in and for runs that call back, and what it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import AnswerIsNo, UsageError
from difyops.outcome import Facts, Outcome

if TYPE_CHECKING:
    from difyops.webhook.rules import WebhookRules

noun = group("Signed events in, runs that call back, and a watch over runs.")

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")]


@command(noun, "serve")
def serve(
    session: Session,
    detach: Annotated[bool, typer.Option("--detach", help="In the background; stop it with: webhook stop.")] = False,
) -> Outcome:
    """Serve what the section `webhook:` of the configuration says, until interrupted; then drain.

    /in/NAME takes signed events, /run/APP runs an app and calls back. What is answered with 2xx is on disk.

    Examples:
        difyops webhook serve
        difyops webhook serve --detach
    """
    from difyops.webhook.reaching import Instances
    from difyops.webhook.serve import Request, Running
    from difyops.webhook.serve import serve as serve_on

    rules = _rules(session)
    if session.dry_run:
        return _checked(rules, "would serve")
    if detach:
        return _detached(session)

    def ready(running: Running) -> None:
        session.show_lines([f"webhook server at {running.listen}" + (f", {running.admin}" if running.admin else "")])

    instances = Instances(
        open=session.instance,
        context=lambda name: session.config.context(name or session.one_context()),
        most=rules.limits.streams,
    )
    request = Request(state=session.config.state, read=lambda: _read_anew(session), instances=instances, ready=ready)
    left = session.run(serve_on(request))
    after = f"; {counted(left, 'run goes', 'runs go')} on, their ends will be told after the next start" if left else ""
    return Outcome(kind="webhook.serve", data={"left": left}, summary=f"webhook server stopped{after}")


@command(noun, "watch")
def watch(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug.")],
    callback: Annotated[str, typer.Option("--callback", metavar="URL", help="Who is told (one of callbacks.allow).")],
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="How often the log is read.")] = "15s",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Tell what ended so long ago, too.")] = "0s",
    once: Annotated[bool, typer.Option("--once", help="Look once, deliver, end: for cron.")] = False,
    content: Annotated[
        bool, typer.Option("--content", help="Tell answers and outputs too, which may hold what people typed.")
    ] = False,
) -> Outcome:
    """Tell a receiver the ends of runs that others start: schedules, triggers, the web page, other callers.

    Examples:
        difyops webhook watch support-triage --callback https://hooks.example.com/ended
        difyops webhook watch support-triage --callback https://hooks.example.com/ended --since 1h --once --content
    """
    from difyops.cli.webhook_watch import Watched, watch_app

    wanted = Watched(
        app=app, callback=callback, every=max(1.0, seconds(every)), since=seconds(since, zero=True), once=once,
        content=content,
    )  # fmt: skip
    rules = _rules(session)
    if session.dry_run:
        rules.callbacks.egress.check(callback)
        return Outcome(
            kind="webhook.watch", data={"told": 0}, summary=f"would tell {app}'s runs; nothing is read or sent"
        )
    told = session.run(watch_app(session, rules, wanted))
    summary = "the end of one run was told" if told == 1 else f"the ends of {counted(told, 'run')} were told"
    return Outcome(kind="webhook.watch", data={"told": told}, summary=summary)


@command(noun, "stop")
def stop(session: Session) -> Outcome:
    """Stop the server of this state folder: it takes nothing more and ends what is under way; none is fine.

    Examples:
        difyops webhook stop
        difyops webhook stop -q
    """
    from difyops.webhook.detached import stop as stop_it

    if session.dry_run:
        from difyops.webhook.serve import running_in

        running = running_in(session.config.state)
        said = f"would stop the webhook server (pid {running.pid})" if running else "no webhook server is running"
        return Outcome(kind="webhook.stop", data={"stopped": False}, summary=said)
    stopped = stop_it(session.config.state)
    said = "webhook server stopped" if stopped else "no webhook server was running"
    return Outcome(kind="webhook.stop", data={"stopped": stopped}, summary=said)


@command(noun, "check")
def check(session: Session) -> Outcome:
    """Read the rules and every secret they name, without serving: what `reload` would say.

    Examples:
        difyops webhook check
        difyops webhook check -o json
    """
    from difyops.webhook.serving import loaded

    rules = _rules(session)
    holds = session.run(loaded(rules))
    return _checked(rules, "the rules can be used", holds.public_keys)


@command(noun, "reload")
def reload(session: Session) -> Outcome:
    """Check the rules and let the server read them anew; what is under way goes on. Exit 5 when none runs.

    Examples:
        difyops webhook reload
        difyops webhook reload -q
    """
    from difyops.webhook.detached import reload as reload_it
    from difyops.webhook.serving import loaded

    rules = _rules(session)
    session.run(loaded(rules))
    if session.dry_run:
        return _checked(rules, "would be loaded")
    running = reload_it(session.config.state, rules.digest)
    return Outcome(
        kind="webhook.reload", data={"pid": running.pid, "rules": running.rules}, summary="the server has the new rules"
    )


@command(noun, "status")
def status(session: Session) -> Outcome:
    """Say whether the server runs, and what waits, died or is under way. Exit 5 when it does not run.

    Examples:
        difyops webhook status
        difyops webhook status -o json
    """
    from difyops.render import webhook as view
    from difyops.webhook.database import FILE
    from difyops.webhook.reading import KeptEvent, counts
    from difyops.webhook.serve import running_in

    state = session.config.state
    running = running_in(state)
    found = counts(KeptEvent(state)) if (state / FILE).exists() else {}
    return view.status(running, found)


@command(noun, "list")
def list_(
    session: Session,
    state: Annotated[str | None, typer.Option("--state", help="pending, started, done or dead.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only of this source.")] = None,
    out: Annotated[bool, typer.Option("--out", help="Calls back instead: pending, delivered or dead.")] = False,
    limit: Limit = 50,
) -> Outcome:
    """List events and where they went, or the calls back, the newest first.

    Examples:
        difyops webhook list
        difyops webhook list --state dead -o json
    """
    from difyops.render import webhook as view
    from difyops.webhook import reading

    kept = reading.KeptEvent(session.config.state)
    if out:
        return view.messages(reading.messages(kept, limit=limit, state=state))
    return view.events(reading.events(kept, limit=limit, state=state, source=source))


@command(noun, "dead")
def dead(session: Session, limit: Limit = 50) -> Outcome:
    """List what was given up: events and calls back, with the reason. Exit 5 when there are any.

    Examples:
        difyops webhook dead
        difyops webhook dead --limit 5
    """
    from difyops.render import webhook as view
    from difyops.webhook import reading

    kept = reading.KeptEvent(session.config.state)
    return view.dead(reading.events(kept, limit=limit, state="dead"), reading.messages(kept, limit=limit, state="dead"))


@command(noun, "show")
def show(
    session: Session, which: Annotated[str, typer.Argument(metavar="ID", help="Of an event, a run or a message.")]
) -> Outcome:
    """Show one event, run or call back with its body.

    Examples:
        difyops webhook show evt_0199bb3a0e40001f3c5d2a77
        difyops webhook show run_5f0c1d2e3b4a5968 -o json
    """
    from difyops.render import webhook as view
    from difyops.webhook import reading

    return view.shown(reading.show(reading.KeptEvent(session.config.state), which))


@command(noun, "replay")
def replay(
    session: Session,
    which: Annotated[list[str], typer.Argument(metavar="ID...", help="Events, messages or runs; or: dead.")],
) -> Outcome:
    """Send events to their destinations, or calls back to their receivers, once more, under their own ids.

    Examples:
        difyops webhook replay evt_0199bb3a0e40001f3c5d2a77 --dry-run
        difyops webhook replay dead --yes
    """
    from difyops.webhook import reading

    kept = reading.KeptEvent(session.config.state)
    ids = list(which)
    if ids == ["dead"]:
        ids = sorted(
            {row.id for row in reading.events(kept, limit=10_000, state="dead")}
            | {row.id for row in reading.messages(kept, limit=10_000, state="dead")}
        )
    for one in ids:
        reading.show(kept, one)
    if session.dry_run:
        return Outcome(kind="webhook.replay", data={"ids": ids}, names=ids, summary=f"would send {len(ids)} again")
    session.confirm(f"Send {len(ids)} again?", changes="Sending again what may have been done already")
    count = kept.replay(ids)
    return Outcome(
        kind="webhook.replay", data={"ids": ids, "deliveries": count}, names=ids, summary=f"{count} will be sent again"
    )


@command(noun, "test")
def try_(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME|URL", help="A source of the rules, or an address to call back.")],
    body: Annotated[Path | None, typer.Option("--body", metavar="FILE", help="What to send (default: a test).")] = None,
) -> Outcome:
    """Send one signed event to a source of the running server, or one signed call to a receiver, and say what it says.

    Exit 5 when it is not taken.

    Examples:
        difyops webhook test orders --body event.json
        difyops webhook test https://hooks.example.com/done
    """
    from difyops.webhook.testing import send_test

    rules = _rules(session)
    content = _content(body)
    if session.dry_run:
        return Outcome(kind="webhook.test", data={"to": name}, summary=f"would send one signed event to {name}")
    said = session.run(send_test(rules, session.config.state, name, content))
    error = None if said.ok else AnswerIsNo(f"{said.to} answered {said.status}.", hint=said.text[:200] or None)
    pairs = [("to", said.to), ("status", said.status), ("answer", said.text)]
    return Outcome(
        kind="webhook.test", data=said, blocks=[Facts(pairs=pairs)], error=error, summary=None if error else "taken"
    )


def _content(body: Path | None) -> bytes | None:
    try:
        return body.read_bytes() if body else None
    except OSError as error:
        raise UsageError(f"--body: {body} cannot be read: {error.strerror}.") from error


def _rules(session: Session) -> WebhookRules:
    from difyops.setting_problems import source_of
    from difyops.webhook.rules import SECTION, rules_of

    section = session.config.sections.get(SECTION)
    if section is None:
        raise UsageError(
            "The configuration has no section webhook.", hint="See docs/webhooks.md for what stands in it."
        )
    session.config.require(SECTION, "say who may send events and where they go")
    return rules_of(section, source_of(session.config.sections, SECTION))


def _read_anew(session: Session) -> WebhookRules:
    """Read the configuration file again; contexts that are open stay as they are."""
    from difyops import config

    looking = config.Looking(file=session.config_file, remembers=False)
    session._config = config.load(store=session.store, looking=looking)
    return _rules(session)


def _checked(rules: WebhookRules, words: str, public_keys: Sequence[str] = ()) -> Outcome:
    from difyops.render import webhook as view

    return view.rules(rules, words, public_keys)


def _detached(session: Session) -> Outcome:
    from difyops.webhook.detached import start

    words = [*(["--config", str(session.config_file.absolute())] if session.config_file else [])]
    words += [word for name in session.contexts for word in ("--context", name)]
    running = start(session.config.state, words)
    pairs: list[tuple[str, object]] = [("listens", running.listen), ("admin", running.admin), ("pid", running.pid)]
    return Outcome(
        kind="webhook.serve", data=running, blocks=[Facts(pairs=pairs)], summary="webhook server started",
        names=[running.listen],
    )  # fmt: skip

"""What one command run needs, built when it is asked for: configuration, connections, stores, the look of the output.

The one home of the event loop: ``run`` drives a coroutine to its end under the whole-command deadline, with Ctrl-C and
SIGTERM turned into one clean cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from difyops import ending
from difyops.cli import question
from difyops.errors import Interrupted, NeedsConfirmation, Refused, StateAway, StoreError, TimedOut, UsageError
from difyops.render.look import Look, look_for
from difyops.render.safe import one_line

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.config import Config
    from difyops.git_store import GitStore
    from difyops.ledger import Ledger
    from difyops.sealing.access import Access
    from difyops.trust import Ask
    from difyops.workspace import Workspace

T = TypeVar("T")
log = logging.getLogger("difyops.cli")


@dataclass(slots=True)
class Session:
    """The common options of one run and what is built from them.

    ``is_lenient``: a context that is written wrongly fails when it is used, and not the whole configuration.
    ``deadline_said``: the deadline as it was given, where ``deadline`` is what is left of it.
    """

    output: str | None = None
    contexts: tuple[str, ...] = ()
    store: Path | None = None
    config_file: Path | None = None
    yes: bool = False
    dry_run: bool = False
    deadline: float | None = None
    deadline_said: float | None = None
    quiet: bool = False
    verbose: int = 0
    log_format: str = "text"
    max_in_flight: int | None = None
    is_lenient: bool = False
    _interrupt: Callable[[], None] | None = field(default=None, repr=False)
    _config: Config | None = field(default=None, repr=False)
    _ledger: Ledger | None = field(default=None, repr=False)

    def look(self, arguments: list[str]) -> Look:
        """Return how output is to look: format, colour, width, talk."""
        return look_for(self.output, arguments, quiet=self.quiet, log_format=self.log_format)

    @property
    def config(self) -> Config:
        """Return the configuration that holds here (read once)."""
        if self._config is None:
            from difyops import config

            looking = config.Looking(
                file=self.config_file,
                ask=self.ask,
                remembers=not self.dry_run,
                is_lenient=self.is_lenient,
            )
            self._config = config.load(store=self.store, looking=looking)
        return self._config

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know about the configuration that was read; nothing where none was."""
        return self._config.warnings if self._config else ()

    @property
    def ask(self) -> Ask | None:
        """Return how a person is asked whether a found file is trusted; ``None`` where nobody is there."""
        there = sys.stdin is not None and sys.stdin.isatty() and sys.stderr is not None and sys.stderr.isatty()
        return self._trusts if there else None

    def _trusts(self, file: str, would: list[str]) -> bool:
        """Show what a found file would do, and ask. ``--yes`` does not count: it was said about something else."""
        self.show_lines([f"{file} came with this folder. It would:", *(f"  - {line}" for line in would)])
        return question.yes_or_no("Do you trust that?")

    def show_lines(self, lines: Sequence[str]) -> None:
        """Show lines on stderr, each free of control characters, and with its context where there are several."""
        from difyops.render.logs import as_json_line, at_context

        about = f"{name}: " if (name := at_context.get()) else ""
        told = [f"{about}{one_line(line)}" for line in lines]
        if self.log_format == "json":
            told = [as_json_line("info", "difyops", line) for line in told]
        sys.stderr.write("".join(f"{line}\n" for line in told))
        sys.stderr.flush()

    @property
    def opened_ledger(self) -> Ledger | None:
        """Return the ledger, if this run used it."""
        return self._ledger

    @property
    def ledger(self) -> Ledger:
        """Return the ledger, in the state folder or shared with other machines (opened once)."""
        if self._ledger is None:
            from difyops.shared_state import open_ledger

            self._ledger = open_ledger(self.config)
        return self._ledger

    @property
    def shared_ledger(self) -> Ledger | None:
        """Return the ledger where several machines share it, ``None`` where it is this machine's own."""
        from difyops.shared_state import place_of

        return self.ledger if place_of(self.config).url else None

    def let_go(self) -> None:
        """Close a shared ledger at the end of a command: a server has only so many connections for everybody."""
        if self._ledger is not None and self._ledger.is_shared:
            self._ledger.close()

    @property
    def has_ledger(self) -> bool:
        """Say whether there is a ledger: what only reads makes none."""
        from difyops.shared_state import has_ledger

        return has_ledger(self.config)

    def one_context(self) -> str | None:
        """Return the only ``-c``, or ``None`` for the current one.

        Raises:
            UsageError: several were given where one makes sense.
        """
        if len(self.contexts) > 1:
            raise UsageError("This command works on one context; -c was given more than once.")
        if self.contexts == ("all",) and "all" not in self.config.contexts:
            known = ", ".join(sorted(self.config.contexts)) or "none is known"
            raise UsageError("This command works on one context, and not on all.", hint=f"-c NAME, one of: {known}.")
        return self.contexts[0] if self.contexts else None

    @contextlib.asynccontextmanager
    async def instance(self, name: str | None = None, *, login_again: bool = False) -> AsyncIterator[Instance]:
        """Open the instance of this run (or of context ``name``) and close it afterwards."""
        from difyops.api.instance import ConnectOptions, connect

        context = self.config.context(name or self.one_context())
        options = ConnectOptions(
            state=self.config.state,
            max_in_flight=self.max_in_flight,
            login_again=login_again,
        )
        opened = await connect(context, options)
        try:
            yield opened
        finally:
            self._remember(opened)
            await opened.close()

    def _remember(self, instance: Instance) -> None:
        """Leave the names of the apps to completion, when they were listed."""
        apps = instance.console.known_apps
        if apps is not None and not self.dry_run:
            from difyops.cli.completion import remember

            named = [(app.name, app.tags) for app in apps]
            remember(self.config.state, instance.name, self.config.contexts, self.config.store, named)

    def workspace(self, instance: Instance, *, store: GitStore | None = None) -> Workspace:
        """Return what a room is handed: the open instance with state folder, ledger, actor and store."""
        from difyops.ledger import this_user
        from difyops.workspace import Workspace

        return Workspace(
            instance=instance,
            state=self.config.state,
            ledger=self.ledger,
            actor=this_user(),
            clock=self.ledger.clock,
            store=store,
            access=self.access,
        )

    @property
    def access(self) -> Access:
        """Return what this machine has for the sealed values of a store.

        Raises:
            Refused: the references stand in a found file that nobody trusted.
        """
        from difyops.sealing.access import access_of

        self.config.require("seal", "read the store key and the identity that it names")
        return access_of(self.config.sections, self.config.state)

    def confirm(self, text: str, *, changes: str, withdrawn: Callable[[], bool] | None = None) -> None:
        """Let the person agree to ``changes``; ``--yes`` agrees beforehand.

        Called in a thread, it looks at ``withdrawn`` meanwhile: a question that nobody needs answered any more ends.

        Raises:
            NeedsConfirmation: there is no terminal and no ``--yes``, or the person said no.
            Interrupted: Ctrl-C, SIGTERM.
        """
        if self.yes:
            return
        if not question.may_be_asked():
            raise NeedsConfirmation(
                f"{changes} needs a yes, and there is no terminal to ask.",
                hint="Add --yes, or --dry-run to look first.",
            )
        if not question.yes_or_no(text, withdrawn):
            raise NeedsConfirmation("Not confirmed; nothing was changed.")

    def answer(self, text: str) -> str:
        """Ask the person at the terminal for a line of text; ``--yes`` answers nothing here.

        Raises:
            Refused: there is no terminal. Interrupted: Ctrl-C, SIGTERM.
        """
        if not question.may_be_asked():
            raise Refused("This is asked of a person, and there is no terminal.", hint="Run it on a terminal.")
        return question.line_typed(one_line(text))

    def audit(self, action: str, subject: str, context: str, *, outcome: str = "done", **facts: object) -> None:
        """Write one line about a change to an instance into the audit log; no secrets."""
        from difyops.ledger import AuditEntry, this_user

        entry = AuditEntry(
            action=action,
            subject=subject,
            context=context,
            actor=this_user(),
            when=self.ledger.clock.now(),
            outcome=outcome,
            data=facts,
        )
        try:
            self.ledger.audit(entry)
        except StoreError as error:
            log.warning("%s (%s) could not be written into the audit log: %s", action, outcome, error.message)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Drive ``work`` to its end.

        Raises:
            TimedOut: the whole-command deadline passed. Interrupted: Ctrl-C or SIGTERM.
        """
        _set_up_logging(self)
        began = datetime.now(UTC)
        with ending.run() as asked:
            try:
                with asyncio.Runner() as runner:
                    return runner.run(self._bounded(work, asked))
            except (Interrupted, TimedOut) as error:
                from difyops.cli.interrupted import with_state

                raise with_state(self, error, began) from error

    def interrupt(self) -> None:
        """Cancel what runs now, as Ctrl-C does; may be called from another thread."""
        if self._interrupt is not None:
            self._interrupt()

    @property
    def _late(self) -> str:
        """Return that the deadline passed, as it was given."""
        said = self.deadline_said or self.deadline
        return f"The deadline of {said:g} s passed." if said else "Timed out."

    async def _bounded(self, work: Coroutine[Any, Any, T], asked: threading.Event) -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        interrupted = False

        def told(*_: object) -> None:
            nonlocal interrupted
            interrupted = True
            asked.set()

        def interrupt() -> None:
            told()
            task.cancel()

        def from_elsewhere() -> None:
            told()
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(interrupt)

        self._interrupt = from_elsewhere
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, interrupt)
                signal.signal(number, told)  # at once, also where the loop itself is kept waiting
        timer = threading.Timer(self.deadline or 0.0, asked.set)
        timer.daemon = True
        if self.deadline:
            timer.start()
        try:
            async with asyncio.timeout(self.deadline):
                return await task
        except TimeoutError:
            raise TimedOut(self._late) from None
        except asyncio.CancelledError:
            if interrupted:
                raise Interrupted("Interrupted.") from None
            raise
        except StateAway as error:
            if asked.is_set():  # it was not waited for any longer
                ended = Interrupted if interrupted else TimedOut
                said = "Interrupted." if interrupted else self._late
                raise ended(f"{said} {error.message}", hint=error.hint) from None
            raise
        finally:
            timer.cancel()


_current = Session()


def current() -> Session:
    """Return the session of the command being run (or a plain one before any option was read)."""
    return _current


def begin(session: Session) -> Session:
    """Make ``session`` the current one."""
    global _current
    _current = session
    return session


def _set_up_logging(session: Session) -> None:
    """Send the ``difyops`` loggers to stderr: warnings, -v info, -vv debug; text or JSON lines."""
    from difyops.render.logs import handler

    logger = logging.getLogger("difyops")
    logger.handlers = [handler(session.log_format)]
    logger.propagate = False
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(session.verbose, 2)]
    logger.setLevel(logging.ERROR if session.quiet else level)
    if os.environ.get("DIFYOPS_DEBUG"):
        logger.setLevel(logging.DEBUG)

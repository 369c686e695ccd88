"""The root command: one table of lazily loaded groups, and the one place where a run ends.

``--help`` and ``--version`` read the table only; a group's module loads when one of its commands is called.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from typer.main import get_command

from difyops import __version__
from difyops.cli.help_text import Noun, close_to, with_meant
from difyops.errors import DifyopsError, Interrupted, NotFound, UsageError
from difyops.outcome import Outcome

GROUPS: dict[str, tuple[str, str]] = {
    "context": ("difyops.cli.context", "Instances and how to reach them."),
    "trust": ("difyops.cli.trust", "Say that a project file, or a runbook, may do what it says."),
    "doctor": ("difyops.cli.doctor", "Can this machine do its job against this instance?"),
    "app": ("difyops.cli.app", "Look at apps, switch their API on and off."),
    "snapshot": ("difyops.cli.snapshot", "Keep workflows in git, see what changed, go back."),
    "validate": ("difyops.cli.validate", "Valid against the schema, or a clear failure."),
    "secret": ("difyops.cli.secret", "Rotate keys, credentials and secret variables."),
    "broadcast": ("difyops.cli.broadcast", "One question, many agents, in the time of the slowest."),
    "eval": ("difyops.cli.evaluation", "Is it as good as it was? Cases from real runs, asked and compared."),
    "runbook": ("difyops.cli.runbook", "Runbooks that run: checks and actions for on-call, cron and CI."),
    "history": ("difyops.cli.history", "Runs and node executions, kept here: complete, polite, sampled."),
    "perf": ("difyops.cli.perf", "What is slow, what changed, what it would bring."),
    "webhook": ("difyops.cli.webhook", "Signed events in, runs that call back, and a watch over runs."),
    "cache": ("difyops.cli.cache", "What repeats exactly, and what a cache would save."),
    "slo": ("difyops.cli.slo", "Goals and error budgets: what burns, since when, after what."),
    "cost": ("difyops.cli.cost", "What it really costs, who spends it, when it runs out."),
    "release": ("difyops.cli.release", "New versions: tried, published, watched, taken back when worse."),
    "drill": ("difyops.cli.drill", "Restore drills: is the way back real?"),
    "changes": ("difyops.cli.changes", "What was changed, what was cut off; finish it or take it back."),
    "incident": ("difyops.cli.incident", "What changed and what fails, side by side; then back, with proof."),
    "trigger": ("difyops.cli.trigger", "What starts workflows by itself, whether it did, and why not."),
    "plugin": ("difyops.cli.plugin", "Plugins: which are old, who uses them, upgrades with a way back."),
    "fleet": ("difyops.cli.fleet", "All instances at one look."),
    "schema": ("difyops.cli.schema", "The JSON Schema of what -o json prints."),
    "help": ("difyops.cli.help", "Pages to read: selectors, output, exit codes, cron, ..."),
    "explain": ("difyops.cli.explain", "What an exit code, or the code of an error, means."),
    "state": ("difyops.cli.state", "Where journals and locks are: here, or shared by several machines."),
    "emulator": ("difyops.cli.emulator", "A small Dify-compatible instance on this machine."),
}


SECTIONS: dict[str, tuple[str, ...]] = {
    "Look": ("doctor", "app", "fleet", "history", "perf", "cost", "cache", "slo", "trigger", "trace"),
    "Keep": ("snapshot", "drill"),
    "Change": ("secret", "release", "plugin", "changes", "incident"),
    "Ask": ("broadcast", "validate", "eval"),
    "Run": ("runbook", "webhook"),
    "Set up": ("context", "trust", "state", "emulator", "schema", "help", "explain"),
}


def _unsorted() -> list[str]:
    sorted_in = {name for names in SECTIONS.values() for name in names}
    return [name for name in GROUPS if name not in sorted_in]


class LazyGroup(Noun):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the nouns in the order of the table."""
        return list(GROUPS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the noun's door."""
        if cmd_name not in GROUPS:
            return None
        return command_of(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the noun; a verb that was typed without its noun is told with it."""
        if args and args[0] not in GROUPS and not ctx.resilient_parsing:
            nouns = [name for name in GROUPS if args[0] in getattr(command_of(name), "commands", {})]
            if nouns:
                whole = " or ".join(f"difyops {name} {args[0]}" for name in nouns[:4])
                ctx.fail(f"No such command {args[0]!r}. Did you mean {whole}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the nouns from the table, without importing them."""
        for title, nouns in (*SECTIONS.items(), ("Commands", _unsorted())):
            if rows := [(name, GROUPS[name][1]) for name in nouns if name in GROUPS]:
                with formatter.section(title):
                    formatter.write_dl(rows)


@functools.cache
def command_of(noun: str) -> Any:
    """Import the door of a noun and return its parser."""
    command = get_command(importlib.import_module(GROUPS[noun][0]).noun)
    command.name = noun
    return command


root = typer.Typer(
    cls=LazyGroup,
    name="difyops",
    help="The operations layer for self-hosted Dify instances.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"difyops {__version__}")
        raise typer.Exit


@root.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Operate self-hosted Dify instances: snapshots, rollback, and more."""


def run(arguments: list[str]) -> int:
    """Run one command line and return the exit code; everything difyops knows to fail ends here."""
    if "_DIFYOPS_COMPLETE" in os.environ:
        return _complete()
    if {"--install-completion", "--show-completion"} & set(arguments):
        _with_first_tab()
    try:
        result = root(args=arguments, prog_name="difyops", standalone_mode=False)
    except DifyopsError as error:
        return _end(_failed(error), arguments)
    except typer.TyperException as error:
        return _end(_failed(_usage(error)), arguments)
    except (KeyboardInterrupt, typer.Abort):
        return _end(_failed(Interrupted("Interrupted.")), arguments)
    except BrokenPipeError:
        return _nobody_reads()
    except Exception as error:  # the last door: a fault of ours, too, ends as one sentence and an envelope
        if os.environ.get("DIFYOPS_DEBUG"):
            sys.excepthook = _tell_whole_story
            raise
        return _end(_failed(fault_of_ours(error)), arguments)
    if isinstance(result, Outcome):
        return _end(result, arguments)
    return result if isinstance(result, int) else 0


def _with_first_tab() -> None:
    """Let the script for zsh complete at its first call: Typer's only defines what the second one finds."""
    from difyops.cli.quick_completion import ZSH

    scripts = getattr(importlib.import_module("typer._completion_shared"), "_completion_scripts", {})
    if "zsh" in scripts:
        scripts["zsh"] = ZSH


def commands() -> tuple[Any, dict[str, tuple[Any, str]]]:
    """Return the parser of all commands, and that of each noun with its help; loads every door."""
    return get_command(root), {name: (command_of(name), text) for name, (_, text) in GROUPS.items()}


def _complete() -> int:
    """Let the parser answer a Tab, and have the next ones answered without it."""
    # Typer loads Rich to take markup out of help texts; ours have none, and pressing Tab should not cost that
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        result = root(args=[], prog_name="difyops", standalone_mode=False)
    finally:
        from difyops.cli.completion_tree import write_in_background

        sys.stdout.flush()
        write_in_background(commands)
    return result if isinstance(result, int) else 0


def _failed(error: DifyopsError) -> Outcome:
    if isinstance(error, UsageError | NotFound):
        error.hint = with_meant(error.message, error.hint)
    return Outcome(kind="error", data=None, error=error)


def _end(outcome: Outcome, arguments: list[str]) -> int:
    from difyops.cli.session import current
    from difyops.render import show

    current().let_go()
    if said := current().warnings:
        outcome = replace(outcome, warnings=(*said, *outcome.warnings))
    try:
        show(outcome, current().look(arguments))
    except BrokenPipeError:
        return _nobody_reads()
    except OSError as error:  # standard output is a file on a full disk
        _close_quietly()
        sys.stderr.write(f"error: the output cannot be written: {error.strerror}\n")
        return 1
    return outcome.exit_code


def _nobody_reads() -> int:
    """End after ``| head``: nothing more can be said, and Python must not complain about it when it closes."""
    _close_quietly(sys.stderr.fileno())
    return 1


def _close_quietly(*more: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (sys.stdout.fileno(), *more):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _tell_whole_story(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    """Write the traceback; what was raised may quote a secret, and Python would print it as it is."""
    from difyops.secret_text import scrub

    sys.stderr.write(scrub("".join(traceback.format_exception(kind, error, place))))


def fault_of_ours(error: Exception) -> DifyopsError:
    """Return what is told where difyops itself is wrong."""
    from difyops.secret_text import scrub

    place = traceback.extract_tb(error.__traceback__)[-1]
    said = scrub(f"{type(error).__name__}: {error}")[:200]
    return DifyopsError(
        f"This is a fault of difyops, not yours: {said} ({Path(place.filename).name}:{place.lineno}).",
        hint="Run it again with DIFYOPS_DEBUG=1 for the whole story, and report that.",
    )


def _usage(error: typer.TyperException) -> UsageError:
    """Turn what the parser complains about into our usage error, with the command to ask for help."""
    shown = getattr(error, "format_message", None)
    text = shown() if callable(shown) else str(error)
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "difyops")
    if type(error).__name__ == "NoSuchOption":
        known = [name for item in context.command.get_params(context) for name in item.opts] if context else []
        name: str = error.option_name  # type: ignore[attr-defined]
        text = f"There is no option {name}.{close_to(name, known)}"
        if context is not None and hasattr(context.command, "list_commands") and not close_to(name, known):
            text = f"There is no option {name} here: options stand behind the command."
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(text)
        raise SystemExit(2)
    return UsageError(text.strip() or "The command line cannot be read.", hint=f"{path} --help")

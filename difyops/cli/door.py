"""What every command shares: the common options, and the way a function becomes a command.

``@command(group, ...)`` takes a function whose first parameter is the ``Session`` and adds the common options to its
signature, so that ``-o``, ``-c``, ``--store``, ``--yes``, ``--dry-run``, ``--deadline``, ``-q`` and ``-v`` read the
same after every verb and no door repeats them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from difyops.cli.completion import completer_for
from difyops.cli.help_text import Command, Noun, parts_of
from difyops.cli.session import Session, begin
from difyops.dry_run import dry_run
from difyops.errors import Refused, UsageError
from difyops.outcome import Outcome
from difyops.setting_problems import BadSetting
from difyops.setting_values import duration

_LONGEST = 1_000 * 365.0 * 86_400
FORMATS = ("table", "json", "yaml", "ndjson", "markdown", "name")


def seconds(text: str, *, zero: bool = False) -> float:
    """Read ``90``, ``90s``, ``10m``, ``2h``, ``7d`` or ``500ms`` as seconds.

    Raises:
        UsageError: it is none of these, or not above zero (``zero``: nor zero).
    """
    try:
        found = duration(text, zero=zero)
    except BadSetting:
        raise UsageError(f"{text!r} is not a duration.", hint="Examples: 90s, 10m, 2h, 7d.") from None
    if found > _LONGEST:  # no calendar goes so far back
        raise UsageError(f"{text!r} is longer than 1,000 years.", hint="Examples: 90s, 10m, 2h, 7d.")
    return found


def _format(text: str | None, more: tuple[str, ...] = ()) -> str | None:
    if text is not None and text not in (*FORMATS, *more):
        raise UsageError(f"{text!r} is not an output format here.", hint=f"One of: {', '.join((*FORMATS, *more))}.")
    return text


_COMMON: tuple[tuple[str, Any, Any], ...] = (
    ("output", Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help=", ".join(FORMATS))], None),
    (
        "contexts",
        Annotated[
            list[str] | None,
            typer.Option("-c", "--context", metavar="CONTEXT", help="Which instance, by its name."),
        ],
        None,
    ),
    (
        "config_file",
        Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Configuration (DIFYOPS_CONFIG).")],
        None,
    ),
    (
        "store",
        Annotated[Path | None, typer.Option("--store", metavar="FOLDER", help="The snapshot store (DIFYOPS_STORE).")],
        None,
    ),
    ("yes", Annotated[bool, typer.Option("-y", "--yes", help="Agree beforehand to the changes.")], False),
    ("dry_run", Annotated[bool, typer.Option("--dry-run", help="Show what would be done, change nothing.")], False),
    (
        "deadline",
        Annotated[
            str | None, typer.Option("--deadline", metavar="TIME", help="End the whole command after 90s, 10m, ...")
        ],
        None,
    ),
    (
        "quiet",
        Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing on success but what -o asks for.")],
        False,
    ),
    (
        "verbose",
        Annotated[
            int,
            typer.Option(
                "-v", "--verbose", count=True, show_default=False, help="Tell every call and its time (-vv: more)."
            ),
        ],
        0,
    ),
    (
        "log_format",
        Annotated[str, typer.Option("--log-format", metavar="text|json", help="How the talk on stderr is written.")],
        "text",
    ),
)

_SEVERAL = typer.Option("-c", "--context", metavar="CONTEXT|all", help="Which instance; several, or all of them.")
_SHARD = typer.Option("--shard", metavar="I/N", help="Of the contexts of -c the I-th of N parts, from 0.")
_FLEET: tuple[tuple[str, Any, Any], ...] = (
    *(("contexts", Annotated[list[str] | None, _SEVERAL], None) if item[0] == "contexts" else item for item in _COMMON),
    ("shard", Annotated[str | None, _SHARD], None),
)


def _complete(annotation: Any, formats: tuple[str, ...] = ()) -> None:
    """Let Tab complete a parameter by the word that stands for it in the help."""
    for info in getattr(annotation, "__metadata__", ()):
        if getattr(info, "autocompletion", None) is None and hasattr(info, "autocompletion"):
            info.autocompletion = completer_for(info.metavar, (*FORMATS, *formats))


for _, _annotation, _ in (*_COMMON, *_FLEET):
    _complete(_annotation)


def group(text: str) -> typer.Typer:
    """Return an empty noun with this help text."""
    return typer.Typer(
        cls=Noun,
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def command(
    noun: typer.Typer,
    name: str | None = None,
    *,
    formats: tuple[str, ...] = (),
    no_dry_run: str = "",
    fleet: bool = False,
    all_by_default: bool = False,
    needs: str | None = None,
) -> Callable[[Callable[..., Outcome]], Callable[..., Outcome]]:
    """Register a function as a command of ``noun``; see the module's text. ``formats`` are its own, besides ours.

    ``no_dry_run``: why ``--dry-run`` has no meaning here; it is refused with that sentence before anything is done.
    ``fleet``: it takes ``-c`` several times, ``-c all`` and ``--shard``, and runs once per context, side by side;
    ``needs`` names the option without which that makes no sense; ``all_by_default``: it is for all where no ``-c`` is.
    """
    options = _FLEET if fleet else _COMMON

    def register(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
        hints = get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]

        @functools.wraps(function)
        def door(**values: Any) -> Outcome:
            common = {key: values.pop(key) for key, _, _ in options}
            if all_by_default and not common["contexts"]:
                common["contexts"] = ["all"]
            session, shard = _session(common, formats), common.get("shard")
            if session.dry_run and no_dry_run:
                raise Refused(f"--dry-run is refused here: {no_dry_run}", hint="Leave out --dry-run to do it.")
            with dry_run(session.dry_run):
                if fleet and (shard is not None or len(session.contexts) > 1 or "all" in session.contexts):
                    return _everywhere(session, shard, function, values, needs, tells=all_by_default)
                return function(session, **values)

        for item in own:
            _complete(hints[item.name], formats)
        added = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for key, kind, default in options
        ]
        mine = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[item.name]) for item in own]
        door.__signature__ = inspect.Signature([*mine, *added])  # type: ignore[attr-defined]
        door.__annotations__ = {item.name: item.annotation for item in (*mine, *added)} | {"return": Outcome}
        del door.__wrapped__
        said, examples = parts_of(inspect.getdoc(function))
        door.__doc__ = said
        noun.command(name, cls=Command, epilog="\n".join(examples) or None)(door)
        return function

    return register


def _everywhere(
    session: Session,
    shard: str | None,
    function: Callable[..., Outcome],
    values: dict[str, Any],
    needs: str | None,
    *,
    tells: bool,
) -> Outcome:
    """Run a command once per context. A report goes to one file a context: ``--as FORMAT=FILE`` with ``{context}``."""
    from difyops.cli.apart import load_what_runs
    from difyops.cli.everywhere import everywhere

    if needs is not None and not values.get(needs):
        raise UsageError(f"Several contexts make sense with --{needs} only.")
    reports = {key: values[key] for key in ("as_", "formats") if values.get(key)}
    bare = next((item for items in reports.values() for item in items if "{context}" not in item), None)
    if bare is not None:
        raise UsageError(
            f"--as {bare}: each of several contexts needs a file of its own.", hint="--as junit=report-{context}.xml"
        )

    def one(own: Session) -> Outcome:
        named = {key: [item.replace("{context}", own.contexts[0]) for item in items] for key, items in reports.items()}
        return function(own, **{**values, **named})

    load_what_runs(function)
    return everywhere(session, shard, one, tells=tells)


def _session(common: dict[str, Any], formats: tuple[str, ...]) -> Session:
    deadline = common["deadline"]
    session = begin(
        Session(
            output=_format(common["output"], formats),
            contexts=tuple(common["contexts"] or ()),
            store=common["store"],
            config_file=common["config_file"],
            yes=common["yes"],
            dry_run=common["dry_run"],
            quiet=common["quiet"],
            verbose=common["verbose"],
            log_format=common["log_format"],
        )
    )
    if common["log_format"] not in ("text", "json"):
        raise UsageError(f"{common['log_format']!r} is not a log format.", hint="One of: text, json.")
    session.deadline = seconds(deadline) if deadline else None
    return session

"""The options of ``difyops secret rotate``: how each is called and what its help says."""

from __future__ import annotations

from typing import Annotated

import typer

Kind = Annotated[
    str, typer.Argument(metavar="KIND", help="app-key, dataset-key, env, provider, tool, model, webhook-secret.")
]
Target = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TARGET]...", help="APP; nothing; APP NAME; PROVIDER; PROVIDER; PROVIDER MODEL."),
]
ValueFrom = Annotated[
    str | None,
    typer.Option("--value-from", metavar="REF", help="The new value: keyring:, env:, file:, cmd: or - (stdin)."),
]
Field = Annotated[str | None, typer.Option("--field", help="Which field of a credential.")]
Also = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="FIELD=REF", help="Another secret of the same credential (repeatable)."),
]
Credential = Annotated[
    str | None, typer.Option("--credential", metavar="NAME|ID", help="Which credential or key is replaced.")
]
Probe = Annotated[list[str] | None, typer.Option("--probe", metavar="APP", help="Health check (repeatable).")]
NoProbe = Annotated[bool, typer.Option("--no-probe", help="Run no app as a health check.")]
Deliver = Annotated[
    list[str] | None,
    typer.Option("--deliver", metavar="REF", help="Where callers read the value: keyring:, file:, cmd: (stdin)."),
]
ByHand = Annotated[
    bool, typer.Option("--by-hand", help="Nobody is handed a new key: I bring it to its callers myself.")
]
Grace = Annotated[
    str | None, typer.Option("--grace", metavar="TIME", help="How long both stay usable (10m by default).")
]
Failures = Annotated[
    int | None, typer.Option("--failures", min=1, help="So many failed checks in a row turn back (2 by default).")
]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait; secret resume --due finishes it.")]
Force = Annotated[bool, typer.Option("--force", help="Retire the old secret though it seems in use.")]
Leaked = Annotated[
    bool,
    typer.Option("--leaked", help="It leaked: no grace period, no checks but --probe, retired though in use."),
]

"""The options of ``difyops validate``: how each is called and what its help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AnswerFile = Annotated[str | None, typer.Argument(metavar="[FILE|-]", help="The answer; - or nothing reads stdin.")]
SchemaFile = Annotated[Path | None, typer.Option("--schema", metavar="FILE", help="JSON Schema, JSON or YAML.")]
Ndjson = Annotated[bool, typer.Option("--ndjson", help="A batch: one answer a line, one verdict a line.")]
IsResult = Annotated[bool, typer.Option("--result", help="FILE is the JSON of a run: answer or outputs.")]
OutputName = Annotated[str | None, typer.Option("--field", metavar="NAME", help="The workflow output to judge.")]
NoRepair = Annotated[bool, typer.Option("--no-repair", help="Find the JSON, but do not mend it.")]
Coerce = Annotated[bool, typer.Option("--coerce", help='Let "7" be 7, "yes" true, where the schema says.')]
MaxEdits = Annotated[int | None, typer.Option("--max-edits", min=0, help="More changes are refused.")]
Pick = Annotated[str | None, typer.Option("--pick", metavar="first|last", help="When several values fit.")]
Invented = Annotated[str, typer.Option("--invented", metavar="never|optional|always", help="May cut-off values stand?")]
Duplicates = Annotated[
    str, typer.Option("--duplicates", metavar="refuse|first|last", help="A key that an object names twice.")
]
Nan = Annotated[str, typer.Option("--nan", metavar="refuse|null", help="NaN and Infinity.")]
MinFirstPass = Annotated[
    float | None, typer.Option("--min-first-pass", min=0.0, max=1.0, help="With --ndjson: the least rate, else 5.")
]
As = Annotated[list[str] | None, typer.Option("--as", metavar="FORMAT[=FILE]", help="junit, sarif or nagios.")]
AppToAsk = Annotated[str | None, typer.Option("--app", metavar="APP", help="Ask this app instead of reading.")]
Query = Annotated[str, typer.Option("--query", metavar="TEXT", help="What to ask it.")]
AppInputs = Annotated[list[str] | None, typer.Option("--input", metavar="K=V|@FILE", help="Inputs of the app.")]
QuestionAs = Annotated[
    str | None, typer.Option("--question-as", metavar="NAME", help="The input that takes the question.")
]
Reask = Annotated[int, typer.Option("--reask", min=0, max=20, help="Ask again so often, with what was wrong.")]
TokenBudget = Annotated[int | None, typer.Option("--token-budget", min=1, help="For all calls together.")]
Fallback = Annotated[
    str | None, typer.Option("--fallback", metavar="JSON|@FILE", help="The value when nothing stands.")
]
FallbackApp = Annotated[
    str | None, typer.Option("--fallback-app", metavar="APP", help="Whom to ask when nothing stands.")
]

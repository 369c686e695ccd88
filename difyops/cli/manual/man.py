"""Manual pages as roff (man macros): difyops(1), and one for each noun, difyops-snapshot(1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from difyops import __version__
from difyops.cli.explain import EXIT_CODES
from difyops.cli.manual.page import Chapter, Page, Record, chapters

FILES = (
    ("~/.config/difyops/config.yaml", "Contexts and settings of the user; DIFYOPS_CONFIG names another file."),
    ("difyops.yaml", "The same for a project, in its folder or above; data until it is trusted."),
    ("~/.local/state/difyops", "Journals, ledger, history, logins; DIFYOPS_STATE names another folder."),
    ("~/.local/share/difyops", "The git repository of snapshots; DIFYOPS_STORE names another."),
)
NOTHING = "\\&"  # an empty line would be a paragraph
ENVIRONMENT = (
    ("DIFY_BASE_URL, DIFY_EMAIL, DIFY_PASSWORD", "An instance, where no configuration names one."),
    ("DIFYOPS_CONFIG, DIFYOPS_CONTEXT, DIFYOPS_STATE, DIFYOPS_STORE", "As the options and files of the same name."),
    ("NO_COLOR, COLUMNS", "No colour; the width of tables."),
)


def manual_pages() -> dict[str, str]:
    """Return every manual page by the name of its file."""
    every = list(chapters())
    shared = next(page.everywhere for chapter in every for page in chapter.pages)
    found = {"difyops.1": overview(every, shared)}
    return found | {f"difyops-{chapter.noun}.1": of_noun(chapter, shared) for chapter in every}


def overview(every: Iterable[Chapter], shared: Iterable[Record]) -> str:
    """Return difyops(1): the nouns, what is the same for all of them, exit codes, files."""
    every = list(every)
    parts = [
        _head("difyops", "the operations layer for self-hosted Dify instances"),
        ".SH SYNOPSIS\n.B difyops\n.I command\n.RI [ options ]",
        ".SH DESCRIPTION\n" + text("Each command has a manual page of its own, and help: difyops COMMAND --help."),
        ".SH COMMANDS",
        *(_item(rf"\fBdifyops\-{text(chapter.noun)}\fR(1)", chapter.about) for chapter in every),
        _options("OPTIONS OF EVERY COMMAND", shared),
        *_ends(),
        _definitions("ENVIRONMENT", ENVIRONMENT),
        _definitions("FILES", FILES),
        _see(f"difyops-{chapter.noun}" for chapter in every),
    ]
    return "\n".join(parts) + "\n"


def of_noun(chapter: Chapter, shared: Iterable[Record]) -> str:
    """Return the page of a noun: each command with arguments, options and examples."""
    parts = [_head(f"difyops-{chapter.noun}", re.sub(r"(?<!\.)\.$", "", chapter.about)), ".SH SYNOPSIS"]
    parts += [f".B {text(page.usage)}\n.br" for page in chapter.pages]
    parts += [".SH DESCRIPTION", text(chapter.about)]
    for page in chapter.pages:
        parts += _command(page)
    parts += [_options("OPTIONS OF EVERY COMMAND", shared), *_ends(), _see(["difyops"])]
    return "\n".join(parts) + "\n"


def _command(page: Page) -> Iterator[str]:
    yield f'.SH "{text(page.name.upper())}"'
    yield "\n.PP\n".join(text(part) for part in (page.sentence, *page.paragraphs))
    for name, said in (*page.arguments, *page.options):
        yield _item(rf"\fB{text(name)}\fR", said)
    if page.examples:
        yield ".PP\nExamples:\n.PP\n.RS 4\n.nf"
        yield from map(text, page.examples)
        yield ".fi\n.RE"


def text(said: str) -> str:
    """Return plain text as roff shows it: no line of it is a request, no dash a hyphen, no backslash an escape."""
    said = re.sub(r"``?([^`]+)``?", r"\1", said).replace("\\", "\\e").replace("-", "\\-")
    said = said.replace("~", "\\(ti").replace("^", "\\(ha").replace('"', "\\(dq").replace("'", "\\(aq")
    said = re.sub(r"[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", said)
    return re.sub(r"^\.", r"\\&.", said, flags=re.MULTILINE)


def _head(name: str, about: str) -> str:
    about = about[0].lower() + about[1:] if not about[:2].isupper() else about
    return f'.TH "{name.upper()}" 1 "" "difyops {__version__}" "difyops"\n.SH NAME\n{text(name)} \\- {text(about)}'


def _item(name: str, said: str) -> str:
    return f".TP\n{name}\n{text(said) or NOTHING}"


def _options(title: str, records: Iterable[Record]) -> str:
    return "\n".join([f'.SH "{title}"', *(_item(rf"\fB{text(name)}\fR", said) for name, said in records)])


def _definitions(title: str, records: Iterable[Record]) -> str:
    return "\n".join([f".SH {title}", *(_item(text(name), said) for name, said in records)])


def _ends(codes: Mapping[int, tuple[str, str]] = EXIT_CODES) -> Iterator[str]:
    yield '.SH "EXIT STATUS"'
    for number, (_, meaning) in codes.items():
        yield _item(rf"\fB{number}\fR", meaning)


def _see(names: Iterable[str]) -> str:
    listed = ",\n".join(rf".BR {text(name)} (1)" for name in names)
    return f'.SH "SEE ALSO"\n{listed.replace(chr(44) + chr(10), " ," + chr(10))}'

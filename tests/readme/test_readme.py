"""Every command that the README and the pages of docs/ show is run, in its order; exit codes are the ones they state.

Each page has a world of its own: the emulator to play in. ``<!-- test: break APP -->`` and the like say what happens
beside difyops. Pages that need another world (releases, webhooks, ...) have tests of their own.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.emulator.dsl_text import export
from tests.conftest import Cli

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *(f"docs/{name}.md" for name in ("connecting", "installing", "snapshots", "secrets", "broadcast",
         "validate", "runbooks", "cost")))  # fmt: skip
FILES = {
    "order.schema.json": '{"type": "object", "properties": {"order": {"type": "string"}, "total": {"type": "number"}},'
    ' "required": ["order", "total"]}',
    "none.json": '{"order": "none", "total": 0}',
    "answer.txt": 'Here it is:\n```json\n{"order": "A-17", "total": 12.5,}\n```\n',
    "smoke.yaml": "support-triage: {inputs: {query: hello}}\n",
    "answers.ndjson": '{"id": 1, "answer": "{\\"order\\": \\"A\\", \\"total\\": 1}"}\n',
}
BESIDE = {
    "snapshot": "difyops snapshot create -q", "snapshot v1": "difyops snapshot create --tag v1 -q",
    "history": "difyops history sync --max-calls 200 -q",
    "second staging": "difyops context add staging --url URL --email EMAIL --password env:DIFY_PASSWORD",
}  # fmt: skip


def steps(page: str) -> Iterator[tuple[str, str]]:
    """Yield ``("test", directive)``, ``("configure", YAML)`` and ``("run", command line)`` in the page's order."""
    pattern = r"<!-- test: configure -->\n```yaml\n(.*?)```|<!-- test: (.*?) -->|```console\n(.*?)```"
    for match in re.finditer(pattern, (ROOT / page).read_text(), re.DOTALL):
        if match[1]:
            yield "configure", match[1]
        if match[2]:
            yield "test", match[2]
        for line in (match[3] or "").splitlines():
            if line.startswith("$ "):
                yield "run", line[2:]


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """A folder with what the reader has: the command on the PATH, a password, a remote, a token."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "difyops"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m difyops "$@"\n')
    command.chmod(0o755)
    for name, text in (("token.txt", "a-made-up-token"), ("new-token.txt", "another-made-up-token")):
        (tmp_path / name).write_text(f"{text}\n")
        (tmp_path / name).chmod(0o600)
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "backup.git")], check=True)
    return {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "DIFY_PASSWORD": "Passw0rd!1"}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page(page: str, place: dict[str, str], cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = Shell(place, cli, monkeypatch)
    emulator = Emulator(playful=True, speed=1000.0)
    with emulator.listening() as url:
        if page == "README.md":
            url = f"http://127.0.0.1:{free_port()}"  # it starts one of its own
        elif page != "docs/connecting.md":
            words = f"difyops context add prod --url {url} --email {emulator.email} --password env:DIFY_PASSWORD"
            assert typed(words)[0] == 0
        try:
            ran = [carried_out(kind, text, typed, emulator, url) for kind, text in steps(page)]
        finally:
            if page == "README.md":
                typed("difyops emulator stop")
    assert sum(ran) >= 4


def carried_out(kind: str, text: str, typed: Shell, emulator: Emulator, url: str) -> bool:
    """Do one step of a page; say whether it was a command."""
    if (kind, text) == ("test", "files"):
        for name, content in FILES.items():
            Path(name).write_text(content)
        return False
    if kind == "test" and text in BESIDE:
        kind, text = "run", BESIDE[text].replace("URL", url).replace("EMAIL", emulator.email)
    if kind == "test" and text.startswith("export "):
        app = emulator.app_named(text.split()[1])
        Path(f"{app.name}.yml").write_text(json.loads(export(emulator.instance, app, app.live, secrets=False))["data"])
        return False
    if kind == "test":
        emulator.play(*text.split())
        return False
    if kind == "configure":
        with Path("difyops.yaml").open("a") as file:
            file.write(text)
        return False
    if "snapshot push backup" in text:
        subprocess.run(["git", "-C", "snapshots", "remote", "add", "backup", "../backup.git"], check=False)
    line = text.replace("https://dify.example.com", url).replace("ops@example.com", emulator.email)
    line = line.replace("--port 5907", f"--port {url.rpartition(':')[2]}")
    code, said = typed(line)
    if "emulator start --play" in text:
        typed.place |= {"DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email}
    if "context add" in text:
        typed.place.pop("DIFY_BASE_URL", None)
    expected = re.search(r"# exit (\d+)", text)
    allowed = {int(expected[1])} if expected else {0, 5} if "5 fails the job" in text else {0}
    assert code in allowed, f"{text}\n{said}"
    return True


@dataclass
class Shell:
    """Runs a line as a shell does; one that is nothing but a command of difyops needs neither it nor a process."""

    place: dict[str, str]
    cli: Cli
    patch: pytest.MonkeyPatch

    def __call__(self, line: str) -> tuple[int, str]:
        command = re.sub(r"\s#.*", "", line)
        if command.startswith("difyops ") and not re.search(r"[|&;<>$`*?~(){}\\!]|emulator start", _unquoted(command)):
            with self.patch.context() as patch:
                for name, value in self.place.items():
                    patch.setenv(name, value)
                ran = self.cli(*shlex.split(command)[1:])
            return ran.code, ran.out + ran.err
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, env=self.place, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr


def _unquoted(line: str) -> str:
    """Return a line without what single quotes keep from the shell."""
    return re.sub(r"'[^']*'", "", line)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


def test_make_targets_named_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make ([a-z -]+?)(?:\s+#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE))
    for target in {word for line in named for word in line.split()}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_to_files_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), (page.name, target)


def test_the_python_page_runs(cli: object, connected: str, emulator: Emulator) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    for block in blocks:
        exec(compile(block.replace('"tag:prod"', '"mode:workflow"'), "python.md", "exec"), {"__name__": "page"})
    assert len(blocks) == 2

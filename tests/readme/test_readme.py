"""Every command that the README shows is run, in its order, against the emulator; exit codes are the ones it states.

``<!-- test: break APP -->`` and ``<!-- test: delete APP -->`` in the README say what happens beside difyops.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.processes import run
from tests.snapshot.colleague import Colleague, break_prompt

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FILES = {
    "order.schema.json": '{"type": "object", "properties": {"order": {"type": "string"}, "total": {"type": "number"}},'
    ' "required": ["order", "total"]}',
    "none.json": '{"order": "none", "total": 0}',
    "answer.txt": 'Here it is:\n```json\n{"order": "A-17", "total": 12.5,}\n```\n',
    "answers.ndjson": '{"id": 1, "answer": "{\\"order\\": \\"A\\", \\"total\\": 1}"}\n',
}
RENAMED = {"wf-llm": "support-triage", "chat-basic": "support-chat"}


def steps() -> Iterator[tuple[str, str]]:
    """Yield ``("test", directive)``, ``("configure", YAML)`` and ``("run", command line)`` in the README's order."""
    pattern = r"<!-- test: configure -->\n```yaml\n(.*?)```|<!-- test: (.*?) -->|```console\n(.*?)```"
    for match in re.finditer(pattern, README, re.DOTALL):
        if match[1]:
            yield "configure", match[1]
        if match[2]:
            yield "test", match[2]
        for line in (match[3] or "").splitlines():
            if line.startswith("$ "):
                yield "run", line[2:]


@pytest.fixture
def place(tmp_path: Path, emulator: Emulator, url: str) -> dict[str, str]:
    """A folder with what the README's reader has: the command on the PATH, a password, a remote, a token."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "difyops"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m difyops "$@"\n')
    command.chmod(0o755)
    for name, text in (("token.txt", "a-made-up-token"), ("new-token.txt", "another-made-up-token")):
        (tmp_path / name).write_text(f"{text}\n")
        (tmp_path / name).chmod(0o600)
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "backup.git")], check=True)
    return {
        **os.environ,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "DIFY_PASSWORD": emulator.password,
    }


@pytest.mark.timeout(240)
def test_every_command_of_the_readme(place: dict[str, str], tmp_path: Path, emulator: Emulator, url: str) -> None:
    colleague = Colleague(url, str(emulator.admin_key), emulator.workspace_id)
    for old, new in RENAMED.items():
        colleague.call("POST", f"/apps/{colleague.app_id(old)}/name", {"name": new})
    tag = colleague.call("POST", "/tags", {"name": "prod", "type": "app"})["id"]
    body = {"tag_ids": [tag], "target_id": colleague.app_id("wf-echo"), "type": "app"}
    colleague.call("POST", "/tag-bindings/create", body)
    ran = 0
    for kind, text in steps():
        if (kind, text) == ("test", "files"):
            for name, content in FILES.items():
                Path(name).write_text(content)
            continue
        if (kind, text) == ("test", "snapshot"):
            kind, text = "run", "difyops snapshot create -q"
        if kind == "test":
            happen(colleague, text)
            continue
        if kind == "configure":
            with Path("difyops.yaml").open("a") as file:
                file.write(text)
            continue
        if "snapshot push backup" in text and ran < 30:
            subprocess.run(["git", "-C", "snapshots", "remote", "add", "backup", "../backup.git"], check=False)
        expected = int(found[1]) if (found := re.search(r"# exit (\d+)", text)) else None
        line = text.replace("https://dify.example.com", url).replace("ops@example.com", emulator.email)
        done = typed(line, place)
        allowed = {expected} if expected is not None else {0, 5} if "5 fails the job" in text else {0}
        assert done.returncode in allowed, f"{text}\n{done.stdout}\n{done.stderr}"
        ran += 1
    assert ran > 25


def typed(line: str, place: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell does; one that is nothing but a command of difyops needs no shell."""
    command = re.sub(r"\s#.*", "", line)
    if command.startswith("difyops ") and not re.search(r"[|&;<>$`*?~(){}\\!]", command):
        words = [sys.executable, "-m", "difyops", *shlex.split(command)[1:]]
        return run(words, capture_output=True, text=True, env=place)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=place, timeout=60, check=False)


def happen(colleague: Colleague, directive: str) -> None:
    """Do what a directive says, beside difyops."""
    verb, name = directive.split()
    app = colleague.app_id(name)
    if verb == "break":
        colleague.edit(app, break_prompt)
        colleague.publish(app)
    elif verb == "delete":
        colleague.call("DELETE", f"/apps/{app}")
    else:
        raise AssertionError(directive)


def test_make_targets_named_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make ([a-z -]+?)(?:\s+#.*)?$", README, re.MULTILINE))
    for target in {word for line in named for word in line.split()}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

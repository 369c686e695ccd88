"""The ``run:`` steps of workflows and actions, carried out by bash as a runner of GitHub's does; no ``uses:`` is."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from difyops.secret_text import SecretText
from difyops.webhook.rules import EventSource
from difyops.webhook.testing import signed

ROOT = Path(__file__).parents[2]
# As documented for ``shell: bash`` and for no shell at all.
BASH = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"], "": ["bash", "-e"]}


def document(place: str) -> dict[Any, Any]:
    """Return a YAML file of the repository."""
    found = yaml.safe_load((ROOT / place).read_text())
    assert isinstance(found, dict)
    return found


def answer_to_an_event(state: Path, secret: str) -> int:
    """Send a signed event to the webhook server of a state folder; return the status of its answer."""
    body = b'{"type": "order.paid"}'
    source = EventSource(name="orders", scheme="standard", secrets=("env:ORDERS",), to=("log",))
    headers = dict(signed(source, SecretText(secret), body))
    place = json.loads((state / "webhook.json").read_text())["listen"]
    return httpx.post(f"{place}/in/orders", content=body, headers=headers, timeout=90).status_code


@dataclass
class Job:
    """One job on one runner: its folder, what expressions can name, what its steps handed on."""

    folder: Path
    names: dict[str, str]
    environment: dict[str, str]
    failed: bool = False
    log: str = ""
    ran: list[str] = field(default_factory=list)

    def step(self, step: dict[str, Any]) -> subprocess.CompletedProcess[str] | None:
        """Carry out one step, as far as it is one to run; its outputs can be named by the next."""
        if "run" not in step or (self.failed and "cancelled()" not in str(step.get("if", ""))):
            return None
        runner = self.folder / "runner"
        runner.mkdir(exist_ok=True)
        files = {name: runner / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
        files["GITHUB_OUTPUT"].write_text("")
        script = runner / "step.sh"
        script.write_text(self.filled(step["run"]))
        given = {name: self.filled(str(value)) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            [*BASH[step.get("shell", "")], str(script)],
            cwd=self.folder, capture_output=True, text=True, check=False,
            env={**self.environment, "RUNNER_TEMP": str(runner), **{k: str(v) for k, v in files.items()}, **given},
        )  # fmt: skip
        self.ran.append(step["run"])
        self.log += done.stdout + done.stderr
        self.failed |= done.returncode != 0
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, _, value = line.partition("=")
            self.names[f"steps.{step.get('id', '')}.outputs.{name}"] = value
        return done

    def filled(self, text: str) -> str:
        """Put values in the place of ``${{ ... }}``; one that nothing gives is an error of the test."""
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: self.names[found[1]], text)

    @property
    def summary(self) -> str:
        """Return the summary of the job."""
        place = self.folder / "runner" / "github_step_summary"
        return place.read_text() if place.exists() else ""


def programs(folder: Path, difyops: Path, **scripts: str) -> str:
    """Return a PATH with ``difyops`` and other programs in front, each a line of ``sh``."""
    folder.mkdir(exist_ok=True)
    (folder / "difyops").symlink_to(difyops)
    for name, line in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"

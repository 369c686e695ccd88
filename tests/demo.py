"""``make demo``: the main job against the built-in emulator, in under a minute, on one screen.

Everything shown is real: the commands are run as typed, and the "bad publish" is made with plain HTTP calls beside
difyops, the way a colleague at the web page would make it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from difyops.emulator import Emulator  # noqa: E402
from tests.snapshot.colleague import Colleague, break_prompt, set_secret  # noqa: E402

STORE = ROOT / "snapshots" / "demo"


def main(store: Path = STORE) -> int:
    """Run the demo and return 0 when the proof holds."""
    shutil.rmtree(store, ignore_errors=True)
    emulator = Emulator(apps=20, speed=1000.0)
    with emulator.listening() as url, tempfile.TemporaryDirectory() as state:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DIFY", "XDG_"))},
            "DIFY_BASE_URL": url,
            "DIFY_EMAIL": emulator.email,
            "DIFY_PASSWORD": emulator.password,
            "DIFYOPS_STORE": str(store),
            "DIFYOPS_STATE": state,
            "PYTHONPATH": str(ROOT),
        }
        colleague = Colleague(url, str(emulator.admin_key), emulator.workspace_id)
        return story(colleague, environment, store)


def story(colleague: Colleague, environment: dict[str, str], store: Path) -> int:
    """Tell it, step by step."""
    app = colleague.app_id("wf-llm")

    def answer() -> str:
        return str(colleague.run(app, {"query": "hello"}).get("result", "(nothing)"))

    say("An instance with 28 apps. Callers of wf-llm get this (tok= is a secret variable of the workflow):")
    good = answer()
    say(f"  {good}", "32")
    say("1. Keep everything in git.")
    run(environment, "snapshot", "create", "--tag", "v1", "-q")
    run(environment, "snapshot", "list")
    say("2. The secret is rotated, then a colleague publishes a broken version. The run still says 'succeeded':")
    colleague.edit(app, set_secret("tok-rotated-2026"))
    colleague.edit(app, break_prompt)
    colleague.publish(app, "friday")
    say(f"  {answer()}", "31")
    say("3. What changed since the last snapshot? (exit 5: the answer is no)")
    run(environment, "snapshot", "drift", expect=5)
    say("4. Go back. Same app, same URLs, same keys; the secret as it is now, not as it was then.")
    run(environment, "snapshot", "rollback", "wf-llm", "--to", "v1", "--yes")
    say("5. The proof from outside:")
    back = answer()
    say(f"  {back}", "32")
    say("The rotated secret is all that differs; a new snapshot keeps that, and live is the last snapshot again:")
    run(environment, "snapshot", "drift", expect=5)
    run(environment, "snapshot", "create", "-q")
    run(environment, "snapshot", "drift")
    fine = back == good.replace("tok-secret-123456789", "tok-rotated-2026") and "rotated" in back
    say("The workflow is back and its rotated secret is alive." if fine else "THE PROOF FAILED.", "1")
    branch = urlsplit(environment["DIFY_BASE_URL"]).netloc.replace(":", "-")
    say(f"Look around with plain git: git -C {os.path.relpath(store)} log {branch}")
    return 0 if fine else 1


def run(environment: dict[str, str], *words: str, expect: int = 0) -> None:
    """Show and run one command; its exit code must be the expected one."""
    say(f"$ difyops {' '.join(words)}", "36")
    done = subprocess.run([sys.executable, "-m", "difyops", *words], env=environment, check=False)
    if done.returncode != expect:
        raise SystemExit(f"difyops ended with {done.returncode}, expected {expect}")


def say(text: str, colour: str = "") -> None:
    """Write one line, coloured on a terminal."""
    shown = f"\x1b[{colour}m{text}\x1b[0m" if colour and sys.stdout.isatty() else text
    print(shown, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:])))

"""A ``difyops`` for scripts of bash: it runs as a process of its own, without paying for its imports each time."""

from __future__ import annotations

import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import processes

# What it was called with goes over a socket; what it printed, and how it ended, come back. Nothing is said before the
# other side has said that it hears: where no thread is to be had just now, it hangs up at once, and is called again.
PROGRAM = """#!/bin/bash
for try in {{1..100}}; do
  exec 3<>/dev/tcp/127.0.0.1/{port}
  if read -r hears <&3; then break; fi
  sleep 0.1
done
{{ printf '%s\\0' "$PWD" "$#" "$@"; env -0; printf '\\0'; }} >&3
read -r code <&3
cat <&3
exit "$code"
"""


class Caller(socketserver.StreamRequestHandler):
    """One call of the program."""

    def text(self) -> str:
        found = bytearray()
        while (byte := self.rfile.read(1)) not in (b"", b"\0"):
            found += byte
        return os.fsdecode(bytes(found))

    def handle(self) -> None:
        self.wfile.write(b"hears\n")
        folder, count = self.text(), int(self.text())
        words = [self.text() for _ in range(count)]
        environment = dict(line.split("=", 1) for line in iter(self.text, ""))
        done = processes.run(
            [sys.executable, "-m", "difyops", *words], cwd=folder, env=environment, capture_output=True, timeout=600
        )
        self.wfile.write(b"%d\n" % done.returncode + done.stdout + done.stderr)


class Switchboard(socketserver.ThreadingTCPServer):
    """What listens for calls; one that it has no thread for is no news."""

    request_queue_size = 100

    def handle_error(self, *given: Any) -> None:
        if not isinstance(sys.exception(), RuntimeError):
            super().handle_error(*given)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the path of the program."""
    place = tmp_path_factory.mktemp("program") / "difyops"
    with Switchboard(("127.0.0.1", 0), Caller) as server:
        place.write_text(PROGRAM.format(port=server.server_address[1]))
        place.chmod(0o755)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield place
        server.shutdown()

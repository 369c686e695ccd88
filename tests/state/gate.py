"""A door in front of a server: shut, nobody comes through and who is inside is thrown out."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Gate:
    """Passes bytes between a loopback port and another one."""

    to: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    is_shut: bool = False
    passed: int = 0
    shut_after: int | None = None
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def shut(self) -> None:
        self.is_shut = True
        for each in self._open:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def open(self) -> None:
        self.is_shut = False

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                mine, _ = self.listener.accept()
                if self.is_shut:
                    mine.close()
                    continue
                theirs = socket.create_connection(("127.0.0.1", self.to))
                self._open += [mine, theirs]
                for one, other in ((mine, theirs), (theirs, mine)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := one.recv(65536):
            other.sendall(content)
    for each in (one, other):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def gate_to(port: int) -> Iterator[Gate]:
    gate = Gate(port)
    threading.Thread(target=gate.serve, daemon=True).start()
    try:
        yield gate
    finally:
        gate.shut()
        gate.listener.close()

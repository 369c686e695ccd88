"""A SOCKS5 proxy on a real loopback socket that leads every connection to one server, and keeps what was wanted."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Relay:
    """Where it listens, and the (host, port) pairs that it was asked for."""

    address: str
    wanted: list[tuple[str, int]] = field(default_factory=list)


@contextlib.contextmanager
def relaying(url: str) -> Iterator[Relay]:
    """Lead every connection to the server at ``url``."""
    parts = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    relay = Relay(f"127.0.0.1:{listener.getsockname()[1]}")
    target = (parts.hostname or "", parts.port or 80)
    threading.Thread(target=_accept, args=(listener, target, relay), daemon=True).start()
    try:
        yield relay
    finally:
        listener.close()


def _accept(listener: socket.socket, target: tuple[str, int], relay: Relay) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, target, relay), daemon=True).start()


def _serve(client: socket.socket, target: tuple[str, int], relay: Relay) -> None:
    with contextlib.suppress(OSError), client:
        client.recv(2 + 255)
        client.sendall(b"\x05\x00")
        head = client.recv(4)
        host = client.recv(client.recv(1)[0]).decode() if head[3] == 3 else socket.inet_ntoa(client.recv(4))
        relay.wanted.append((host, struct.unpack("!H", client.recv(2))[0]))
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        with socket.create_connection(target) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(60)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            sink.sendall(content)
        sink.shutdown(socket.SHUT_WR)

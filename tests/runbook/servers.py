"""A Redis, a Celery worker's side of it, a PostgreSQL: real ones that a test starts on a free port."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults import free_port

CANARY = "canary-redis-pass"
PG_CANARY = "canary-pg-pass-1"
REDIS = shutil.which("redis-server")
_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
INITDB = shutil.which("initdb") or (str(_FOUND[-1]) if _FOUND else None)


@contextlib.contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let a server stand still: it is there and says nothing."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@dataclass
class Queues:
    """A Redis with a client of the test's own, as a worker and a producer would use it."""

    client: Any
    url: str
    reference: str
    process: subprocess.Popen[bytes]

    def send(self, queue: str, count: int = 1, *, prefix: str = "") -> None:
        self.declare(queue, prefix=prefix)
        for number in range(count):
            body = {"headers": {"id": f"{queue}-{number}", "task": "tasks.run"}, "body": ""}
            self.client.lpush(f"{prefix}{queue}", json.dumps(body))

    def declare(self, *queues: str, prefix: str = "") -> None:
        for queue in queues:
            self.client.sadd(f"{prefix}_kombu.binding.{queue}", f"{queue}\x06\x16\x06\x16{queue}")

    @property
    def keys(self) -> set[bytes]:
        return set(self.client.keys("*"))


@contextlib.contextmanager
def redis_in(folder: Path) -> Iterator[Queues]:
    """Run a Redis with a password; its broker database is 1."""
    import redis

    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", CANARY, "--dir", str(folder)]
    process = subprocess.Popen([str(REDIS), *words], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, db=1, password=CANARY)
    try:
        _wait_for(client.ping, redis.ConnectionError)
        yield Queues(client, f"redis://:{CANARY}@127.0.0.1:{port}/1", "env:TEST_BROKER", process)
    finally:
        client.close()
        process.kill()
        process.wait()


@contextlib.contextmanager
def waiting_client(queues: Queues) -> Iterator[None]:
    """Wait for messages of a queue that gets none, as a worker does that cannot be asked."""
    waiting = threading.Thread(target=lambda: queues.client.brpop("nothing-here", timeout=20), daemon=True)
    waiting.start()
    time.sleep(0.2)
    try:
        yield
    finally:
        queues.client.lpush("nothing-here", "over")
        waiting.join(60)


@contextlib.contextmanager
def worker_on(queues: Queues, *names: str, prefix: str = "", host: str = "celery@test") -> Iterator[None]:
    """Answer what Celery's remote control asks a worker that consumes ``names``, with kombu's own node."""
    from kombu.connection import Connection
    from kombu.pidbox import Mailbox

    over, ready = threading.Event(), threading.Event()

    def work() -> None:
        options = {"global_keyprefix": prefix} if prefix else {}
        with Connection(queues.url, transport_options=options) as connection:
            node = Mailbox("celery", type="fanout", connection=connection).Node(host, channel=connection.channel())
            node.handlers["active_queues"] = lambda state: [{"name": name} for name in names]
            node.listen(callback=node.handle_message)
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.05)
                ready.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        with waiting_client(queues):
            yield
    finally:
        over.set()
        thread.join(60)


def postgres_user() -> str | None:
    """Return a user to run PostgreSQL as; root may not. ``None``: the one we are."""
    if os.geteuid() != 0:
        return None
    names = [entry.pw_name for entry in pwd.getpwall()]
    return next((name for name in ("postgres", "nobody") if name in names), "")


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL of 20 connections: its address, its main process."""

    address: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL with a password."""
    import psycopg

    bin_folder = Path(str(INITDB)).parent
    folder = Path(tempfile.mkdtemp(prefix="difyops-pg-"))
    user = postgres_user()
    if user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    port, data = free_port(), folder / "data"

    def as_user(*words: str) -> list[str]:
        return ["setpriv", f"--reuid={user}", "--clear-groups", *words] if user else [*words]

    secret = folder / "password"
    secret.write_text(PG_CANARY)
    secret.chmod(0o644)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": str(folder)}
    auth = ["-A", "scram-sha-256", "-U", "tester", f"--pwfile={secret}", "--no-sync"]
    subprocess.run(as_user(str(bin_folder / "initdb"), "-D", str(data), *auth), check=True, **quiet)
    settings = ["listen_addresses=127.0.0.1", "max_connections=20", "fsync=off"]
    words = ["-p", str(port), "-k", str(folder), *(part for item in settings for part in ("-c", item))]
    process = subprocess.Popen(as_user(str(bin_folder / "postgres"), "-D", str(data), *words), **quiet)
    address = f"postgresql://tester:{PG_CANARY}@127.0.0.1:{port}/postgres"
    try:
        _wait_for(lambda: psycopg.connect(address, connect_timeout=2).close(), psycopg.OperationalError)
        yield Postgres(address, process)
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nobody wants its data any more
        process.wait(600)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(ask: Any, error: type[Exception]) -> None:
    for _ in range(200):
        try:
            ask()
        except error:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not start")

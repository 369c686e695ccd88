"""The known recipe as people have it: a request of ``requests``, and a Flask route that compares an HMAC.

Neither knows difyops. Of the sender only the address differs from what is sent to Dify itself.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from flask import Flask, abort, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server


@dataclass
class Recipe:
    """The sender: what follows ``base_url`` is Dify's own path. ``leaves``: it goes away when the run has begun."""

    base_url: str
    key: str
    callback: str
    leaves: bool = False
    path: str = "/v1/workflows/run"

    def send(self, inputs: dict[str, str], query: str = "hello") -> list[str]:
        """Send the request and return the lines of the stream that were read."""
        lines: list[str] = []
        with requests.post(
            f"{self.base_url}{self.path}",
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            json={
                "inputs": inputs,
                "query": query,
                "response_mode": "streaming",
                "session_id": "session-1",
                "metadata": {"callback_url": self.callback},
            },
            stream=True,
            timeout=90,
        ) as response:
            response.raise_for_status()
            for raw in response.iter_lines():
                line = raw.decode()
                lines += [line] if line else []
                if self.leaves and "workflow_started" in line:
                    break
        return lines


@dataclass
class FlaskReceiver:
    """The events that were believed, and where it listens."""

    secret: str
    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    def application(self) -> Flask:
        """Return the recipe's application."""
        app = Flask("recipe")

        @app.route("/done", methods=["POST"])
        def done() -> ResponseReturnValue:
            signature = request.headers.get("Dify-Signature", "")
            wanted = "sha256=" + hmac.new(self.secret.encode(), request.get_data(), hashlib.sha256).hexdigest()
            if not hmac.compare_digest(signature, wanted):
                self.refused += 1
                abort(401)
            self.events.append(request.get_json())
            return jsonify({"status": "ok"})

        return app


@contextmanager
def flask_receiving(secret: str) -> Iterator[FlaskReceiver]:
    """Let Flask listen, in a thread."""
    receiver = FlaskReceiver(secret)
    server = make_server("127.0.0.1", 0, receiver.application(), threaded=True)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

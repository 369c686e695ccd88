"""A small Dify-compatible instance: one ASGI application with two doors, in process for tests and a socket for people.

It shares nothing with the client but the ground (errors, clock): a fake that shared the client's models would agree
with its mistakes. What it answers is held to recorded exchanges by ``tests/emulator/test_contract.py``.
"""

from __future__ import annotations

from difyops.emulator.control import MOODS, Control
from difyops.emulator.emulator import Emulator
from difyops.emulator.versions import VERSIONS

__all__ = ["MOODS", "VERSIONS", "Control", "Emulator"]

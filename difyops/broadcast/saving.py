"""``--save`` and ``--resume``: a file of one JSON object a line, valid whenever it is cut.

The first line says what was asked; every answer is one more line, handed to the system in one write as it comes. A run
that ended, however it ended, is taken up again: answered targets are not asked again, all others are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.broadcast.answer import AgentAnswer, from_record, to_record
from difyops.errors import Refused, StoreError, UsageError
from difyops.secret_text import scrub

FORMAT = "difyops.broadcast/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a file holds: the question, who asked, the last answer of every target. ``size``: bytes of whole lines."""

    question: str
    user: str
    answers: tuple[AgentAnswer, ...]
    size: int

    @property
    def done(self) -> tuple[AgentAnswer, ...]:
        """Return the whole answers: these targets are not asked again."""
        return tuple(answer for answer in self.answers if answer.ok)


def read(path: Path) -> Saved:
    """Read a saved broadcast; a last line that was cut off is left out.

    Raises:
        UsageError: the file is missing, or is not one; names the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines()
    head = _record(path, 1, lines[0]) if lines else {}
    if head.get("format") != FORMAT:
        raise UsageError(f"{path}:1: this is not a saved broadcast.", hint="It is written by: broadcast --save FILE")
    found: dict[str, AgentAnswer] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            answer = from_record(_record(path, number, line))
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}.") from error
        found[answer.target] = answer
    return Saved(
        question=str(head.get("question", "")),
        user=str(head.get("user", "")),
        answers=tuple(found.values()),
        size=len(whole),
    )


@dataclass(slots=True)
class Saver:
    """An open file that takes answers; close it when done."""

    path: Path
    descriptor: int

    @classmethod
    def create(cls, path: Path, *, question: str, user: str) -> Saver:
        """Begin a new file.

        Raises:
            Refused: there is a file already. StoreError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, atomic_file.PRIVATE)
        except FileExistsError as error:
            raise Refused(
                f"{path} exists; it is not overwritten.", hint=f"--resume {path}, or another name."
            ) from error
        except OSError as error:
            raise atomic_file.store_error(error, path) from error
        saver = cls(path, descriptor)
        try:
            saver._write({"format": FORMAT, "question": question, "user": user})
        except StoreError:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return saver

    @classmethod
    def go_on(cls, path: Path, saved: Saved) -> Saver:
        """Open a file that is there, behind its last whole line.

        Raises:
            StoreError: it cannot be written.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.ftruncate(descriptor, saved.size)
        except OSError as error:
            raise atomic_file.store_error(error, path) from error
        return cls(path, descriptor)

    def add(self, answer: AgentAnswer) -> None:
        """Add one answer.

        Raises:
            StoreError: the disk is full, or the file cannot be written any more.
        """
        self._write(to_record(answer))

    def close(self) -> None:
        """Flush to disk and close."""
        os.fsync(self.descriptor)
        os.close(self.descriptor)

    def _write(self, record: Mapping[str, Any]) -> None:
        line = scrub(json.dumps(record, ensure_ascii=False, default=str)).encode("utf-8", "replace") + b"\n"
        try:
            while line:
                line = line[os.write(self.descriptor, line) :]
        except OSError as error:
            raise atomic_file.store_error(error, self.path) from error


def same_question(saved: Saved, question: str, path: Path) -> None:
    """Refuse to mix the answers to two questions.

    Raises:
        Refused: the file answers another question.
    """
    if saved.question != scrub(question):
        raise Refused(f"{path} answers another question.", hint="Leave the question out to take the file's own.")


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        body = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{path}:{number}: this line is not JSON.") from error
    if not isinstance(body, dict):
        raise UsageError(f"{path}:{number}: this line is not an object.")
    return body

"""Records made into rows: what people wrote becomes a salted hash and a size, unless content is kept.

The hash of equal texts is equal (repeats can be counted), and without the salt nobody can try texts against it. The
salt never leaves the file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from difyops.api.run_records import LoggedRun, MessageRecord, NodeRecord, error_kind
from difyops.dsl.secret_places import without_secrets
from difyops.secret_text import scrub

Row = tuple[Any, ...]
_PREFIX = 1024  # characters of a prompt that a provider's prompt cache would have to share


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMaker:
    """Makes the rows of one app in one context."""

    context: str
    app: str
    salt: bytes
    content: bool = False

    def run(self, record: LoggedRun) -> Row:
        """Return a row of ``run``."""
        return (
            self.context, self.app, record.id, record.source, record.status, record.started, record.logged,
            record.finished, record.elapsed, record.version, record.tokens, record.steps, record.exceptions,
            error_kind(record.error), self._hash(record.user), record.conversation, record.message,
        )  # fmt: skip

    def node(self, run: str, record: NodeRecord) -> Row:
        """Return a row of ``node``."""
        prompt = _text(record.prompt)
        return (
            self.context, self.app, run, record.id, record.index, record.node, record.type, record.title,
            record.status, record.started, record.finished, record.elapsed, error_kind(record.error), record.attempt,
            record.container, record.round, record.tokens, record.price, record.currency, record.prompt_tokens,
            record.completion_tokens, record.provider, record.model, record.first_token, record.finish_reason,
            *self._asked(record.inputs, prompt), *self._measured(record.outputs),
            self._hash(prompt), len(prompt), self._hash(prompt[:_PREFIX]) if len(prompt) >= _PREFIX else "",
        )  # fmt: skip

    def message(self, record: MessageRecord) -> Row:
        """Return a row of ``message``."""
        return (
            self.context, self.app, record.id, record.conversation, record.run, record.status, record.started,
            record.latency, record.prompt_tokens, record.answer_tokens, record.price, record.currency,
            error_kind(record.error), self._hash(record.user), *self._measured(record.inputs),
            *self._measured(record.outputs),
        )  # fmt: skip

    def kept(self, kind: str, record: LoggedRun | NodeRecord | MessageRecord) -> Row | None:
        """Return a row of ``content``; ``None`` unless content is kept and there is any.

        Known secrets are taken out of it, and what looks like one by the rules of snapshots.
        """
        if not self.content:
            return None
        texts = [_text(getattr(record, name, None)) for name in ("inputs", "outputs", "error")]
        if not any(texts):
            return None
        return (self.context, self.app, kind, record.id, *(without_secrets(scrub(text)) for text in texts))

    def _asked(self, inputs: Any, prompt: str) -> tuple[str, int]:
        """Return hash and size of the inputs; of a model node the prompt belongs to them: newer servers list only the
        model's name there.
        """
        found, size = self._measured(inputs)
        return (self._hash(f"{found}{prompt}"), size) if prompt else (found, size)

    def _measured(self, value: Any) -> tuple[str, int]:
        text = _text(value)
        return self._hash(text), len(text)

    def _hash(self, text: str) -> str:
        return hash_of(text, self.salt)


def hash_of(text: str, salt: bytes) -> str:
    """Return the salted hash under which a text is kept, blank for none."""
    if not text:
        return ""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), key=salt, digest_size=12).hexdigest()


def _text(value: Any) -> str:
    if value is None or value in ("", {}, []):
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)

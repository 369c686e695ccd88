"""One HTTP/1.1 answer, read from the bytes of its connection as they come. No sockets here.

Strict where two readers could differ about where an answer ends (lengths, chunks), deaf to what comes after the end:
a connection on which anything is left over is not used again. Sizes that are not limited elsewhere are limited here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LONGEST_HEAD = 128 * 1024
_LONGEST_SIZE_LINE = 4096
_STATUS = re.compile(rb"HTTP/1\.([01]) +([1-9][0-9]{2})(?: [^\r\n]*)?")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NO_BODY = frozenset({204, 304})

Field = tuple[bytes, bytes]


class BadAnswer(ValueError):
    """The bytes are not an HTTP/1.1 answer, or one of whose end nobody can be sure."""


@dataclass(slots=True)
class AnswerReader:
    """Takes bytes with ``feed`` and ``close``. ``status`` is 0 until the head is complete; then ``ended`` counts.

    ``pieces`` is the body as it came; whoever takes it from there empties the list. ``may_go_on`` says, at the end,
    that the connection can carry another request.
    """

    of_head_request: bool = False
    status: int = 0
    fields: list[Field] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    ended: bool = False
    may_go_on: bool = False
    began: bool = False
    _buffer: bytes = b""
    _left: int = 0  # bytes of the body, or of the chunk, that are still to come; below 0: until the connection closes
    _in_chunks: bool = False
    _in_trailer: bool = False
    _in_chunk: bool = False

    def feed(self, data: bytes) -> None:
        """Take what arrived.

        Raises:
            BadAnswer: it cannot be an answer.
        """
        self.began = True
        if self.ended:
            self.may_go_on = False
            return
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        while not self.status:
            rest = self._head(data)
            if rest is None:
                return
            data = rest
        if self._in_chunks:
            self._chunked(data)
        else:
            self._plain(data)

    def close(self) -> None:
        """Take the end of the connection.

        Raises:
            BadAnswer: the answer was not complete.
        """
        self.may_go_on = False
        if self.ended:
            return
        if not self.status:
            raise BadAnswer("it ended in the middle of its head" if self.began else "there was no answer")
        if self._left >= 0:
            raise BadAnswer("it ended in the middle of its body")
        self.ended = True

    def _head(self, data: bytes) -> bytes | None:
        """Read the head when all of it is there and return what follows; interim answers (1xx) are passed over."""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > _LONGEST_HEAD:
            if len(data) > _LONGEST_HEAD:
                raise BadAnswer("its head is too long")
            self._buffer = data
            return None
        first, *lines = data[:end].split(b"\r\n")
        found = _STATUS.fullmatch(first)
        if found is None:
            raise BadAnswer("it does not begin as HTTP/1.1 does")
        status, fields = int(found[2]), [_field(line) for line in lines]
        if status == 101:
            raise BadAnswer("it goes on in another protocol")
        if status >= 200:
            self.status, self.fields = status, fields
            self._expect_body(is_old=found[1] == b"0")
        return data[end + 4 :]

    def _expect_body(self, *, is_old: bool) -> None:
        named: dict[bytes, bytes] = {}
        for name, value in self.fields:
            if (lower := name.lower()) in (b"content-length", b"transfer-encoding", b"connection"):
                named[lower] = named[lower] + b"," + value if lower in named else value
        words = {word.strip().lower() for word in named.get(b"connection", b"").split(b",")}
        self.may_go_on = b"keep-alive" in words if is_old else b"close" not in words
        if self.of_head_request or self.status in _NO_BODY:
            self.ended = True
        elif b"transfer-encoding" in named:
            if named[b"transfer-encoding"].strip().lower() != b"chunked":
                raise BadAnswer("its transfer encoding was not asked for")
            self._in_chunks = True
        elif b"content-length" in named:
            self._left = _length(named[b"content-length"])
            self.ended = self._left == 0
        else:
            self._left, self.may_go_on = -1, False

    def _plain(self, data: bytes) -> None:
        if self.ended:
            self.may_go_on = self.may_go_on and not data
            return
        if self._left < 0:
            if data:
                self.pieces.append(data)
            return
        if len(data) > self._left:
            self.may_go_on = False
            data = data[: self._left]
        if data:
            self.pieces.append(data)
            self._left -= len(data)
            self.ended = self._left == 0

    def _chunked(self, data: bytes) -> None:
        place = 0
        while not self.ended:
            if self._in_chunk:
                taken = data[place : place + self._left]
                if taken:
                    self.pieces.append(taken)
                place, self._left = place + len(taken), self._left - len(taken)
                if self._left or len(data) < place + 2:
                    break
                if data[place : place + 2] != b"\r\n":
                    raise BadAnswer("a chunk is longer than it says")
                place, self._in_chunk = place + 2, False
            end = data.find(b"\r\n", place)
            if end < 0:
                if len(data) - place > _LONGEST_SIZE_LINE:
                    raise BadAnswer("a chunk does not say its size")
                break
            line, place = data[place:end], end + 2
            if self._in_trailer:
                self.ended = not line
            else:
                self._left = _size(line)
                self._in_chunk, self._in_trailer = self._left > 0, self._left == 0
        if self.ended and place < len(data):
            self.may_go_on = False
        self._buffer = b"" if self.ended else data[place:]


def _field(line: bytes) -> Field:
    name, colon, value = line.partition(b":")
    if not colon or not _NAME.fullmatch(name) or b"\0" in value or b"\r" in value or b"\n" in value:
        raise BadAnswer("a field of its head is none")
    return name, value.strip(b" \t")


def _length(value: bytes) -> int:
    lengths = {item.strip() for item in value.split(b",")}
    text = lengths.pop()
    if lengths or not text.isdigit() or len(text) > 18:
        raise BadAnswer("it does not say how long it is")
    return int(text)


def _size(line: bytes) -> int:
    text = line.partition(b";")[0].strip(b" \t")
    if not text or len(text) > 16 or text.strip(b"0123456789abcdefABCDEF"):
        raise BadAnswer("a chunk does not say its size")
    return int(text, 16)

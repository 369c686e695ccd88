"""What an answer's ``Content-Encoding`` wraps, unwrapped while it is counted: five kilobytes must not become gigabytes.

httpx decodes first and lets others count, and it unwraps encodings within encodings. Here one layer is taken off, in
pieces of a bounded size, and only of the two kinds that we ask for.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

ACCEPTED = "gzip, deflate"
_PIECE = 1024 * 1024
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class CannotDecode(ValueError):
    """The bytes are not what the encoding says, or the encoding is none that we asked for."""


class Decoder:
    """Takes one encoding off, piece by piece. ``Decoder("")`` and ``identity`` hand the bytes on."""

    def __init__(self, encoding: str) -> None:
        names = [name.strip().lower() for name in encoding.split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > 1:
            raise CannotDecode(f"it is encoded {len(names)} times over")
        self._name = names[0] if names else ""
        if self._name and self._name not in _WINDOWS:
            raise CannotDecode(f"it is encoded as {self._name[:20]!r}, which was not asked for")
        self._inner = zlib.decompressobj(_WINDOWS[self._name]) if self._name else None
        self._began = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what ``chunk`` holds, at most a megabyte at once.

        Raises:
            CannotDecode: it is not what the encoding says.
        """
        if self._inner is None:
            yield chunk
            return
        while chunk:
            piece = self._piece(chunk)
            chunk = self._inner.unconsumed_tail
            if piece:
                yield piece
            if self._inner.eof:
                return  # what comes after the end is not read

    def finish(self) -> None:
        """Check that the encoded bytes came to their end.

        Raises:
            CannotDecode: they were cut off.
        """
        if self._inner is not None and self._began and not self._inner.eof:
            raise CannotDecode("it was cut off")

    def _piece(self, chunk: bytes) -> bytes:
        assert self._inner is not None  # noqa: S101 - the caller looked
        try:
            piece = self._inner.decompress(chunk, _PIECE)
        except zlib.error as error:
            if self._began or self._name != "deflate":
                raise CannotDecode("it is not what its encoding says") from error
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers send deflate without its frame
            piece = self._raw_piece(chunk)
        self._began = True
        return piece

    def _raw_piece(self, chunk: bytes) -> bytes:
        assert self._inner is not None  # noqa: S101
        try:
            return self._inner.decompress(chunk, _PIECE)
        except zlib.error as error:
            raise CannotDecode("it is not what its encoding says") from error

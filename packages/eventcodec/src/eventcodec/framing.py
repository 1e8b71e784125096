"""The frame: four bytes of length, twelve of header, a body.

Rule: a frame is validated in the order length, version, reserved, seq, as early as possible: the
length after 4 bytes, the others after 16. Nothing here knows an event or looks inside a body.

Layer: above `limits` and `errors`, below `compiler`.
"""

from __future__ import annotations

from struct import Struct

from .errors import ErrorCode, RemoteProtocolError
from .limits import HEADER_SIZE, LENGTH_SIZE, MIN_LENGTH, VERSION

__all__ = ["HEADER", "LENGTH", "pack_header", "validate_header", "validate_length", "word_of"]

LENGTH = Struct(">I")
HEADER = Struct(">IIQ")
"""Length, word, seq. The word is version, type and reserved in one number, so that
one comparison or one look-up validates all three."""


def word_of(type: int) -> int:
    """The header's second four bytes as a number: version, type, reserved.

    >>> hex(word_of(2))
    '0x1020000'
    """
    return VERSION << 24 | type << 16


def pack_header(type: int, seq: int, body_size: int) -> bytes:
    """The 16 bytes before a body of `body_size` bytes."""
    return HEADER.pack(MIN_LENGTH + body_size, word_of(type), seq)


def validate_length(length: int, limit: int, offset: int) -> None:
    """Refuse a length that no frame has, or that the reader does not take.

    Raises RemoteProtocolError, MALFORMED or FRAME_TOO_LARGE; `offset` is the frame's place.
    EP-2.1-3: validated as soon as these four bytes are in.
    """
    if length < MIN_LENGTH:
        reason = f"{length}, and a frame has at least {MIN_LENGTH} bytes behind its length"
        raise RemoteProtocolError(ErrorCode.MALFORMED, reason, field="length", offset=offset)
    if length > limit:
        reason = f"{length} bytes, and {limit} is the most that is accepted here"
        raise RemoteProtocolError(ErrorCode.FRAME_TOO_LARGE, reason, field="length", offset=offset)


def validate_header(word: int, seq: int, offset: int, *, unnumbered: int | None) -> None:
    """Refuse a header of another version, with reserved bits, or with seq 0.

    `unnumbered` is the one word that may stand with seq 0, if any; `offset` is the
    frame's place. Raises RemoteProtocolError, UNSUPPORTED_VERSION or MALFORMED.
    EP-2.2-9: validated as soon as the 16 bytes of the header are in.
    """
    version, reserved = word >> 24, word & 0xFFFF
    if version != VERSION:
        reason = f"{version}, and only {VERSION} is spoken here"
        place = offset + LENGTH_SIZE
        raise RemoteProtocolError(
            ErrorCode.UNSUPPORTED_VERSION, reason, field="version", offset=place
        )
    if reserved:
        raise RemoteProtocolError(ErrorCode.MALFORMED, "not 0", field="reserved", offset=offset + 6)
    if not seq and word != unnumbered:
        reason = "0, and only the last Error has that"
        raise RemoteProtocolError(ErrorCode.MALFORMED, reason, field="seq", offset=offset + 8)


assert HEADER.size == HEADER_SIZE

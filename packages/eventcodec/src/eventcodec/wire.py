"""The construct vocabulary: what a field of an event may be made of.

Rule: every word here accepts exactly the values that have one encoding, and exactly the bytes that
are the encoding of a value. Construct is more lenient (True for an int, any non-zero flag, unread
bytes inside a prefix); the checks against this are here.

Layer: above `errors`, below `framing`. Only this module, `reference` and `repetition` import
construct. No public signature has a construct type.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import construct

from .record import Record

if TYPE_CHECKING:
    _Adapter = construct.Adapter[Any, Any, Any, Any]
else:
    _Adapter = construct.Adapter

__all__ = [
    "I8",
    "I16",
    "I32",
    "I64",
    "U8",
    "U16",
    "U32",
    "U64",
    "Bytes16",
    "Flag",
    "Record",
    "Rest",
    "ShortBytes",
    "ShortText",
    "Text",
    "Wire",
]

T = TypeVar("T")


class Wire(Protocol[T]):
    """Anything that turns bytes into a T and back; every construct subcon does."""

    def parse(self, data: bytes) -> T: ...

    def build(self, obj: T) -> bytes: ...


class Integer(_Adapter):
    """A big-endian integer; `code` is its letter in `struct`.

    The native module and the descriptions use `kind` and `size` of each word.
    """

    def __init__(self, code: str) -> None:
        super().__init__(construct.FormatField(">", code))
        self.code = code
        self.size = struct.calcsize(">" + code)
        bits = 8 * self.size
        signed = code.islower()
        self.least = -(1 << bits - 1) if signed else 0
        self.most = (1 << bits - (1 if signed else 0)) - 1
        self.kind = "signed" if signed else "unsigned"
        self.layout = f"{'i' if signed else 'u'}{bits}"

    def validate(self, value: object) -> str | None:
        """The reason why `value` cannot be encoded, or None."""
        if not isinstance(value, int) or isinstance(value, bool):
            return "not an int"
        if not self.least <= value <= self.most:
            return f"not in {self.least} … {self.most}"
        return None

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        return obj

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        _refuse(self.validate(obj), path)
        return obj


class Boolean(_Adapter):
    """One byte, 0 or 1; anything else is malformed."""

    kind = "flag"
    layout = "u8, 0 or 1"
    code = "B"
    size = 1
    complaint = "neither 0 nor 1"

    def __init__(self) -> None:
        super().__init__(construct.FormatField(">", "B"))

    def validate(self, value: object) -> str | None:
        """The reason why `value` cannot be encoded, or None."""
        return None if type(value) is bool else "not a bool"

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        _refuse(self.complaint if obj > 1 else None, path)
        return bool(obj)

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        _refuse(self.validate(obj), path)
        return int(obj)


class Octets(_Adapter):
    """Bytes, or text in strict UTF-8: after a length, or up to the end of the frame.

    `count` is the integer that holds the length in bytes; None means that the field extends to the
    end of the frame, so it can only be the last.
    """

    complaint = "not UTF-8"

    def __init__(self, count: Integer | None, *, text: bool) -> None:
        every = construct.GreedyBytes
        super().__init__(every if count is None else construct.Prefixed(count, every))
        self.count = count
        self.text = text
        self.kind = "text" if text else "bytes"
        self.size = 0 if count is None else count.size
        self.most = None if count is None else count.most
        what = "UTF-8" if text else "bytes"
        self.layout = f"{what} to the end" if count is None else f"{count.layout} length + {what}"

    def validate(self, value: object) -> str | None:
        """The reason why `value` cannot be encoded, or None."""
        if not isinstance(value, str if self.text else bytes):
            return "not a str" if self.text else "not bytes"
        size = len(value)
        if isinstance(value, str) and not value.isascii():
            try:
                size = len(value.encode())
            except UnicodeEncodeError:
                return "has a surrogate, which UTF-8 cannot carry"
        if self.most is not None and size > self.most:
            return f"{size} bytes, and {self.most} is the most"
        return None

    def _decode(self, obj: Any, context: Any, path: Any) -> Any:
        if not self.text:
            return bytes(obj)
        try:
            return str(obj, "utf-8")
        except UnicodeDecodeError:
            raise construct.ValidationError(self.complaint, path=path) from None

    def _encode(self, obj: Any, context: Any, path: Any) -> Any:
        _refuse(self.validate(obj), path)
        return obj.encode() if self.text else obj


def plain(value: object) -> object:
    """Plain text and bytes: a subclass could show one value and write another."""
    if isinstance(value, str):
        return str.__str__(value)
    return memoryview(value).tobytes() if isinstance(value, bytes) else value


def _refuse(reason: str | None, path: Any) -> None:
    if reason is not None:
        raise construct.ValidationError(reason, path=path)


_U8, _U16 = Integer("B"), Integer("H")

U8: Wire[int] = _U8
"""An unsigned integer of 1 byte."""
U16: Wire[int] = _U16
"""An unsigned integer of 2 bytes."""
U32: Wire[int] = Integer("L")
"""An unsigned integer of 4 bytes."""
U64: Wire[int] = Integer("Q")
"""An unsigned integer of 8 bytes."""
I8: Wire[int] = Integer("b")
"""A signed integer of 1 byte, two's complement."""
I16: Wire[int] = Integer("h")
"""A signed integer of 2 bytes, two's complement."""
I32: Wire[int] = Integer("l")
"""A signed integer of 4 bytes, two's complement."""
I64: Wire[int] = Integer("q")
"""A signed integer of 8 bytes, two's complement."""
Flag: Wire[bool] = Boolean()
"""True or False in 1 byte, 1 or 0."""
ShortText: Wire[str] = Octets(_U8, text=True)
"""Text of at most 255 bytes of UTF-8, after a length of 1 byte."""
ShortBytes: Wire[bytes] = Octets(_U8, text=False)
"""At most 255 bytes, after a length of 1 byte."""
Bytes16: Wire[bytes] = Octets(_U16, text=False)
"""At most 65,535 bytes, after a length of 2 bytes."""
Text: Wire[str] = Octets(None, text=True)
"""Text to the end of the frame; only as the last field."""
Rest: Wire[bytes] = Octets(None, text=False)
"""Bytes to the end of the frame; only as the last field."""

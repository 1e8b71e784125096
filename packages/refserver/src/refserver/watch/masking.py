"""Hide what is secret in a stream, byte by byte, without a change of its length.

Rule: what comes out depends on the bytes before and never on those behind, so that a stream is
masked as it passes, however it is cut. A ticket has one pseudonym wherever it appears; 0 stays 0,
and nothing else becomes 0. A credential becomes asterisks.

Layer: above `conversation`, beside `cutting`.
"""

from __future__ import annotations

import hashlib
from random import Random

__all__ = ["Masker", "Pseudonyms"]

LOGIN, WELCOME = 0x01, 0x08
HEADER = 16
STAR = 0x2A
REMEMBERED = 4096


class Pseudonyms:
    """Maps each byte of a ticket by those before it; one `key` gives one mapping."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tables: dict[bytes, bytes] = {}

    def of(self, before: bytes, byte: int) -> int:
        """What stands for `byte` behind the bytes `before` of the same ticket.

        >>> names = Pseudonyms(b"key")
        >>> names.of(bytes(7), 0), names.of(bytes(7), 1) == 0
        (0, False)
        """
        table = self._tables.get(before)
        if table is None:
            digest = hashlib.sha256(self._key + bytes([len(before)]) + before).digest()
            order = list(range(256))
            rng = Random(int.from_bytes(digest, "big"))
            if any(before):
                rng.shuffle(order)
            else:
                rest = order[1:]  # 0 stays 0, so nothing else becomes 0
                rng.shuffle(rest)
                order = [0, *rest]
            table = bytes(order)
            if len(self._tables) >= REMEMBERED:
                self._tables.clear()
            self._tables[before] = table
        return table[byte]


class Masker:
    """One side's stream. `contents` hides what is said too.

    Behind a gap, and behind a header that is none, it is not known where a frame begins: then it
    is `blind`, and nothing is shown any more.
    """

    def __init__(self, pseudonyms: Pseudonyms, *, contents: bool = False) -> None:
        self.blind = False
        self._pseudonyms = pseudonyms
        self._contents = contents
        self._header = bytearray()
        self._at = 0  # in the body
        self._size = 0  # of the body
        self._name = 0  # size of the short text in front
        self._type = 0
        self._ticket = b""
        self._credential = self._prefix = 0  # sizes, as far as they have come
        self._plain = True

    def mask(self, data: bytes) -> bytes:
        """The same bytes without what is secret in them, as far as that is known: maybe fewer."""
        if self.blind:
            return b""
        out = bytearray(data)
        at, stop = 0, len(data)
        while at < stop:
            if len(self._header) < HEADER:
                take = min(HEADER - len(self._header), stop - at)
                self._header += data[at : at + take]
                at += take
                if len(self._header) == HEADER:
                    self._begin()
                    if self.blind:
                        return bytes(out[:at])
                continue
            if self._at < self._size:
                take = min(self._size - self._at, stop - at)
                if self._plain:
                    self._at += take
                else:
                    for index in range(at, at + take):
                        out[index] = self._body_byte(data[index])
                        self._at += 1
                at += take
            if self._at >= self._size:
                self._header.clear()
        return bytes(out)

    def _begin(self) -> None:
        length = int.from_bytes(self._header[:4], "big")
        type = self._header[5]
        self._at, self._size = 0, length - 12
        self._ticket, self._credential, self._prefix = b"", 0, 0
        said = type == 2 or type >= 0x80
        self._plain = type not in (LOGIN, WELCOME) and not (self._contents and said)
        self._type = type
        if length < 12 or self._header[4] != 1 or any(self._header[6:8]):
            self.blind = True
        elif not self._size:
            self._header.clear()

    def _body_byte(self, byte: int) -> int:
        at = self._at
        if at == 0:
            self._name = byte
            return byte
        behind = at - 1 - self._name
        if behind < 0:
            return byte  # the name
        if self._type not in (LOGIN, WELCOME):
            return STAR  # what is said
        if self._type == LOGIN:
            if behind < 2:
                self._credential = self._credential << 8 | byte
                return byte
            behind -= 2
            if behind < self._credential:
                return STAR
            behind -= self._credential
        if behind < 8:
            shown = self._pseudonyms.of(self._ticket, byte)
            self._ticket += bytes([byte])
            return shown
        # What stands behind the last field may be anything.
        last = 8 + 8 if self._type == LOGIN else self._welcome_ends(behind, byte)
        return byte if behind < last else STAR

    def _welcome_ends(self, behind: int, byte: int) -> int:
        """Where a Welcome's fields end, behind its user: at the end of the text `server`."""
        if behind == 22:
            self._prefix = byte
        return 23 + self._prefix

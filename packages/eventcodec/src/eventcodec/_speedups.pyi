from collections.abc import Sequence
from typing import Any

MOST_FIELDS: int

class Program:
    def __init__(
        self,
        event: type,
        word: int,
        number: str | None,
        unnumbered: bool,
        steps: Sequence[tuple[str, str, int]],
        decode: Any,
        encode: Any,
        constants: Sequence[tuple[str, object]] = ...,
    ) -> None: ...
    def decode(self, data: bytes, start: int, stop: int, seq: int, /) -> Any: ...
    def decode_many(
        self, data: bytes, at: int, stop: int, word: int, seq: int, limit: int, count: int, /
    ) -> tuple[list[Any], int]: ...
    def encode(self, event: Any, /) -> bytes: ...

def relay(
    data: bytes,
    at: int,
    limit: int,
    sender: bytes,
    position: int,
    count: int,
    kinds: bytes,
    ack_word: int,
    /,
) -> tuple[list[bytes], bytes, int]: ...

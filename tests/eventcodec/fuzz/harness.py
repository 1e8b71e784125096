"""What holds for any bytes, as one function of bytes.

Rule: the first byte chooses who reads and how the rest is cut; whatever is not a
documented error, and whatever two readers find differently, comes out as an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.eventcodec import differential
from tests.eventcodec.declared import CODEC, Moved
from tests.eventcodec.streams import (
    END_OF_STREAM,
    Chunking,
    Outcome,
    asking,
    byte_by_byte,
    cut_by,
    listen,
    read,
    serve,
    settled,
    whole,
)

from eventcodec import (
    ClientConnection,
    Decoder,
    Logout,
    Message,
    Ping,
    ServerConnection,
)

SMALL = 64
REQUESTS = (Message(content="hello"), Moved(x=1, y=2), Ping(), Logout())


def check(data: bytes) -> None:
    """Assert every promise about bytes that this input can try."""
    reader, seed = divmod(data[0] if data else 0, 64)
    cut = byte_by_byte if seed == 0 else cut_by(Random(seed))
    (_differ, _decode, _serve, _listen)[reader](data[1:], cut)


def _differ(stream: bytes, cut: Chunking) -> None:
    differential.check(stream)
    differential.check_room([*cut(stream), END_OF_STREAM])


def _decode(stream: bytes, cut: Chunking) -> None:
    def reading(chunking: Chunking) -> Outcome:
        decoder = Decoder(codec=CODEC, max_frame=SMALL)
        outcome = read(decoder, [*chunking(stream), END_OF_STREAM])
        assert decoder.held == 0
        return outcome

    _alike(reading, cut)


def _serve(stream: bytes, cut: Chunking) -> None:
    def serving(chunking: Chunking) -> Outcome:
        server = ServerConnection(codec=CODEC)
        outcome = serve([*chunking(stream), END_OF_STREAM], server)
        assert server.held == 0
        return outcome

    _alike(serving, cut)


def _listen(stream: bytes, cut: Chunking) -> None:
    def listening(chunking: Chunking) -> Outcome:
        client = asking() if len(stream) % 2 else settled(ClientConnection(codec=CODEC))
        for request in REQUESTS:
            client.send(request)
        client.data_to_send()
        outcome = listen(client, [*chunking(stream), END_OF_STREAM])
        assert client.ended
        return outcome

    _alike(listening, cut)


def _alike(reading: Callable[[Chunking], Outcome], cut: Chunking) -> None:
    assert reading(cut) == reading(whole)

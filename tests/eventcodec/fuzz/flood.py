"""Mutated frames by the million, through the decoder alone.

Rule: little is asked of each, so that there can be many: what is taken is what was sent,
byte for byte, nothing but the documented errors comes out, and nothing is held at the end.
"""

from __future__ import annotations

from tests.eventcodec.declared import CODEC
from tests.eventcodec.mutations import mutated_frames

from eventcodec import ConnectionEnded, ConnectionLostError, Decoder, RemoteProtocolError, encode


def flood(count: int, seed: int) -> int:
    """Decode so many, each as a stream of its own; how many of them had an error."""
    return sum(refused(stream) for stream in mutated_frames(count, seed=seed))


def refused(stream: bytes) -> bool:
    """Whether the stream has an error; a note on what else is raised has its bytes."""
    decoder = Decoder(codec=CODEC)
    taken = b""
    try:
        if stream:
            decoder.receive_data(stream)
        decoder.receive_eof()
        for event in decoder.events():
            if not isinstance(event, ConnectionEnded):
                taken += encode(event)
            elif event.error is None:
                assert stream == taken and not decoder.held
                return False
            else:
                assert isinstance(event.error, RemoteProtocolError | ConnectionLostError)
                assert stream.startswith(taken) and not decoder.held
                return True
        raise AssertionError("no end")
    except BaseException as error:
        error.add_note(f"stream {stream.hex()}")
        raise

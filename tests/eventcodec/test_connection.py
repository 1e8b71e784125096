"""Both ends of a connection, talking to each other, and to anybody."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.eventcodec.declared import CODEC, Moved
from tests.eventcodec.streams import (
    EACH_CHUNKING,
    END_OF_STREAM,
    Chunking,
    asking,
    cut_by,
    listen,
    serve,
)

from eventcodec import (
    ClientConnection,
    ConnectionLostError,
    EventCodecError,
    Login,
    Logout,
    Message,
    PeerError,
    Ping,
    RemoteProtocolError,
    Reply,
    ServerConnection,
)

HELLO = Message(content="hello")


@pytest.mark.proves("EP-4.2-5", "EP-10.1-2", "EP-5.1-3")
@EACH_CHUNKING
def test_a_whole_session_between_both_ends(chunking: Chunking) -> None:
    client = ClientConnection(codec=CODEC)
    sent = [client.send(e) for e in (Login(user="ann"), HELLO, Moved(x=1, y=2), Ping(), Logout())]

    served = serve(chunking(client.data_to_send()), ServerConnection(codec=CODEC))
    received = listen(client, [*chunking(served.output), END_OF_STREAM])

    assert served.events == sent
    assert [reply.request for reply in received.events if isinstance(reply, Reply)] == sent
    assert received.fault is None
    assert client.ended
    assert (client.user, client.position) == ("ann", 4)


@given(data=st.binary(max_size=200), random=st.randoms(use_true_random=False))
def test_any_bytes_end_a_connection_with_a_documented_error_or_not_at_all(
    data: bytes, random: Random
) -> None:
    chunks = [*cut_by(random)(data), END_OF_STREAM]

    received = listen(asking(), chunks)
    served = serve(chunks, ServerConnection(codec=CODEC))

    assert received.fault is not None
    assert received.fault.kind in (RemoteProtocolError, PeerError, ConnectionLostError)
    assert served.fault is None or issubclass(served.fault.kind, EventCodecError)

"""A user's program, as a type checker sees it: only the wheels are installed, no stubs."""

from __future__ import annotations

from typing import assert_type

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    Codec,
    ConnectionEnded,
    ConnectionLostError,
    Decoder,
    Error,
    ErrorCode,
    Event,
    EventCodecError,
    Joined,
    Left,
    LeftReason,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    PeerError,
    RemoteProtocolError,
    Reply,
    Unknown,
    Welcome,
    application_event,
    decode,
    encode,
    field,
    wire,
)


@application_event(0x80)
class Moved(ApplicationEvent):
    x: int = field(wire.I32)
    y: int = field(wire.I32, default=0)
    name: str = field(wire.ShortText, default="")
    fast: bool = field(wire.Flag, default=False)
    rest: bytes = field(wire.Rest, default=b"")


codec = Codec(events=(Moved,))
conn = ClientConnection(codec=codec)


def talk() -> bytes:
    request = conn.send(Login(user="ann"))
    assert_type(request.seq, int)
    conn.send(Message(content="hello"))
    conn.send(Moved(x=3))
    conn.send(Logout())
    return conn.data_to_send()


def listen(data: bytes) -> list[str]:
    seen: list[str] = []
    conn.receive_data(bytearray(data))
    for event in conn.events():
        match event:
            case ConnectionEnded(error=None):
                seen.append("clean")
            case ConnectionEnded(error=error):
                assert_type(error, EventCodecError | None)
                seen.append(str(error))
            case Reply(request=request, event=Welcome() as welcome):
                assert_type(welcome.ticket, int)
                seen.append(f"{welcome.user} {request.seq}")
            case Reply(event=Ack() as ack):
                seen.append(str(ack.position))
            case Reply(event=Error() as error):
                assert_type(error.text, str)
                seen.append(f"{error.code}")
            case Reply():
                pass
            case Message():
                assert_type(event.content, str)
                assert_type(event.position, int)
                seen.append(event.sender)
            case Joined():
                seen.append(event.user)
            case Left():
                assert_type(event.why, LeftReason)
                seen.append(event.user)
            case Moved():
                assert_type(event.x, int)
                assert_type(event.name, str)
                seen.append(event.sender)
            case ApplicationEvent():
                assert_type(event.decode_error, RemoteProtocolError | None)
                seen.append(event.data.hex())
            case Unknown():
                assert_type(event.body, bytes)
    assert_type(conn.ended, bool)
    assert_type(conn.position, int)
    return seen


def blame(error: EventCodecError) -> str:
    if isinstance(error, LocalProtocolError):
        return error.reason
    if isinstance(error, RemoteProtocolError):
        assert_type(error.code, ErrorCode)
        return error.code.meaning
    if isinstance(error, PeerError):
        return error.text
    assert isinstance(error, ConnectionLostError)
    return "lost"


def by_hand(data: bytes) -> list[Event | ConnectionEnded]:
    decoder = Decoder(codec=codec, max_frame=4096)
    assert_type(decode(encode(Message(seq=1, content="x"))), Event)
    decoder.receive_data(memoryview(data))
    decoder.receive_eof()
    return list(decoder.events())

"""A user's program, as a type checker sees it: only the wheels are installed, no stubs."""

from __future__ import annotations

from typing import assert_type

from eventcodec import (
    Ack,
    ApplicationEvent,
    ClientConnection,
    Codec,
    ConnectionLost,
    Decoder,
    Error,
    ErrorCode,
    Event,
    EventError,
    Joined,
    Left,
    LeftReason,
    Limits,
    LocalError,
    Login,
    Logout,
    Message,
    ProtocolError,
    RemoteError,
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
    for event in conn.receive(data):
        match event:
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
                assert_type(event.fault, ProtocolError | None)
                seen.append(event.data.hex())
            case Unknown():
                assert_type(event.body, bytes)
    assert_type(conn.ended, bool)
    assert_type(conn.position, int)
    return seen


def blame(error: EventError) -> str:
    if isinstance(error, LocalError):
        return error.reason
    if isinstance(error, ProtocolError):
        assert_type(error.code, ErrorCode)
        return error.code.meaning
    if isinstance(error, RemoteError):
        return error.text
    assert isinstance(error, ConnectionLost)
    return "lost"


def by_hand(data: bytes) -> list[Event]:
    decoder = Decoder(Limits(max_frame=4096), codec)
    assert_type(decode(encode(Message(seq=1, content="x"))), Event)
    return list(decoder.receive(data))

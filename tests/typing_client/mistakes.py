"""Mistakes that a type checker must find: each line marked `# wrong`, and no other."""

from __future__ import annotations

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    Login,
    Message,
    application_event,
    decode,
    encode,
    field,
    wire,
)


@application_event(0x80)
class Moved(ApplicationEvent):
    x: int = field(wire.I32)
    name: str = field(wire.I32)  # wrong


conn = ClientConnection()
message = Message(content="hello")

Login("ann")  # wrong
Login(user=b"ann")  # wrong
Message()  # wrong
Moved(x="3", name="")  # wrong
message.content = "bye"  # wrong
print(message.contents)  # wrong
conn.send("hello")  # wrong
conn.data_to_send().encode()  # wrong
conn.receive_data("text")  # wrong
print(conn.next_event().seq)  # wrong
encode(b"frame")  # wrong
decode(message)  # wrong

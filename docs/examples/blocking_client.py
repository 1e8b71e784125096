"""Say some lines and leave, with a blocking socket: blocking_client.py USER [HOST PORT] < lines

One request at a time: each is sent when the one before it has its reply, so neither
side ever waits for the other to read. Prints every event that comes meanwhile.
"""

import socket
import sys
from collections.abc import Iterator

from eventcodec import (
    ClientConnection,
    ConnectionEnded,
    Event,
    EventCodecError,
    Login,
    Logout,
    Message,
)


def requests(user: str) -> Iterator[Event]:
    yield Login(user=user)
    for line in sys.stdin:
        yield Message(content=line.rstrip("\n"))
    yield Logout()


def main(user: str, host: str = "localhost", port: str = "3000") -> None:
    conn = ClientConnection()
    with socket.create_connection((host, int(port))) as sock:
        for request in requests(user):
            conn.send(request)
            while conn.outstanding:
                sock.sendall(conn.data_to_send())
                if data := sock.recv(65536):
                    conn.receive_data(data)
                else:
                    conn.receive_eof()
                for event in conn.events():
                    if not isinstance(event, ConnectionEnded):
                        print(event)
                    elif event.error is not None:
                        raise event.error


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(f"usage: {sys.argv[0]} USER [HOST PORT]")
    try:
        main(*sys.argv[1:])
    except (EventCodecError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

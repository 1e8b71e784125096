"""The command of a client for `refserver peer`, on eventcodec: python client.py HOST PORT

It logs in as ann, tells each event that it sees as a line of JSON, and follows the orders that a
member called kit gives in the room.
"""

import json
import socket
import sys

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    ConnectionLost,
    Error,
    Event,
    Left,
    LocalError,
    Login,
    Logout,
    Message,
    Ping,
    ProtocolError,
    RemoteError,
    Reply,
    jsonlines,
)


def tell(event: Event) -> None:
    """Say what was seen; the ticket stays hidden, and an unknown reason reads as 1."""
    said = jsonlines.to_object(event, secrets=False)
    if isinstance(event, Left):
        said["reason"] = event.why
    print(json.dumps(said), flush=True)


def obey(conn: ClientConnection, order: str) -> None:
    verb, _, rest = order.partition(" ")
    try:
        if verb == "say":
            conn.send(Message(content=rest))
        elif verb == "event":
            type, _, data = rest.partition(" ")
            conn.send(ApplicationEvent(type=int(type), data=bytes.fromhex(data)))
        elif verb == "ping":
            conn.send(Ping())
        elif verb == "logout":
            conn.send(Logout())
    except LocalError:  # too long, or after the Logout
        print('{"event": "Refused"}', flush=True)


def run(host: str, port: int) -> tuple[str, int]:
    """Be a member until the end: how it came, and the code if it has one."""
    conn = ClientConnection()
    conn.send(Login(user="ann"))
    with socket.create_connection((host, port)) as sock:
        try:
            while not conn.ended:
                sock.sendall(conn.data_to_send())
                for event in conn.receive(sock.recv(65536)):
                    reply = event.event if isinstance(event, Reply) else event
                    tell(reply)
                    if isinstance(reply, Error) and conn.welcome is None:
                        return "refused", reply.code
                    if isinstance(reply, Message) and reply.sender == "kit":
                        obey(conn, reply.content)
        except RemoteError as error:
            return "explained", error.code
        except ProtocolError as error:
            return "fault", error.code
        except (ConnectionLost, ConnectionError):
            return "lost", 0
    return "clean", 0


if __name__ == "__main__":
    how, code = run(sys.argv[1], int(sys.argv[2]))
    print(json.dumps({"event": "End", "how": how, "code": code}))

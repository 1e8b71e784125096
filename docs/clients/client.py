"""The command of a client for `refserver peer`, on eventcodec: python client.py HOST PORT

It logs in as ann, tells each event that it sees as a line of JSON, follows the orders that a
member called kit gives in the room, and resumes its session when told to.
"""

import json
import random
import socket
import sys
import time

from eventcodec import (
    ApplicationEvent,
    ClientConnection,
    ConnectionEnded,
    ConnectionLostError,
    Error,
    ErrorCode,
    Event,
    Left,
    LocalProtocolError,
    Login,
    Logout,
    Message,
    PeerError,
    Ping,
    Pong,
    RemoteProtocolError,
    Reply,
    Welcome,
    jsonlines,
)

Said = Message | ApplicationEvent
SHORTEST, LONGEST = 0.5, 30.0  # seconds between two attempts (EP-9.3-1)


def tell(event: Event) -> None:
    """Say what was seen; the ticket stays hidden, and an unknown reason reads as 1."""
    said = jsonlines.to_object(event, secrets=False)
    if isinstance(event, Left):
        said["reason"] = event.why
    print(json.dumps(said), flush=True)


def content(event: Said) -> tuple[int, str | bytes]:
    """What two events have in common that say the same, whoever sent them, and when."""
    return event.type, event.content if isinstance(event, Message) else event.data


class Session:
    """Over as many connections as it takes. `kept` was sent on one that was lost (6.5)."""

    def __init__(self) -> None:
        self.login = Login(user="ann")
        self.kept: list[Said] = []
        self.resumes = self.replaying = False
        self.pause = SHORTEST

    def run(self, host: str, port: int) -> tuple[str, int]:
        """Be a member until the end: how it came, and the code if it has one."""
        conn = ClientConnection()
        conn.send(self.login)
        self.replaying = self.login.ticket != 0
        if self.replaying:
            conn.send(Ping())
        try:
            with socket.create_connection((host, port)) as sock:
                return self.converse(conn, sock)
        except PeerError as error:
            return "explained", error.code
        except RemoteProtocolError as error:
            return "fault", error.code
        except (ConnectionLostError, OSError):
            self.kept += [each for each in conn.outstanding if isinstance(each, Said)]
            return "lost", 0

    def converse(self, conn: ClientConnection, sock: socket.socket) -> tuple[str, int]:
        while not conn.ended:
            sock.sendall(conn.data_to_send())
            if data := sock.recv(65536):
                conn.receive_data(data)
            else:
                conn.receive_eof()
            for event in conn.events():
                if isinstance(event, ConnectionEnded):
                    if event.error is not None:
                        raise event.error
                    break
                reply = event.event if isinstance(event, Reply) else event
                tell(reply)
                if isinstance(reply, Error) and conn.welcome is None:
                    return "refused", reply.code
                self.handle(conn, reply)
                if conn.welcome is not None:
                    self.login = Login(user=conn.user, ticket=conn.ticket, position=conn.position)
        return "clean", 0

    def handle(self, conn: ClientConnection, event: Event) -> None:
        match event:
            case Welcome():
                self.pause = SHORTEST
            case Message(sender=conn.user) | ApplicationEvent(sender=conn.user) if self.replaying:
                same = [each for each in self.kept if content(each) == content(event)]
                if same:  # accepted on an older connection
                    self.kept.remove(same[0])
            case Pong() if self.replaying:  # what the replay did not show was not accepted
                self.replaying = False
                for each in self.kept:
                    conn.send(each)
                self.kept.clear()
            case Message(sender="kit"):
                self.obey(conn, event.content)

    def obey(self, conn: ClientConnection, order: str) -> None:
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
            elif verb == "resume":
                self.resumes = True
        except LocalProtocolError:  # too long, or after the Logout
            print('{"event": "Refused"}', flush=True)

    def wait(self) -> None:
        time.sleep(self.pause * (0.5 + random.random() / 2))
        self.pause = min(LONGEST, self.pause * 2)


def main(host: str, port: int) -> None:
    session = Session()
    while True:
        how, code = session.run(host, port)
        print(json.dumps({"event": "End", "how": how, "code": code}), flush=True)
        is_taken = how == "refused" and code == ErrorCode.USER_TAKEN
        if not session.resumes or not (how == "lost" or is_taken):
            return
        session.wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

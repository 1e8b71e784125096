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
FINAL = {  # the codes of a last Error after which nobody connects again (EP-9.3-3, EP-9.3-4)
    ErrorCode.MALFORMED,
    ErrorCode.FRAME_TOO_LARGE,
    ErrorCode.UNSUPPORTED_VERSION,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.USER_TAKEN,
}


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
    """Over as many connections as it takes (6.5).

    `kept` was sent on a connection that has ended, and is in doubt; `refused` was not accepted,
    and is to be sent again.
    """

    def __init__(self) -> None:
        self.login = Login(user="ann")
        self.kept: list[Said] = []
        self.refused: list[Said] = []
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
            self.keep(conn)
            if conn.welcome is not None and error.code != ErrorCode.SLOW_CONSUMER:
                self.settle()  # EP-6.5-12
            return "explained", error.code
        except RemoteProtocolError as error:
            return "fault", error.code
        except (ConnectionLostError, OSError):
            self.keep(conn)
            return "lost", 0

    def keep(self, conn: ClientConnection) -> None:
        self.kept += [each for each in conn.outstanding if isinstance(each, Said)]

    def settle(self) -> None:
        self.refused += self.kept
        self.kept.clear()

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
                if self.kept and content(self.kept[0]) == content(event):
                    del self.kept[0]  # accepted on an older connection (EP-6.5-8)
                else:
                    self.settle()  # another session's (EP-6.5-9)
            case Left(user=conn.user) if self.replaying:
                self.settle()  # EP-6.5-10
            case Pong() if self.replaying:
                self.replaying = False
                self.settle()  # EP-6.5-11
                for each in self.refused:  # EP-6.5-16
                    self.send(conn, each)
                self.refused.clear()
            case Message(sender="kit"):
                self.obey(conn, event.content)

    def send(self, conn: ClientConnection, event: Said | Ping | Logout) -> None:
        try:
            conn.send(event)
        except LocalProtocolError:  # too long, or after the Logout
            print('{"event": "Refused"}', flush=True)

    def obey(self, conn: ClientConnection, order: str) -> None:
        verb, _, rest = order.partition(" ")
        if verb == "say":
            self.send(conn, Message(content=rest))
        elif verb == "event":
            type, _, data = rest.partition(" ")
            self.send(conn, ApplicationEvent(type=int(type), data=bytes.fromhex(data)))
        elif verb == "ping":
            self.send(conn, Ping())
        elif verb == "logout":
            self.send(conn, Logout())
        elif verb == "resume":
            self.resumes = True

    def wait(self) -> None:
        time.sleep(self.pause * (0.5 + random.random() / 2))
        self.pause = min(LONGEST, self.pause * 2)


def main(host: str, port: int) -> None:
    session = Session()
    while True:
        how, code = session.run(host, port)
        print(json.dumps({"event": "End", "how": how, "code": code}), flush=True)
        is_taken = how == "refused" and code == ErrorCode.USER_TAKEN
        is_passing = how == "explained" and code not in FINAL
        if not session.resumes or not (how == "lost" or is_taken or is_passing):
            return
        session.wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

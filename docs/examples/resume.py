"""Say lines exactly once over connections that break: resume.py USER [HOST PORT] < lines

What has no Ack is kept. After a loss it connects again, waiting longer each time, and
resumes its session: what the replay shows as its own was accepted, the rest was not and is
sent again. Only where the history is gone can nobody tell; it then says which lines those are.
"""

import random
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable

from eventcodec import (
    Ack,
    ClientConnection,
    ConnectionEnded,
    ConnectionLostError,
    Error,
    ErrorCode,
    Event,
    EventCodecError,
    Login,
    Logout,
    Message,
    PeerError,
    Ping,
    Pong,
    Reply,
    Welcome,
)

SHORTEST, LONGEST = 0.5, 30.0  # seconds between two attempts
FINAL = {  # trying again would change nothing
    ErrorCode.UNAUTHORIZED,
    ErrorCode.USER_TAKEN,
    ErrorCode.MALFORMED,
    ErrorCode.FRAME_TOO_LARGE,
    ErrorCode.UNSUPPORTED_VERSION,
}


class Refused(Exception):
    """The server will not have us, now or later."""


class Speaker:
    """One session over as many connections as it takes.

    `kept` are the lines that were sent and may not have been accepted, `unknown` those of
    which nobody will ever know. `settled` says that what came before this connection is known,
    `refused` that the server has said of `kept` that it was not accepted. `wait` and `jitter`
    are for tests.
    """

    def __init__(
        self,
        user: str,
        lines: Iterable[str],
        wait: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.asked = self.user = user
        self.lines = deque(lines)
        self.kept: deque[str] = deque()
        self.unknown: list[str] = []
        self.ticket = 0
        self.position = 0
        self.settled = self.refused = False
        self.pause = SHORTEST
        self._wait = wait
        self._jitter = jitter

    def run(self, host: str, port: int) -> None:
        """Connect until everything is said. Raises Refused."""
        while True:
            try:
                with socket.create_connection((host, port), timeout=60) as sock:
                    self.converse(sock)
                return
            except PeerError as error:
                if error.code in FINAL:
                    raise Refused(str(error)) from error
                # EP-8.2-4: what has no reply by now had no effect, and never will.
                self.refused |= self.settled and error.code != ErrorCode.SLOW_CONSUMER
            except (ConnectionLostError, OSError):
                pass
            self._wait(self.pause * (0.5 + self._jitter() / 2))
            self.pause = min(LONGEST, self.pause * 2)

    def converse(self, sock: socket.socket) -> None:
        """One connection, to its clean end. Raises what ended it otherwise."""
        conn = ClientConnection()
        self.settled = False
        conn.send(Login(user=self.user, ticket=self.ticket, position=self.position))
        if self.ticket:
            conn.send(Ping())  # its Pong stands behind everything that was accepted before
        while not conn.ended:
            sock.sendall(conn.data_to_send())
            if data := sock.recv(65536):
                conn.receive_data(data)
            else:
                conn.receive_eof()
            for event in conn.events():
                self.handle(conn, event)
                if conn.welcome is not None:
                    self.position = conn.position  # of what was handled, not of what has come

    def handle(self, conn: ClientConnection, event: Event | Reply | ConnectionEnded) -> None:
        match event:
            case ConnectionEnded(error=EventCodecError() as error):
                raise error
            case Message(sender=self.user, content=content) if self.kept:
                if content == self.kept[0]:  # accepted on an older connection
                    self.kept.popleft()
            case Reply(event=Welcome() as welcome):
                self.user, self.pause = welcome.user, SHORTEST
                if welcome.ticket != self.ticket:
                    self.ticket = welcome.ticket
                    self.go_on(conn)
            case Reply(event=Pong()) if self.ticket:
                self.go_on(conn)  # the replay is over, and what is kept was not in it
            case Reply(request=Message(), event=Ack()):
                self.kept.popleft()
                if not self.kept:
                    self.speak(conn)
            case Reply(request=Login(), event=Error(code=ErrorCode.HISTORY_GONE)):
                if not self.refused:
                    self.unknown += self.kept
                    self.kept.clear()
                self.ticket = self.position = 0
                conn.send(Login(user=self.asked))
            case Reply(request=Login(), event=Error(code=ErrorCode.USER_TAKEN)):
                # Our own last connection, not yet missed by the server, or somebody else.
                raise ConnectionLostError("the name is taken")
            case Reply(event=Error(code=code)):
                raise Refused(f"the server says {code}")

    def go_on(self, conn: ClientConnection) -> None:
        """Say again what was not accepted, then the next."""
        self.settled, self.refused = True, False
        for line in self.kept:
            conn.send(Message(content=line))
        if not self.kept:
            self.speak(conn)

    def speak(self, conn: ClientConnection) -> None:
        """The next lines, some at a time, so that nobody waits for whoever does not read."""
        while self.lines and len(self.kept) < 16:
            self.kept.append(self.lines.popleft())
            conn.send(Message(content=self.kept[-1]))
        if not self.kept:
            conn.send(Logout())


def main(user: str, host: str = "localhost", port: str = "3000") -> None:
    speaker = Speaker(user, (line.rstrip("\n") for line in sys.stdin))
    speaker.run(host, int(port))
    for line in speaker.unknown:
        print(f"perhaps said, perhaps not: {line}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 4):
        sys.exit(f"usage: {sys.argv[0]} USER [HOST PORT]")
    try:
        main(*sys.argv[1:])
    except (EventCodecError, Refused, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

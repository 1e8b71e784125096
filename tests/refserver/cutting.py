"""Connections that break: a proxy that cuts them where a test says.

Rule: what passes is not changed; only where it ends is.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.refserver.clients import TIMEOUT, Client
from tests.support.server import Running

from eventcodec import Message, Ping, Reply


class Cutter:
    """A proxy that cuts each connection when so many bytes have passed one way.

    `cuts` holds for each connection to come how many; after them nothing is cut. With
    `silent` the server is not told: it still has the old connection when the new one comes.
    """

    def __init__(self, server_port: int, cuts: list[int], *, upstream: bool, silent: bool) -> None:
        self._server_port = server_port
        self._cuts = deque(cuts)
        self._upstream = upstream
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.port = int(self._listener.getsockname()[1])
        self.cut = 0
        """Connections that were cut where the test said."""
        self._open: list[socket.socket] = [self._listener]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut everything, for good."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT)
        for sock in self._open:
            sock.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port), timeout=TIMEOUT)
            self._open += [client, server]
            cut = self._cuts.popleft() if self._cuts else None
            up, down = (cut, None) if self._upstream else (None, cut)
            for source, to, left in ((client, server, up), (server, client, down)):
                passing = threading.Thread(
                    target=self._pass, args=(source, to, client, left), daemon=True
                )
                passing.start()

    def _pass(
        self, source: socket.socket, to: socket.socket, client: socket.socket, left: int | None
    ) -> None:
        try:
            while left is None or left > 0:
                data = source.recv(65_536 if left is None else left)
                if not data:
                    break
                to.sendall(data)
                if left is not None:
                    left -= len(data)
        except OSError:
            pass
        if left == 0:
            self.cut += 1
        ended = [client] if self._silent and left == 0 else [source, to]
        for sock in ended:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutter(server: Running, cuts: list[int], **how: bool) -> Iterator[int]:
    proxy = Cutter(server.port, cuts, **how)
    try:
        yield proxy.port
    finally:
        proxy.close()


def said_by(bob: Client, user: str) -> list[str]:
    """What this user has said by now; its end may have been lost with its last connection."""
    bob.send(Ping())
    contents = []
    while not isinstance(event := bob.next(), Reply):
        if isinstance(event, Message) and event.sender == user:
            contents.append(event.content)
    return contents

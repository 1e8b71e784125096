"""Wireshark shows a chat that nobody wrote for it: a client in Rust, cut up on its way."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path
from random import Random

import pytest
from tests.conformance.test_foreign_clients import command_of
from tests.eventcodec import test_describe
from tests.eventcodec.captures import CLIENT, SERVER, Segment
from tests.eventcodec.test_describe import Tshark
from tests.support.server import running

from eventcodec import Message
from refserver.client.blocking import connect

ORDERS = ["say hello", "ping", "event 128 00ff", "say ☺", "logout"]
LONGEST_CUT = 7
tshark = test_describe.tshark


class Proxy:
    """Passes one connection on in pieces of a few bytes, and keeps each as a segment."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.segments: list[Segment] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._one_at_a_time = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._port))
        ways = [(CLIENT, client, server), (SERVER, server, client)]
        pumps = [threading.Thread(target=self._pump, args=way, daemon=True) for way in ways]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        client.close()
        server.close()

    def _pump(self, side: str, source: socket.socket, target: socket.socket) -> None:
        random = Random(side)
        while data := source.recv(65_536):
            while data:
                size = random.randint(1, LONGEST_CUT)
                with self._one_at_a_time:
                    target.sendall(data[:size])
                    self.segments.append((side, data[:size]))
                data = data[size:]
        target.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        """Wait for the end of the connection."""
        self._threads[0].join(600)
        self._listener.close()


@pytest.mark.once
def test_requests_and_replies_of_a_chat_in_rust_are_linked(
    tshark: Tshark, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = command_of("rust", tmp_path_factory)
    with running(tmp_path) as server, connect("localhost", server.port, user="kit") as kit:
        proxy = Proxy(server.port)
        command += ["localhost", str(proxy.port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as client:
            while "ann" not in str(next(kit)):
                pass
            for order in ORDERS:
                kit.say(Message(content=order))
            proxy.finish()
            assert client.wait(600) == 0

    rows = tshark(
        [proxy.segments], "eventproto.type", "eventproto.response_to", "_ws.expert.message"
    )

    types = [int(each, 16) for row in rows for each in row[0].split(",")]
    links = sum(len(row[1].split(",")) for row in rows if row[1])
    frames = dict.fromkeys((CLIENT, SERVER), b"")
    for side, data in proxy.segments:
        frames[side] += data
    whole = [f for side in frames for _, f in test_describe.each_frame([(side, frames[side])])]
    requests = 1 + len(ORDERS)
    assert max(len(data) for _, data in proxy.segments) <= LONGEST_CUT
    assert sorted(types) == sorted(frame[5] for frame in whole)
    assert links == requests
    assert {row[2] for row in rows} == {""}

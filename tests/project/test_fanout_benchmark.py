"""The load generator counts what is there, and refuses a server that cheats."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from benchmarks.fanout.build import has_openssl
from benchmarks.fanout.measure import MeasurementError, Sample, generate, run
from benchmarks.fanout.rows import Load
from benchmarks.fanout.servers import FLOOR, FLOOR_BATCHED, REFSERVER, Server

from eventcodec import Ack, Decoder, Login, Message, Welcome, decode, encode

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(
        shutil.which(os.environ.get("CC", "cc")) is None,
        reason="the load generator needs a C compiler",
    ),
]

BURST = Load(subscribers=5, bursts=3)
FACT_SIZE = len(encode(Message(sender="p0", content="x" * BURST.size, seq=1)))


@pytest.mark.parametrize("server", [FLOOR, FLOOR_BATCHED], ids=lambda server: server.name)
def test_every_delivery_and_every_byte_is_counted(server: Server) -> None:
    sample = run(server, BURST, seconds=1, warmup=0)

    assert sample["messages"] == 3
    assert sample["deliveries"] == 3 * 5
    assert sample["subscriber_bytes"] == 3 * 5 * FACT_SIZE
    assert len(sample["everybody_has_it_s"]) == 3
    assert sample["server_rss"] >= sample["server_rss_alone"] > 0


@pytest.mark.parametrize("server", [FLOOR, FLOOR_BATCHED], ids=lambda server: server.name)
def test_a_steady_flow_loses_nothing(server: Server) -> None:
    sample = run(server, Load(4, 3, 7), seconds=0.3, warmup=0.01)

    assert sample["lost"] == 0
    assert sample["messages"] > 0
    assert sample["member_bytes"] > sample["subscriber_bytes"] > 0


def test_a_closed_loop_has_one_message_on_its_way() -> None:
    sample = run(FLOOR, Load(4, closed=True), seconds=0.2, warmup=0.01)

    assert sample["lost"] == 0
    assert abs(sample["deliveries"] - 4 * sample["messages"]) <= 4
    assert sample["latency_us"]["p50"] > 0


def test_a_paced_flow_measures_how_late_its_messages_come() -> None:
    sample = run(FLOOR, Load(2, window=1_000, rate=500), seconds=0.2, warmup=0.01)

    assert sample["lost"] == 0
    assert sample["latency_us"]["p50"] > 0


def test_a_flow_over_tls_loses_nothing() -> None:
    if not has_openssl():
        pytest.skip("the load generator needs OpenSSL's headers and program for TLS")

    sample = run(REFSERVER, Load(4, 3, 7, tls=True), seconds=0.2, warmup=0.01)

    assert sample["lost"] == 0
    assert sample["deliveries"] > 0


def serve(listener: socket.socket, number: Callable[[int], int]) -> None:
    """A publisher and a subscriber; `number` returns the position of the nth message."""
    connections = [listener.accept()[0] for _ in range(2)]
    publisher, subscriber = connections[0], connections[1]
    for connection in connections:
        login = decode(connection.recv(4096))
        assert isinstance(login, Login)
        welcome = Welcome(
            seq=1, user=login.user, ticket=1, position=0, max_frame=65_536, heartbeat=0
        )
        connection.sendall(encode(welcome))
    decoder, said = Decoder(), 0
    try:
        while data := publisher.recv(65_536):
            decoder.receive_data(data)
            for message in decoder.events():
                assert isinstance(message, Message)
                said += 1
                fact = Message(seq=number(said), sender="p0", content=message.content)
                subscriber.sendall(encode(fact))
                publisher.sendall(encode(Ack(seq=message.seq, position=said)))
    except ConnectionError:
        pass  # the load generator resets its connections when it has seen enough
    for connection in connections:
        connection.close()


@contextmanager
def serving(number: Callable[[int], int]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve, args=(listener, number), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)


def burst_against(number: Callable[[int], int]) -> Sample:
    with serving(number) as port:
        return generate("event", Load(subscribers=1, bursts=3), port, seconds=1, warmup=0)


def test_a_server_that_keeps_the_positions_is_measured() -> None:
    assert burst_against(lambda said: said)["deliveries"] == 3


@pytest.mark.parametrize(
    "number", [lambda said: said + 1, lambda said: 1], ids=["skipped", "repeated"]
)
def test_a_server_that_breaks_the_positions_is_refused(number: Callable[[int], int]) -> None:
    with pytest.raises(MeasurementError, match="position"):
        burst_against(number)

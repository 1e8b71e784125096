"""Accepting goes on for ever, and costs nothing while it cannot."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.support.ports import unused_port

from refserver.server.listener import ACCEPTS, Listeners, is_there, listen, resolve


class Loop:
    """An event loop in the test's hands: what would be read, and what would be called when."""

    def __init__(self) -> None:
        self.readers: dict[object, Callable[[], None]] = {}
        self.later: list[tuple[float, Callable[[], None]]] = []

    def add_reader(self, of: object, call: Callable[..., None], *arguments: Any) -> None:
        self.readers[of] = lambda: call(*arguments)

    def remove_reader(self, of: object) -> None:
        self.readers.pop(of, None)

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        self.later.append((seconds, lambda: call(*arguments)))


class Listener:
    """A listening socket whose `accept` does what it is told, and then would block."""

    def __init__(self) -> None:
        self.next: list[OSError | socket.socket] = []

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        result = self.next.pop(0) if self.next else BlockingIOError()
        if isinstance(result, OSError):
            raise result
        return result, ("192.0.2.1", 4000)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 3000

    def close(self) -> None:
        pass


class Accepting:
    """Listeners on a listener and a loop in the test's hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listener = Listener()
        self.loop = Loop()
        self.accepted: list[str] = []
        monkeypatch.setattr(
            "refserver.server.listener.listen", lambda addresses, port: [self.listener]
        )
        self.listeners = Listeners(cast(Any, self.loop), self.accept)
        self.listeners.open(["127.0.0.1"], 0)

    def accept(self, sock: socket.socket, address: str) -> None:
        assert not sock.getblocking()
        self.accepted.append(address)

    @property
    def listens(self) -> bool:
        return self.listener in self.loop.readers

    def ready(self, *results: OSError | socket.socket) -> None:
        """`accept` returns these, and the loop sees that somebody is there."""
        self.listener.next[:] = results
        self.loop.readers[self.listener]()

    def wait(self) -> float:
        """Let the time pass until the next try. Returns how long that was."""
        ((seconds, call),) = self.loop.later
        self.loop.later.clear()
        call()
        return seconds


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> Accepting:
    return Accepting(monkeypatch)


@pytest.fixture
def peer() -> Any:
    with socket.socket() as sock:
        yield sock


def test_who_comes_is_handed_over_with_the_address(accepting: Accepting, peer: Any) -> None:
    accepting.ready(peer)

    assert accepting.accepted == ["192.0.2.1"]


def test_others_have_their_turn_while_many_come(accepting: Accepting, peer: Any) -> None:
    accepting.ready(*[peer] * (ACCEPTS + 1))

    assert len(accepting.accepted) == ACCEPTS


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPROTO])
def test_what_stands_in_the_way_is_waited_for_longer_and_longer(
    accepting: Accepting, number: int
) -> None:
    pauses = []
    for _ in range(10):
        accepting.ready(OSError(number, "no"))
        assert not accepting.listens
        pauses.append(accepting.wait())

    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0]


def test_after_a_success_the_wait_is_short_again(accepting: Accepting, peer: Any) -> None:
    accepting.ready(OSError(errno.EMFILE, "no"))
    accepting.wait()
    accepting.ready(peer)
    accepting.ready(OSError(errno.EMFILE, "no"))

    assert accepting.wait() == 0.01


def test_a_client_that_has_gone_by_then_is_no_reason_to_wait(accepting: Accepting) -> None:
    accepting.ready(ConnectionAbortedError())

    assert accepting.listens


def test_a_wait_is_logged(accepting: Accepting, monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, object]] = []
    monkeypatch.setattr(
        "refserver.server.listener.log_event",
        lambda kind, **fields: noted.append((kind, fields["error"])),
    )

    accepting.ready(OSError(errno.EMFILE, "Too many open files"))

    assert noted == [("accept", "Too many open files")]


def test_nothing_is_accepted_after_the_close(accepting: Accepting) -> None:
    accepting.ready(OSError(errno.EMFILE, "no"))
    accepting.listeners.close()

    accepting.wait()

    assert not accepting.listens


def test_a_free_port_is_free_on_all_addresses() -> None:
    sockets = listen(["127.0.0.1", "127.0.0.2"], 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        for sock in sockets:
            sock.close()


def test_a_port_that_is_taken_is_an_error_and_leaves_no_socket_open() -> None:
    port = unused_port()
    (taken,) = listen(["127.0.0.2"], port)
    with taken:
        with pytest.raises(OSError) as caught:
            listen(["127.0.0.1", "127.0.0.2"], port)

        assert caught.value.errno == errno.EADDRINUSE
        (again,) = listen(["127.0.0.1"], port)
        again.close()


def test_localhost_is_loopback_only() -> None:
    assert set(resolve("localhost")) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("there", "resolved"),
    [
        ({"127.0.0.1", "::1"}, ["127.0.0.1", "::1"]),
        ({"127.0.0.1"}, ["127.0.0.1"]),
        ({"::1"}, ["::1"]),
        (set(), ["127.0.0.1"]),  # whose error is the one that is told
    ],
)
def test_localhost_is_what_there_is_of_it(
    monkeypatch: pytest.MonkeyPatch, there: set[str], resolved: list[str]
) -> None:
    monkeypatch.setattr("refserver.server.listener.is_there", there.__contains__)

    assert resolve("localhost") == resolved


def test_an_address_that_nobody_has_is_not_there() -> None:
    assert is_there("127.0.0.1")
    assert not is_there("192.0.2.1")
    assert not is_there("2001:db8::1")


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_no_host_is_every_address(host: str) -> None:
    assert "0.0.0.0" in resolve(host)

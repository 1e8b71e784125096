"""The fixtures that a client's own tests get, used as such a project uses them."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

IMPORTS = """
import socket
import pytest
from eventcodec import ClientConnection, Login, Logout, Message, RemoteProtocolError, Welcome


def talk(address, *requests):
    conn = ClientConnection()
    seen = []
    for request in (Login(user="ann"), *requests):
        conn.send(request)
    with socket.create_connection(address) as sock:
        while not conn.ended:
            sock.sendall(conn.data_to_send())
            conn.receive_data(sock.recv(65536))
            seen += conn.events()
    end = seen.pop()
    if end.error is not None:
        raise end.error
    return seen
"""


def run(pytester: pytest.Pytester, test: str) -> pytest.RunResult:
    pytester.makepyfile(IMPORTS + test)
    return pytester.runpytest("-p", "no:cacheprovider", "--strict-markers")


def test_the_real_server_is_three_lines_away(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(refserver):
    seen = talk(refserver.address, Message(content="hello"), Logout())
    assert [type(reply.event).__name__ for reply in seen] == ["Welcome", "Ack", "Ack"]
""",
    )

    result.assert_outcomes(passed=1)


def test_each_test_has_a_room_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("n", [1, 2])
def test_it(refserver, n):
    welcome, _ = talk(refserver.address, Logout())
    assert welcome.event.position == 1
""",
    )

    result.assert_outcomes(passed=2)


def test_a_marker_gives_the_server_options(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.refserver("--no-presence", "--heartbeat", 7)
def test_it(refserver):
    welcome, _ = talk(refserver.address, Logout())
    assert (welcome.event.position, welcome.event.heartbeat) == (0, 7)
""",
    )

    result.assert_outcomes(passed=1)


def test_the_server_can_be_stopped_in_good_order(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(refserver):
    assert refserver.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(refserver.address)
""",
    )

    result.assert_outcomes(passed=1)


def test_a_server_that_does_not_start_is_an_error_with_its_reason(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
@pytest.mark.refserver("--heartbeat", "often")
def test_it(refserver):
    pass
""",
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the server did not start*", "*'often' is not*"])


SCRIPTED = """
def test_it(scripted_peer):
    def script(server):
        server.welcome()
        server.send(server.message("bob", "one"))
        {more}

    scripted_peer.plays(script)
    {look}
"""


def test_a_script_may_break_the_protocol(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        SCRIPTED.format(
            more='server.place += 1; server.send(server.message("bob", "three"))',
            look="with pytest.raises(RemoteProtocolError): talk(scripted_peer.address)",
        ),
    )

    result.assert_outcomes(passed=1)


def test_a_script_may_await_what_the_client_sends(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        SCRIPTED.format(
            more="server.send(server.ack(server.asked(Logout.type))); server.finish()",
            look="assert len(talk((scripted_peer.host, scripted_peer.port), Logout())) == 3",
        ),
    )

    result.assert_outcomes(passed=1)


def test_what_a_script_awaits_in_vain_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        SCRIPTED.format(
            more="server.asked(Message.type)",
            look="""with socket.create_connection(scripted_peer.address) as sock:
        conn = ClientConnection()
        conn.send(Login(user="ann"))
        sock.sendall(conn.data_to_send())
        sock.recv(65536)
        sock.shutdown(socket.SHUT_WR)
        scripted_peer.done()""",
        ),
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*expected a Message from the client*the end of the stream*"])


def test_nobody_needs_to_play(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(scripted_peer):
    with socket.create_connection(scripted_peer.address) as sock:
        scripted_peer.server.accept()
        scripted_peer.server.send(bytes(4))
        assert sock.recv(4) == bytes(4)
""",
    )

    result.assert_outcomes(passed=1)

"""The fixtures that a client's own tests get, used as such a project uses them."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from tests.support.server import launched

from refserver import launcher
from refserver.launcher import RunningServer

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


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers of the plugin start warm. The other tests show how they start by themselves."""
    monkeypatch.setattr(launcher, "launched", launched)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


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


@pytest.mark.usefixtures("warm")
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


@pytest.mark.usefixtures("warm")
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


@pytest.mark.usefixtures("warm")
def test_a_marker_takes_settings_by_name_and_the_closest_one_holds(
    pytester: pytest.Pytester,
) -> None:
    result = run(
        pytester,
        """
@pytest.mark.refserver("--server-name", "class", heartbeat=7, presence=False)
class TestIt:
    @pytest.mark.refserver("--server-name", "function", heartbeat=9)
    def test_both(self, refserver):
        welcome, _ = talk(refserver.address, Logout())
        told = welcome.event
        assert (told.server, told.position, told.heartbeat) == ("function", 0, 9)

    @pytest.mark.refserver(presence=True)
    def test_as_it_is_by_itself(self, refserver):
        welcome, _ = talk(refserver.address, Logout())
        assert (welcome.event.position, welcome.event.heartbeat) == (1, 7)
""",
    )

    result.assert_outcomes(passed=2)


def test_a_setting_that_is_none_is_an_error(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.refserver(heartbeet=1)
def test_it(refserver):
    pass
""",
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no setting 'heartbeet'; did you mean 'heartbeat'?*"])


def test_neither_the_current_folder_nor_the_machine_gets_into_the_server(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFSERVER_HEARTBEAT", "often")
    monkeypatch.setenv("REFSERVER_PORT", "1")
    for name in ("refserver", "token", "select", "click"):
        (pytester.path / f"{name}.py").write_text("raise SystemExit('not this one')")

    result = run(
        pytester,
        """
def test_it(refserver):
    welcome, _ = talk(refserver.address, Logout())
    assert welcome.event.heartbeat == 20
""",
    )

    result.assert_outcomes(passed=1)


@pytest.mark.usefixtures("warm")
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_a_server_on_another_address_is_reached_there(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.refserver("--host", "::1")
def test_it(refserver):
    assert refserver.host == "::1"
    assert len(talk(refserver.address, Logout())) == 2
""",
    )

    result.assert_outcomes(passed=1)


@pytest.mark.usefixtures("warm")
def test_a_session_has_one_server_and_a_test_a_fresh_one(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.parametrize("position", [1, 3])
def test_it(refserver, refserver_session, position):
    assert refserver.address != refserver_session.address
    shared, _ = talk(refserver_session.address, Logout())
    own, _ = talk(refserver.address, Logout())
    assert (shared.event.position, own.event.position) == (position, 1)
""",
    )

    result.assert_outcomes(passed=2)


@pytest.mark.usefixtures("warm")
def test_a_factory_makes_servers_for_fixtures_of_any_scope(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.fixture(scope="module")
def two(refserver_factory):
    return refserver_factory("--no-presence"), refserver_factory(presence=False, heartbeat=7)

@pytest.mark.parametrize("position", [0, 1])
def test_it(two, position):
    for server, heartbeat in zip(two, (20, 7)):
        welcome, *_ = talk(server.address, Message(content="hi"), Logout())
        assert (welcome.event.position, welcome.event.heartbeat) == (position, heartbeat)

def test_one_can_be_stopped(two):
    assert two[0].stop() == 0
""",
    )

    result.assert_outcomes(passed=3)


@pytest.mark.usefixtures("warm")
def test_a_server_that_runs_already_is_used_and_not_stopped(
    pytester: pytest.Pytester, refserver: RunningServer
) -> None:
    pytester.makepyfile(
        IMPORTS
        + """
from refserver.launcher import NotOurs

def test_it(refserver, refserver_session):
    assert refserver == refserver_session
    assert len(talk(refserver.address, Logout())) == 2
    with pytest.raises(NotOurs):
        refserver.stop()

@pytest.mark.refserver(heartbeat=1)
def test_another(refserver):
    pass
"""
    )

    where = f"{refserver.host}:{refserver.port}"
    result = pytester.runpytest("-p", "no:cacheprovider", "--refserver-address", where)

    result.assert_outcomes(passed=1, skipped=1)
    with socket.create_connection(refserver.address):
        pass  # it listens on


def test_an_address_that_is_none_is_a_mistake_of_the_command_line(
    pytester: pytest.Pytester,
) -> None:
    result = pytester.runpytest("--refserver-address", "localhost:many")

    assert result.ret is pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--refserver-address*localhost:many*"])


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)"])
def test_no_server_outlives_its_test_run(pytester: pytest.Pytester, end: str) -> None:
    pytester.makepyfile(f"import os, signal\ndef test_it(refserver):\n    {end}\n")
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider"]

    # The server holds the other end of this pipe: it is read to its end when it has gone.
    done = subprocess.run(
        command, cwd=pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
    )

    assert done.returncode != 0


@pytest.mark.usefixtures("warm")
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


@pytest.mark.usefixtures("warm")
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

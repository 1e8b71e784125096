"""Fixtures for the tests of a client: the real server, and one that follows a script.

Rule: pytest loads this module in every run of an environment with refserver, so it must cost
nothing if it is not used. It imports the kit only in a fixture.

Layer: beside the command line; nothing of the package knows it.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conformance.peer.script import Script
    from .launcher import RunningServer
    from .watch.beside import FaultyServer

__all__ = [
    "Disturb",
    "Launch",
    "ScriptedPeer",
    "faulty_server",
    "pytest_addoption",
    "pytest_configure",
    "refserver",
    "refserver_factory",
    "refserver_session",
    "scripted_peer",
]

Launch = Callable[..., "RunningServer"]
"""`make(*options, **settings)`: a server with these settings, until the session ends."""
Disturb = Callable[..., "FaultyServer"]
"""`faulty_server(*rules, seed=0)`: the server of the test behind a proxy that disturbs."""
ADDRESS = "--refserver-address"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for a server that runs already."""
    parser.getgroup("refserver").addoption(
        ADDRESS,
        metavar="HOST:PORT",
        help="Give the tests this server, which runs already, instead of starting one. "
        "Tests that set options of the server are skipped.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and refuse an address that is none."""
    config.addinivalue_line(
        "markers",
        "refserver(*options, **settings): options of `refserver serve` for the refserver "
        'fixture, as "--heartbeat", 1 or as heartbeat=1',
    )
    if (given := config.getoption(ADDRESS)) is not None:
        from .arguments import address

        try:
            address(given)
        except ValueError as error:
            raise pytest.UsageError(f"{ADDRESS} {given!r}: {error}") from None


@pytest.fixture
def refserver(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """A server with an empty room for one test; `@pytest.mark.refserver(...)` sets its options.

    With `--refserver-address` it is that server, and all tests share its room.
    """
    # The closest marker is first in the list, and the last value of an option counts.
    markers = list(request.node.iter_markers("refserver"))[::-1]
    words = [word for marker in markers for word in marker.args]
    settings = {name: value for marker in markers for name, value in marker.kwargs.items()}
    if (already := running_already(request.config)) is None:
        with started(*words, **settings) as server:
            yield server
    elif words or settings:
        pytest.skip(f"sets options of the server, and {ADDRESS} is given")
    else:
        yield already


@pytest.fixture(scope="session")
def refserver_session(pytestconfig: pytest.Config) -> Iterator[RunningServer]:
    """One server, with one room, for all tests that ask for it; faster than one for each test.

    With `--refserver-address` it is that server.
    """
    if (already := running_already(pytestconfig)) is not None:
        yield already
        return
    with started() as server:
        yield server


@pytest.fixture(scope="session")
def refserver_factory() -> Iterator[Launch]:
    """`refserver_factory(*options, **settings)` starts a server; it ends with the session.

    For fixtures of any scope, and for tests that need two servers or stop one:
    `refserver_factory(heartbeat=1)`. Each call starts a server, also with `--refserver-address`.
    """
    with ExitStack() as servers:
        yield lambda *options, **settings: servers.enter_context(started(*options, **settings))


def running_already(config: pytest.Config) -> RunningServer | None:
    """The server of `--refserver-address`, or None."""
    given = config.getoption(ADDRESS)
    if given is None:
        return None
    from .arguments import address
    from .launcher import RunningServer

    return RunningServer(*address(given))


@contextmanager
def started(*options: object, **settings: object) -> Iterator[RunningServer]:
    """A server with these settings, until the block ends; a test fails if it does not start."""
    from .launcher import NotStarted, launched

    try:
        # Its log goes to the stderr of the test, so that pytest shows it with a failure.
        with launched(*map(str, options), *options_of(settings)) as server:
            yield server
    except NotStarted as error:
        pytest.fail(f"the server did not start: {error}", pytrace=False)


def options_of(settings: Mapping[str, object]) -> Iterator[str]:
    """Settings of the server as its command line has them."""
    if not settings:
        return  # and nothing is imported
    from .server.config import Config

    known = {field.name: field.default for field in dataclasses.fields(Config)}
    for name, value in settings.items():
        if name not in known:
            from .arguments import near

            meant = near(name, known) or "; see `refserver serve --help`"
            pytest.fail(f"refserver: no setting {name!r}{meant}", pytrace=False)
        option = name.replace("_", "-")
        if value is known[name]:
            continue
        if isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        else:
            yield from (f"--{option}", str(value))


class ScriptedPeer:
    """A server that follows a script; `server` is what the script gets."""

    def __init__(self, server: Script) -> None:
        self.server = server
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as `socket.create_connection` takes them."""
        return self.server.address

    @property
    def host(self) -> str:
        return self.address[0]

    @property
    def port(self) -> int:
        return self.address[1]

    def plays(self, script: Callable[[Script], object]) -> None:
        """Play the script beside the test, from now on."""
        self._thread = threading.Thread(target=self._play, args=(script,), daemon=True)
        self._thread.start()

    def _play(self, script: Callable[[Script], object]) -> None:
        try:
            script(self.server)
        except BaseException as failure:
            self._failure = failure  # the test's thread raises it

    def done(self) -> None:
        """Wait until the script is played to its end; raises what it raised."""
        if self._thread is not None:
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


@pytest.fixture
def scripted_peer() -> Iterator[ScriptedPeer]:
    """A server that follows the test: it can be right or wrong, send pieces, or send nothing."""
    from .conformance.attempt import Setting
    from .conformance.peer.run import LOOPBACK
    from .conformance.peer.script import Script

    setting = Setting(address=LOOPBACK, timeout=5.0, capabilities=frozenset())
    server = Script(setting)
    try:
        peer = ScriptedPeer(server)
        yield peer
        peer.done()
    finally:
        server.close()


@pytest.fixture
def faulty_server(refserver: RunningServer) -> Iterator[Disturb]:
    """`faulty_server("drop Ack:3", seed=7)` disturbs what passes between the test and the server.

    The rules are those of `refserver proxy --rules`. What comes has `address`, as `refserver` has,
    `did` in words, and the judge's `findings`. A test fails where a rule makes no sense.
    """
    from .watch.beside import beside
    from .watch.disturbing import RuleError, rules_in

    def disturb(*rules: str, seed: int = 0) -> FaultyServer:
        try:
            read = rules_in("\n".join(rules))
        except RuleError as error:
            pytest.fail(f"faulty_server: {error}", pytrace=False)
        return proxies.enter_context(beside(refserver.address, read, seed=seed))

    with ExitStack() as proxies:
        yield disturb

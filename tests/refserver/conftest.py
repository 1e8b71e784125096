"""What the tests of the server share: a running one, certificates, and a stopped clock.

The certificates are made here, by an authority that nobody else trusts.
"""

from __future__ import annotations

import asyncio
import inspect
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.support.redis import RedisServer, redis_server
from tests.support.server import Running, running
from tests.support.stopped import StoppedLoop


class Authority:
    """A certificate authority with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str = "localhost", file: str = "server.pem") -> Path:
        """A file with a key and a certificate for this common name."""
        path = self._folder / file
        issued = self._ca.issue_cert("localhost", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def client(self, name: str | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority, with a certificate for `name`."""
        context = ssl.create_default_context(cafile=str(self.file))
        if name is not None:
            context.load_cert_chain(self.issue(name, "client.pem"))
        return context


@pytest.fixture(scope="session", autouse=True)
def descriptors() -> Iterator[None]:
    """As many as there may be, also in the processes that are started: crowds need thousands."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server, shared by the tests of a module. It pings nobody, however seldom somebody reads."""
    with running(tmp_path_factory.mktemp("server"), "--heartbeat", "0") as server:
        yield server


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same in Python's and asyncio's debug modes; no word of it may be unexpected."""
    with running(tmp_path_factory.mktemp("checked"), "--heartbeat", "0", dev=True) as server:
        yield server


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis, shared by the tests of a module."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine, in a loop whose clock stands still, in debug mode."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in wanted}
    with asyncio.Runner(debug=True, loop_factory=StoppedLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, StoppedLoop)
        runner.run(pyfuncitem.obj(**arguments))
    assert loop.unhandled == []
    return True

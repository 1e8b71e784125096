"""The configurations on the page, in the real proxies."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.refserver.clients import TIMEOUT, Client
from tests.refserver.conftest import Authority
from tests.support.ports import unused_port
from tests.support.server import Running, running

from eventcodec import Ack, Login, Logout, Ping, Pong, Welcome

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs" / "behind-a-proxy.md"
STREAM = (Path("/usr/lib/nginx/modules/ngx_stream_module.so"),)


def blocks(kind: str) -> list[str]:
    """The configurations under the heading of this proxy."""
    section = re.split(rf"^## {kind}$", PAGE.read_text(), flags=re.MULTILINE | re.IGNORECASE)[1]
    return [each.partition("\n")[2] for each in section.split("\n## ")[0].split("```")[1::2]]


def program(name: str) -> str:
    """The proxy's path, or skip where it is missing."""
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def haproxy(folder: Path, text: str) -> list[str]:
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return [program("haproxy"), "-db", "-f", str(file)]


def nginx(folder: Path, text: str) -> list[str]:
    path = program("nginx")
    modules = [str(each) for each in STREAM if each.exists()]
    version = subprocess.run([path, "-V"], capture_output=True, text=True).stderr
    if not modules and not re.search(r"--with-stream(?!=dynamic|_)", version):
        pytest.skip("nginx has no stream module")
    file = folder / "nginx.conf"
    file.write_text(
        "".join(f"load_module {each};\n" for each in modules)
        + f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
        + f"error_log {folder}/error.log;\nevents {{}}\n{text}"
    )
    return [path, "-p", str(folder), "-c", str(file)]


@contextmanager
def started(command: list[str], port: int) -> Iterator[None]:
    """The proxy while it listens on this port."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            while True:
                assert process.poll() is None, process.stdout and process.stdout.read()
                try:
                    socket.create_connection(("127.0.0.1", port), TIMEOUT).close()
                    break
                except ConnectionRefusedError:
                    continue
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def proxied(
    kind: str, folder: Path, certificate: Path, change: Callable[[str], str] = str
) -> Iterator[tuple[Running, int]]:
    """A server behind the proxy of the page, and the proxy's port."""
    port = unused_port()
    with running(folder, "--proxy-protocol", "127.0.0.1,::1") as server:
        text = change(blocks(kind)[0]).replace("127.0.0.1:3000", f"127.0.0.1:{server.port}")
        text = re.sub(r"/etc/(haproxy|nginx)/room.pem", str(certificate), text)
        text = re.sub(r":3022|(?<=listen )3022", f"127.0.0.1:{port}", text)
        make = haproxy if kind == "haproxy" else nginx
        with started(make(folder, text), port):
            yield server, port


def version_1(text: str) -> str:
    return text.replace("send-proxy-v2", "send-proxy")


@pytest.mark.parametrize(
    ("kind", "change"),
    [("haproxy", str), ("haproxy", version_1), ("nginx", str)],
    ids=["haproxy-2", "haproxy-1", "nginx"],
)
def test_the_proxy_of_the_page_brings_the_clients_address(
    authority: Authority, tmp_path: Path, kind: str, change: Callable[[str], str]
) -> None:
    context = authority.client()
    with proxied(kind, tmp_path, authority.issue(), change) as (server, port):
        # An address of its own; the proxy itself connects from 127.0.0.1.
        raw = socket.create_connection(
            ("127.0.0.1", port), TIMEOUT, source_address=("127.0.0.7", 0)
        )
        with context.wrap_socket(raw, server_hostname="localhost") as sock:
            ann = Client(sock)
            assert isinstance(ann.ask(Login(user="ann")), Welcome)
            assert isinstance(ann.ask(Ping()), Pong)
            assert isinstance(ann.ask(Logout()), Ack)

    assert 'login user="ann" peer="127.0.0.7"' in server.log


def test_a_client_of_a_server_that_has_ended_reaches_another_one(
    authority: Authority, tmp_path: Path
) -> None:
    """Without `redispatch` every second client is sent to the one that has ended."""
    context = authority.client()

    def several(text: str) -> str:
        backend = blocks("haproxy")[1].replace(" check\n", "\n")  # nobody has noticed it yet
        ended, runs = "one 127.0.0.1:3000", "two 127.0.0.1:3001"
        backend = backend.replace(ended, f"one 127.0.0.1:{unused_port()}")
        return text.partition("\nbackend ")[0] + "\n" + backend.replace(runs, "two 127.0.0.1:3000")

    with proxied("haproxy", tmp_path, authority.issue(), several) as (_, port):
        for user in ("ann", "bob", "cid"):
            raw = socket.create_connection(("127.0.0.1", port), TIMEOUT)
            with context.wrap_socket(raw, server_hostname="localhost") as sock:
                assert isinstance(Client(sock).ask(Login(user=user)), Welcome)

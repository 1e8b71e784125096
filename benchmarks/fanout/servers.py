"""The servers that are compared: how each is found, started and ended.

Rule: every server runs with the settings that serve it best here: no
persistence, no limit that would drop a slow subscriber, one core.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.fanout.build import program

START_SECONDS = 10.0
END_SECONDS = 10.0
MEMBERS = 16_384  # more than any row has


class CannotStart(Exception):
    """A server did not begin to listen."""


@dataclass(frozen=True)
class Server:
    """One server under test."""

    name: str
    title: str
    protocol: str
    """What the load generator speaks to it."""
    find: Callable[[], str | None]
    """The program, or None where it is not installed."""
    arguments: Callable[[int, Path, bool], list[str]]
    """The command line behind the program, for a port, a scratch folder, and TLS or not."""
    version_arguments: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    """What is set in its environment."""

    def version(self) -> str:
        """The first line that it says of itself."""
        found = self.find()
        if found is None:
            return "not installed"
        if not self.version_arguments:
            return self.title
        done = subprocess.run(
            [found, *self.version_arguments], capture_output=True, text=True, check=False
        )
        return (done.stdout or done.stderr).strip().splitlines()[0]


def _installed(name: str) -> Callable[[], str | None]:
    # Debian keeps daemons in sbin, which is not on everybody's PATH.
    return lambda: shutil.which(
        name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    )


def _certificate(folder: Path) -> tuple[str, str]:
    """A certificate for loopback that signs itself, and its key: two files."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = (
        "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost"
    )
    command = [*make.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return str(certificate), str(key)


def _redis(port: int, folder: Path, tls: bool) -> list[str]:
    settings = {
        "port": "0" if tls else str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "maxclients": str(MEMBERS),
        "client-output-buffer-limit": "pubsub 0 0 0",
    }
    if tls:
        certificate, key = _certificate(folder)
        settings |= {
            "tls-port": str(port),
            "tls-cert-file": certificate,
            "tls-key-file": key,
            "tls-ca-cert-file": certificate,
            "tls-auth-clients": "no",
        }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def _mosquitto(port: int, folder: Path, tls: bool) -> list[str]:
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\n"
        "allow_anonymous true\n"
        "set_tcp_nodelay true\n"
        "persistence false\n"
        "max_queued_messages 0\n"
        "max_inflight_messages 0\n"
        "log_type error\n"
    )
    return ["-c", str(config)]


def _nats(port: int, folder: Path, tls: bool) -> list[str]:
    config = folder / "nats.conf"
    config.write_text(
        f"listen: 127.0.0.1:{port}\nmax_connections: {MEMBERS}\n"
        "max_pending: 1GB\nwrite_deadline: '60s'\n"
    )
    return ["-c", str(config)]


def _refserver(port: int, folder: Path, tls: bool) -> list[str]:
    command = ["serve", str(port), "--host", "127.0.0.1", "--connections", str(MEMBERS)]
    if tls:
        certificate, key = _certificate(folder)
        command += ["--tls-cert", certificate, "--tls-key", key]
    return command


REFSERVER = Server(
    "refserver",
    "refserver",
    "event",
    # The one that is installed beside this interpreter.
    lambda: shutil.which("refserver", path=str(Path(sys.executable).parent)),
    _refserver,
    ("--version",),
)
PURE = replace(
    REFSERVER,
    name="refserver-pure",
    title="refserver, pure Python",
    variables=(("EVENTCODEC_PURE", "1"),),
)
REDIS = Server(
    "redis", "Redis pub/sub", "redis", _installed("redis-server"), _redis, ("--version",)
)
MOSQUITTO = Server("mosquitto", "Mosquitto", "mqtt", _installed("mosquitto"), _mosquitto, ("-h",))
NATS = Server("nats", "NATS", "nats", _installed("nats-server"), _nats, ("--version",))
FLOOR = Server(
    "floor",
    "C floor, one write per delivery",
    "event",
    lambda: str(program("floor")),
    lambda port, folder, tls: [str(port)],
)
FLOOR_BATCHED = Server(
    "floor-batched",
    "C floor, one write per member and turn",
    "event",
    lambda: str(program("floor")),
    lambda port, folder, tls: [str(port), "--batched"],
)

SERVERS = {s.name: s for s in (REFSERVER, PURE, REDIS, NATS, MOSQUITTO, FLOOR, FLOOR_BATCHED)}


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Processes begun inside run on one core, with all the threads they start."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise CannotStart(log.read_text(errors="replace").strip()[-300:] or "it does not listen")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running(server: Server, core: int, *, tls: bool = False) -> Iterator[tuple[int, int]]:
    """A fresh server on one core; its port and its process id."""
    found = server.find()
    if found is None:
        raise CannotStart(f"{server.title} is not installed")
    with tempfile.TemporaryDirectory(prefix="fanout-") as name:
        folder, port = Path(name), _free_port()
        log = folder / "log"
        with log.open("wb") as output, pinned(core):
            command = [found, *server.arguments(port, folder, tls)]
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=os.environ | dict(server.variables),
            )
        try:
            _await_listening(process, port, log)
            yield port, process.pid
        finally:
            _end(process)

"""A capture of TLS is read with the keys of its connections."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result
from tests.support.raw import ACK, MESSAGE, frame, login, message, short
from tests.support.server import launched
from tests.watch.kit import forwarding

from refserver.cli import main
from refserver.watch.capture import CaptureWriter
from refserver.watch.conversation import Bytes, Ended, How, Item, Missing, Opened, Side
from refserver.watch.judge import judged
from refserver.watch.sources import items_of
from refserver.watch.tls_capture import read_tls_capture

CLIENT, SERVER = Side.CLIENT, Side.SERVER
WRONG = frame(MESSAGE, 2, short("ann") + b"hello")
LONG = message("x" * 40_000, 3)

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="no tshark is installed")


def read_frame(sock: ssl.SSLSocket) -> bytes:
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        data += sock.recv(1)
    return data


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """A talk over TLS, captured behind the client: the capture, its key log, and the port."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = folder / "cert.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.keylog_filename = str(folder / "keys.txt")
    items: list[Item] = []
    with (
        launched("--quiet", "--tls-cert", str(certificate)) as server,
        forwarding(server.port, items) as port,
        socket.create_connection(("127.0.0.1", port), 30.0) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        sock.sendall(login("ann"))
        read_frame(sock)
        sock.sendall(WRONG)
        read_frame(sock)
        sock.sendall(LONG)
        assert read_frame(sock)[5] == ACK
    with (folder / "talk.pcap").open("wb") as file:
        writer = CaptureWriter(file, started=1_700_000_000.0)
        for item in items:
            writer.take(item)
    return folder / "talk.pcap", folder / "keys.txt", server.port


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@needs_tshark
def test_its_frames_come_out_and_are_judged(capture: tuple[Path, Path, int]) -> None:
    path, keys, port = capture
    items = list(items_of(path, port=port, keylog=keys))

    opened = items[0]
    assert isinstance(opened, Opened)
    assert (opened.whole, opened.secure) == (True, True)
    assert opened.server == f"127.0.0.1:{port}"
    said = b"".join(each.data for each in items if isinstance(each, Bytes) and each.side is CLIENT)
    assert said == login("ann") + WRONG + LONG
    found = judged(items).notes.findings
    assert [(each.statement, each.side) for each in found] == [("EP-3.3-2", CLIENT)]


@needs_tshark
def test_without_the_right_keys_nothing_is_judged(
    capture: tuple[Path, Path, int], tmp_path: Path
) -> None:
    path, _, port = capture
    (tmp_path / "other").write_text(f"CLIENT_RANDOM {'00' * 32} {'00' * 48}\n")

    done = run("judge", path, "--port", port, "--keylog", tmp_path / "other")

    assert done.exit_code == 3


@needs_tshark
def test_what_tshark_cannot_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(b"\xd4\xc3\xb2\xa1")
    keys = tmp_path / "keys"
    keys.write_text("CLIENT_RANDOM 00 00\n")

    done = run("judge", path, "--port", "3000", "--keylog", keys)

    assert done.exit_code == 2
    assert "tshark: " in done.output


def test_without_tshark_it_says_what_to_install(
    capture: tuple[Path, Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    path, keys, port = capture

    done = run("judge", path, "--port", port, "--keylog", keys)

    assert done.exit_code == 2
    assert "install Wireshark's tshark" in done.output


def test_a_key_log_needs_a_capture_and_a_port(capture: tuple[Path, Path, int]) -> None:
    path, keys, _ = capture

    for words in ((path,), (keys, "--port", "3000")):
        done = run("watch", *words, "--keylog", keys)
        assert done.exit_code == 2
        assert "a key log is for a capture, and needs the server's port" in done.output


@needs_tshark
@pytest.mark.parametrize("text", ["", "\n", "# keys\n", "CLIENT_RANDOM\n"])
def test_a_key_log_without_a_key_is_named(
    capture: tuple[Path, Path, int], tmp_path: Path, text: str
) -> None:
    path, _, port = capture
    keys = tmp_path / "keys"
    keys.write_text(text)

    done = run("watch", path, "--keylog", keys, "--port", port)

    assert done.exit_code == 2
    assert f"{path}: {keys} holds no key of TLS" in done.output


def test_gaps_resets_and_a_middle_are_told_as_tshark_tells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a tshark of the test's own: lost segments cannot be made to order."""
    lines = [
        "10.0\t0\t\t::1\t9\t5\t\t::2\tFalse\tFalse\tFalse\t\t\t0102,03",
        "10.5\t0\t\t::2\t5\t9\t\t::1\tFalse\tFalse\tFalse\t1\t\t",
        "11.0\t0\t\t::1\t9\t5\t\t::2\tFalse\tFalse\tFalse\t\t1\t",
        "11.5\t0\t\t::1\t9\t5\t\t::2\tFalse\tTrue\tFalse\t\t\t",
        "12.0\t0\t\t::2\t5\t9\t\t::1\tFalse\tFalse\tTrue\t\t\t",
    ]
    tool = tmp_path / "tshark"
    tool.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("shutil.which", lambda name: str(tool))
    keys = tmp_path / "keys"
    keys.write_text("# SSL\nCLIENT_RANDOM 00 00\n")

    items = list(read_tls_capture(tmp_path / "x", keys, 5))

    assert items == [
        Opened(0.0, 1, "[::1]:9", "[::2]:5", False, True),
        Bytes(0.0, 1, CLIENT, b"\1\2"),
        Bytes(0.0, 1, CLIENT, b"\3"),
        Missing(0.5, 1, SERVER),
        Missing(1.0, 1, SERVER),
        Ended(1.5, 1, CLIENT, How.FIN),
        Ended(2.0, 1, SERVER, How.RESET),
    ]

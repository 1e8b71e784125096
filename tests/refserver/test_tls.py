"""TLS: what its files must hold, who gets in, and what a change of the files does."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from pathlib import Path

import pytest
from tests.refserver.clients import client, member
from tests.refserver.conftest import Authority
from tests.support.raw import ACK, logout
from tests.support.server import Running, running
from tests.support.stopped import hosting

from eventcodec import ConnectionLostError, Error, ErrorCode, Login, PeerError, Ping, Pong
from refserver.server import connection
from refserver.server.clock import BEAT
from refserver.server.config import Config, ConfigError
from refserver.server.tls import Tls, common_name

# What a client sees depends on when it looks: TLS 1.3 tells it after its own handshake is done.
REFUSED = (ssl.SSLError, ConnectionError, ConnectionLostError)
HELLO = bytes.fromhex("0000000c0106000000000000000000ff")


def tls(authority: Authority, *more: str) -> list[str]:
    return ["--tls-cert", str(authority.issue()), *more]


def assert_still_serves(server: Running, context: ssl.SSLContext | None = None) -> None:
    with client(server.port, context) as one:
        assert isinstance(one.ask(Ping()), Pong)
    assert "Traceback" not in server.log


def failed_handshake(server: Running) -> str:
    """The one record of it."""
    (line,) = [line for line in server.log.splitlines() if " handshake " in line]
    return line


# ---------------------------------------------------------------- files


def unusable(cert: Path, key: Path | str = "", ca: Path | str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        Tls(Config(tls_cert=str(cert), tls_key=str(key), tls_ca=str(ca)))
    return str(caught.value)


def test_a_missing_file_is_named(authority: Authority, tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"

    for reason in (
        unusable(missing),
        unusable(authority.issue(), ca=missing),
    ):
        assert reason == f"cannot read {missing}: No such file or directory"


def test_a_file_without_pem_is_named(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("hello")

    assert unusable(other) == f"{other}: holds no certificate in PEM form"
    assert f"{other}: holds no certificate in PEM form" == unusable(authority.issue(), ca=other)


def test_a_certificate_without_its_key_says_how_to_give_it(authority: Authority) -> None:
    cert = authority.file

    assert unusable(cert) == f"{cert}: holds no private key; give it with --tls-key"


def test_a_key_of_another_certificate_is_named(authority: Authority) -> None:
    cert, key = authority.issue(), authority.issue(file="other.pem")

    assert unusable(cert, key) == f"{cert} and {key}: the key does not belong to the certificate"


def test_an_encrypted_key_is_named_and_nobody_is_asked(
    authority: Authority, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    cert, key = authority.issue(), tmp_path / "key.pem"
    private = load_pem_private_key(cert.read_bytes(), None)
    secret = BestAvailableEncryption(b"sesame")
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))

    assert "the private key is encrypted" in unusable(cert, key)


@pytest.mark.parametrize("names", [[], ["ann", "bob"]])
def test_a_certificate_without_one_common_name_names_nobody(names: list[str]) -> None:
    subject = tuple((("commonName", name),) for name in names)

    assert common_name({"subject": ((("organizationName", "x"),), *subject)}) == ""


def test_no_certificate_names_nobody() -> None:
    assert common_name(None) == common_name({}) == ""


# ---------------------------------------------------------------- who gets in


@pytest.mark.proves("EP-4.1-1")
def test_a_member_over_tls(authority: Authority, tmp_path: Path) -> None:
    with (
        running(tmp_path, *tls(authority)) as server,
        member(server.port, "ann", tls=authority.client()) as ann,
    ):
        assert ann.conn.user == "ann"


def test_the_common_name_is_the_user(authority: Authority, tmp_path: Path) -> None:
    context = authority.client("ann")

    with running(tmp_path, *tls(authority, "--tls-ca", str(authority.file))) as server:
        with member(server.port, tls=context) as ann:
            assert ann.conn.user == "ann"
        with client(server.port, context) as one, pytest.raises(PeerError) as caught:
            one.ask(Login(user="bob"))

    assert caught.value.code == ErrorCode.UNAUTHORIZED


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("none", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        ("another authority's", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_without_a_good_certificate_nobody_gets_in_and_the_log_says_why(
    authority: Authority, tmp_path: Path, certificate: str, reason: str
) -> None:
    context = authority.client()
    if certificate != "none":
        context.load_cert_chain(Authority(tmp_path / "other").issue("ann"))

    with running(tmp_path, *tls(authority, "--tls-ca", str(authority.file))) as server:
        with pytest.raises(REFUSED), member(server.port, tls=context):
            pass
        assert_still_serves(server, authority.client("ann"))
        assert failed_handshake(server).endswith(f' peer="127.0.0.1" reason="{reason}"')


def test_an_old_version_is_refused_and_the_log_says_so(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.client()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with running(tmp_path, *tls(authority)) as server:
        with pytest.raises(REFUSED), member(server.port, tls=context):
            pass
        assert_still_serves(server, authority.client())
        assert 'reason="UNSUPPORTED_PROTOCOL"' in failed_handshake(server)


@pytest.mark.parametrize("data", [HELLO, b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" * 64])
def test_what_is_not_tls_is_cut_off_and_logged_in_one_line(
    authority: Authority, tmp_path: Path, data: bytes
) -> None:
    with running(tmp_path, *tls(authority)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=600) as sock:
            sock.sendall(data)
            while sock.recv(4096):
                pass
        assert_still_serves(server, authority.client())
        assert 'peer="127.0.0.1"' in failed_handshake(server)


def test_a_tls_client_on_a_plain_port_is_told(authority: Authority, tmp_path: Path) -> None:
    with running(tmp_path) as server:
        with pytest.raises(ssl.SSLError), client(server.port, authority.client()):
            pass
        assert_still_serves(server)
        assert "FRAME_TOO_LARGE" in server.log


async def test_a_close_notify_that_nobody_takes_is_no_progress(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own bytes at the end gave the client its close timeout once more."""
    tls = Tls(Config(tls_cert=str(authority.issue())))
    async with hosting(None, tls, close_timeout=2.0) as host:
        client = await host.secure_client(authority.client())
        await client.shake_hands()
        await client.join("ann")
        (ann,) = host.server.connections
        monkeypatch.setattr(
            connection, "unacknowledged", lambda _: 24 if ann.transport.is_closing() else 0
        )
        await client.send(logout(2))
        await client.until(ACK)

        await host.pass_time(2.0 + BEAT)  # now the server has closed
        assert ann.transport.is_closing()
        await host.pass_time(2.0 + BEAT)

        assert not host.server.connections


async def test_a_silent_peer_is_cut_off_when_the_login_time_is_over(authority: Authority) -> None:
    tls = Tls(Config(tls_cert=str(authority.issue())))
    async with hosting(None, tls, login_timeout=5.0) as host:
        silent = await host.client()
        await host.pass_time(5.0 + BEAT)

        assert await silent.rest() == []
        other = await host.secure_client(authority.client())
        await other.shake_hands()
        assert await other.sync() == []


# ---------------------------------------------------------------- SIGHUP


def serial(port: int, context: ssl.SSLContext) -> object:
    with client(port, context) as one:
        assert isinstance(one.sock, ssl.SSLSocket)
        certificate = one.sock.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]


def reload(server: Running, good: bool = True) -> None:
    """Send SIGHUP and wait for the line that says it was done."""
    before = server.log.count(" reload ")
    server.process.send_signal(signal.SIGHUP)
    server.until_logged(rf"(?s)(?:.* reload ){{{before + 1}}}")
    assert ("ERROR reload" in server.log) is not good


def test_sighup_brings_a_new_certificate_for_new_connections(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.client()

    with (
        running(tmp_path, *tls(authority), failing=["reload"]) as server,
        member(server.port, tls=context) as ann,
    ):
        before = serial(server.port, context)
        file = authority.issue()
        reload(server)
        after = serial(server.port, context)

        file.write_text("nonsense")
        reload(server, good=False)
        kept = serial(server.port, context)

        assert isinstance(ann.ask(Ping()), Pong)

    assert before != after == kept


@pytest.mark.measured_processes
def test_a_fifo_in_place_of_a_certificate_is_refused_and_not_waited_for(
    authority: Authority, tmp_path: Path
) -> None:
    context = authority.client()

    with running(tmp_path, *tls(authority), failing=["reload"]) as server:
        file = authority.issue()
        file.unlink()
        os.mkfifo(file)
        reload(server, good=False)

        with member(server.port, tls=context) as ann:
            assert isinstance(ann.ask(Ping()), Pong)
    assert "it is not a regular file" in server.log


def test_sighup_brings_new_tokens(tmp_path: Path) -> None:
    import hashlib

    def lines(*tokens: bytes) -> str:
        return "".join(f"{hashlib.sha256(token).hexdigest()} ann\n" for token in tokens)

    file = tmp_path / "tokens.txt"
    file.write_text(lines(b"old"))

    with running(tmp_path, "--tokens", str(file), failing=["reload"]) as server:
        with client(server.port) as waiting:
            assert isinstance(waiting.ask(Ping()), Pong)
            file.write_text(lines(b"new"))
            reload(server)
            # Also for who was connected, and not logged in, by then.
            assert not isinstance(waiting.ask(Login(credential=b"new")), Error)
        file.write_text("nonsense")
        reload(server, good=False)
        with member(server.port, credential=b"new") as ann:
            assert ann.conn.user == "ann"
        with client(server.port) as one, pytest.raises(PeerError) as caught:
            one.ask(Login(credential=b"old"))

    assert caught.value.code == ErrorCode.UNAUTHORIZED

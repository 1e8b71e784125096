"""`send` and `tail`: a member of a room from the command line, against a real server."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import ANY

import pytest
from click.testing import CliRunner
from tests.refserver.clients import REFSERVER, TIMEOUT, Client, member
from tests.refserver.conftest import Authority
from tests.refserver.cutting import cutter, said_by
from tests.support.ports import unused_port
from tests.support.server import Running, running
from tests.support.warm import ran, started

from eventcodec import (
    Ack,
    ApplicationEvent,
    ConnectionLostError,
    Error,
    Gap,
    Joined,
    Login,
    Logout,
    Message,
    Offline,
    Pause,
    Paused,
    PeerError,
    Ping,
    Pong,
    SessionState,
    Welcome,
    decode,
    encode,
)
from refserver.characters import escape
from refserver.cli import main
from refserver.client import shell, tail
from refserver.client.bench import KEPT, Figures
from refserver.client.bench import _lines as bench_lines
from refserver.client.blocking import Room
from refserver.client.shell import Watching
from refserver.server.token_file import new_token


def invoke(*words: str, **environment: str) -> Any:
    return CliRunner().invoke(main, words, env=environment)


def at(server: Running) -> str:
    return f"localhost:{server.port}"


def said(bob: Client, count: int) -> list[object]:
    """The next messages and application events, without those who come and go."""
    found: list[object] = []
    while len(found) < count:
        event = bob.next()
        if isinstance(event, Message | ApplicationEvent):
            found.append(event)
    return found


@contextmanager
def silent() -> Iterator[int]:
    """The port of somebody who accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def answering(*answers: bytes, ending: bool = True) -> Iterator[int]:
    """The port of a server that says one of these at each thing it reads, and may end then."""
    program = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "sock, _ = server.accept()\n"
        f"for answer in {[answer.hex() for answer in answers]}:\n"
        "    sock.recv(65536)\n"
        "    sock.sendall(bytes.fromhex(answer))\n"
        f"if {ending}: sock.shutdown(socket.SHUT_WR)\n"
        "while sock.recv(65536): pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def tailing(server: Running, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`tail` in a process of its own, already a member."""
    with member(server.port, "watcher") as watcher:
        command = [str(REFSERVER), "tail", at(server), *options]
        with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                while type(watcher.next()).__name__ != "Joined":
                    pass
                watcher.ask(Logout())
                yield process
            finally:
                process.kill()


# ---------------------------------------------------------------- send


def test_each_text_is_a_message_and_each_ack_a_line(server: Running) -> None:
    with member(server.port, "bob") as bob:
        done = invoke("send", at(server), "--as", "ann", "hello", "Grüße")

        one, two = said(bob, 2)

    assert done.exit_code == 0
    assert isinstance(one, Message) and isinstance(two, Message)
    assert (one.sender, one.content, two.content) == ("ann", "hello", "Grüße")
    assert done.stdout == f"ack {one.position}\nack {two.position}\n"


def test_without_a_name_the_server_chooses_and_one_is_told(server: Running) -> None:
    with member(server.port, "bob") as bob:
        done = invoke("send", at(server), "hello")

        (message,) = said(bob, 1)

    assert isinstance(message, Message)
    assert (done.exit_code, done.stderr) == (0, f"refserver: logged in as {message.sender}\n")


@pytest.mark.parametrize(
    ("piped", "texts"),
    [
        (b"hello\n", ["hello"]),
        (b"one\ntwo", ["one", "two"]),
        (b"dos\r\n\n-\n", ["dos", "", "-"]),
        (b"", []),
    ],
)
def test_a_lone_hyphen_is_stdin_and_each_of_its_lines_a_message(
    server: Running, piped: bytes, texts: list[str]
) -> None:
    with member(server.port, "bob") as bob:
        done = ran(
            [REFSERVER, "send", f":{server.port}", "--as", "ann", "-"],
            input=piped,
            capture_output=True,
        )
        said = [bob.next() for _ in range(len(texts) + 2)]

    assert [each.content for each in said if isinstance(each, Message)] == texts
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == len(texts)


def test_a_line_of_stdin_that_is_not_utf_8_is_named(server: Running) -> None:
    done = ran(
        [REFSERVER, "send", f":{server.port}", "--as", "ann", "-"],
        input=b"one\ncaf\xe9\n",
        capture_output=True,
    )

    assert (done.returncode, done.stderr) == (1, b"refserver: line 2: is not UTF-8\n")


def test_events_as_json_lines_get_their_replies_as_json_lines(
    server: Running, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(
        '{"event": "ApplicationEvent", "type": 128, "data": "00ff"}\n\n'
        '{"event": "Ping"}\n'
        '{"event": "Message", "content": "no line end behind it"}'
    )
    with member(server.port, "bob") as bob:
        done = invoke("send", at(server), "--as", "ann", "--json", str(file))

        event, _ = said(bob, 2)

    assert done.exit_code == 0
    assert isinstance(event, ApplicationEvent) and event.data == b"\x00\xff"
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["event"] for reply in replies] == ["Ack", "Pong", "Ack"]


def test_lines_on_a_pipe_are_sent_as_they_come(server: Running) -> None:
    command = [str(REFSERVER), "send", at(server), "--as", "ann", "--json", "-"]
    with (
        member(server.port, "bob") as bob,
        started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        for word in ("one", "two"):
            process.stdin.write(json.dumps({"event": "Message", "content": word}) + "\n")
            process.stdin.flush()
            (message,) = said(bob, 1)
            assert isinstance(message, Message) and message.content == word
            assert json.loads(process.stdout.readline())["event"] == "Ack"
        process.stdin.close()

        assert process.wait(TIMEOUT) == 0


def test_many_more_than_may_be_under_way_all_arrive_in_order(server: Running) -> None:
    texts = [f"number {n}" for n in range(200)]
    with member(server.port, "bob") as bob:
        assert invoke("send", at(server), *texts).exit_code == 0

        assert [getattr(each, "content", "") for each in said(bob, len(texts))] == texts


@pytest.mark.parametrize("upstream", [True, False])
def test_with_retry_each_line_is_sent_once_however_often_the_connection_is_cut(
    server: Running, upstream: bool
) -> None:
    lines = [{"event": "Message", "content": f"number {n // 2}"} for n in range(40)]
    lines[20:20] = [{"event": "Ping"}]
    with (
        member(server.port, "bob") as bob,
        cutter(server, [90, 150, 151, 211], upstream=upstream, silent=False) as port,
    ):
        done = ran(
            [REFSERVER, "send", f":{port}", "--as", "ann", "--retry", "--json", "-"],
            input="\n".join(map(json.dumps, lines)),
            capture_output=True,
            text=True,
        )
        received = said_by(bob, "ann")

    assert done.returncode == 0, done.stderr
    assert received == [line["content"] for line in lines if "content" in line]
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [int(reply["seq"]) for reply in replies] == [*range(1, len(lines) + 1)]
    assert [n for n, reply in enumerate(replies) if reply["event"] != "Ack"] == [20]
    positions = [int(reply["position"]) for reply in replies if "position" in reply]
    assert positions == sorted({*positions})
    assert done.stderr.count("the connection was lost") == 4
    assert done.stderr.count("connected again") >= 1


def test_without_retry_a_lost_connection_is_told_with_what_is_known() -> None:
    ack = encode(Ack(seq=2, position=1))
    with answering(encode(a_welcome()), ack) as port:
        done = invoke("send", f"localhost:{port}", "--as", "ann", "one", "two", "three")

    assert (done.exit_code, done.stdout) == (1, "ack 1\n")
    assert done.stderr.endswith("; of the events without a reply, 2 may have been accepted\n")


def test_what_was_never_sent_is_told_as_such(server: Running) -> None:
    texts = ["x" * 60_000] * 4
    with answering(encode(a_welcome_of(65_536)), b"") as port:
        done = invoke("send", f"localhost:{port}", "--as", "ann", *texts)

    assert done.exit_code == 1
    assert done.stderr.endswith("2 may have been accepted and 2 were not\n")


def test_what_stands_before_a_wrong_line_is_sent(server: Running) -> None:
    with member(server.port, "bob") as bob:
        done = ran(
            [REFSERVER, "send", f":{server.port}", "--as", "ann", "-"],
            input=b"one\ntwo\ncaf\xe9\nfour\n",
            capture_output=True,
        )
        received = said_by(bob, "ann")

    assert (done.returncode, done.stderr) == (1, b"refserver: line 3: is not UTF-8\n")
    assert received == ["one", "two"]
    assert done.stdout.count(b"ack ") == 2


@contextmanager
def scripted(*connections: list[bytes]) -> Iterator[int]:
    """The port of a server that on each connection says one of these at each thing it reads."""

    def serve() -> None:
        for answers in connections:
            sock, _ = listener.accept()
            with sock:
                for answer in answers:
                    sock.recv(65_536)
                    sock.sendall(answer)
                sock.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(TIMEOUT)


def test_with_retry_a_new_session_begins_where_the_server_forgot_the_old_one() -> None:
    gone, fresh = encode(Error(seq=1, code=15)), encode(a_welcome())
    with scripted([fresh], [gone]) as port:
        done = invoke("send", f"localhost:{port}", "--as", "ann", "--retry", "hello")

    assert done.exit_code == 1
    said = done.stderr.splitlines()
    assert "the server does not know this session any more: a new one begins" in said[1]
    assert said[2:] == ["refserver: event 1: unknown", "refserver: 1 unknown"]


def test_a_refused_ping_fails_the_command(tmp_path: Path) -> None:
    file = tmp_path / "ping.jsonl"
    file.write_text('{"event": "Ping"}')
    no, bye = encode(Error(seq=2, code=4711)), encode(Ack(seq=3))
    with answering(encode(a_welcome()), no, bye) as port:
        done = invoke("send", f"localhost:{port}", "--as", "ann", "--json", str(file))

    assert (done.exit_code, done.stderr) == (1, "refserver: 1 refused\n")
    assert json.loads(done.stdout)["seq"] == "1"


@pytest.mark.measured_processes
def test_ctrl_c_ends_send_with_130(server: Running) -> None:
    command = [str(REFSERVER), "send", at(server), "--as", "ann", "-"]
    with started(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("hello\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith("ack ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()

    assert (process.returncode, err.strip()) == (130, "")


@pytest.mark.parametrize(
    ("status", "remark", "failure"),
    [
        (Offline(OSError(111, "refused"), 0.0), "", "cannot connect to here: refused"),
        (Offline(ConnectionLostError("gone"), 0.0), "", "the connection was lost; the port may"),
        (Offline(None, 0.0), "", "the connection was lost: None"),
        (Paused(Pause.BAD_USER, PeerError(14, "no")), "", "refused the login: BAD_USER, no"),
        (Paused(Pause.FAILING_REQUEST), "", "the session is paused: failing request"),
        (Gap(7), "no entries behind position 7", ""),
    ],
)
def test_what_becomes_of_a_connection_is_said_in_a_line(
    status: Any, remark: str, failure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    watching = Watching(retries=False, where="here", is_tls=False, is_named=True)

    watching(status)

    assert remark in capsys.readouterr().err
    assert failure in watching.failure and bool(failure) == bool(watching.failure)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2, column 2: not JSON"),
        ('{"event": Ping}', "line 2, column 11: not JSON"),
        ("\xff".encode("latin-1").decode("utf-8", "surrogateescape"), "line 2: not JSON"),
        ("[]", "line 2: not an object"),
        ('{"event": "Message"}', "content: is missing"),
        ('{"event": "Login", "user": "x"}', "is missing"),
        ('{"event": "Logout"}', "only Message, ApplicationEvent and Ping can be sent"),
        ('{"event": "Message", "content": "' + 70_000 * "x" + '"}', "not sent"),
    ],
)
def test_a_line_that_is_no_event_to_send_is_told_with_its_number(
    server: Running, tmp_path: Path, line: str, complaint: str
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"event": "Ping"}\n' + line, errors="surrogateescape")

    done = invoke("send", at(server), "--json", str(file))

    assert done.exit_code == 1
    assert complaint in done.stderr.splitlines()[-1]


def test_bytes_are_sent_as_they_are_and_every_frame_back_is_told(server: Running) -> None:
    done = invoke("send", at(server), "--raw", (encode(Ping(seq=7)) + bytes(4)).hex(" "))

    assert done.exit_code == 1
    assert "the server ended the connection: MALFORMED" in done.stderr
    pong, error = [json.loads(line) for line in done.stdout.splitlines()]
    assert (pong["event"], pong["seq"]) == ("Pong", "7")
    assert (error["event"], error["seq"], error["code"]) == ("Error", "0", 1)


@pytest.mark.parametrize(
    ("frames", "code", "complaint"),
    [
        (encode(Ping(seq=7)), 0, ""),
        (encode(Ping(seq=7))[:6], 1, "ended the connection and sent nothing"),
        (encode(Logout(seq=7)), 1, "refused: "),
    ],
)
def test_bytes_without_a_good_answer_fail_the_command(
    server: Running, frames: bytes, code: int, complaint: str
) -> None:
    done = invoke("send", at(server), "--raw", frames.hex())

    assert done.exit_code == code
    assert complaint in done.stderr and done.stderr.count("\n") == code


def test_a_name_puts_a_login_before_the_bytes_and_shows_no_ticket(server: Running) -> None:
    done = invoke("send", at(server), "--as", "ann", "--raw", encode(Logout(seq=2)).hex())

    welcome, ack = [json.loads(line) for line in done.stdout.splitlines()]
    assert (welcome["user"], welcome["ticket"]) == ("ann", "(8 bytes hidden)")
    assert (ack["event"], ack["seq"]) == ("Ack", "2")


@pytest.mark.proves("EP-12-6")
def test_what_refused_a_login_is_told_escaped() -> None:
    hostile = Error(seq=1, code=13, text="\x1b[2J\u202etaken")
    with answering(encode(hostile)) as port:
        done = invoke("send", f"localhost:{port}", "--as", "ann", "hello")

    assert done.exit_code == 1
    assert "USER_TAKEN, \\x1b[2J\\u202etaken" in done.stderr


def test_a_refused_message_fails_the_command() -> None:
    no = encode(Error(seq=2, code=4711, text="not today"))
    bye = encode(Ack(seq=3))
    with answering(encode(a_welcome()), no, bye) as port:
        done = invoke("send", f"localhost:{port}", "hello", "--timeout", "5")

    assert done.exit_code == 1
    assert "refused: code 4711, not today" in done.stderr


def a_welcome() -> Welcome:
    return a_welcome_of(4_096)


def a_welcome_of(max_frame: int) -> Welcome:
    return Welcome(seq=1, user="ann", ticket=9, position=0, max_frame=max_frame, heartbeat=0)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "the connection was lost"),
        (encode(Error(code=24)), "the server ended the connection: SHUTTING_DOWN"),
        (encode(a_welcome()), "the connection was lost"),
        (bytes(4), "the server broke the protocol"),
    ],
)
def test_an_end_that_is_not_clean_fails_the_command(answer: bytes, complaint: str) -> None:
    with answering(answer) as port:
        done = invoke("send", f"localhost:{port}", "--as", "ann", "hello")

    assert done.exit_code == 1
    assert complaint in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["send", "{at}", "hello"], "no Welcome within 0.05 s"),
        (["tail", "{at}"], "no Welcome within 0.05 s"),
        (["send", "{at}", "--raw", "00"], "no end of the stream within 0.05 s"),
    ],
)
def test_a_silent_server_is_left_after_the_timeout(words: list[str], complaint: str) -> None:
    with silent() as port:
        words = [word.replace("{at}", f"localhost:{port}") for word in words]
        done = invoke(*words, "--timeout", "0.05")

    assert done.exit_code == 1
    assert complaint in done.stderr


def welcomed_within(attempt: Callable[[str], Any]) -> tuple[str, Any]:
    """The shortest of these timeouts in which a Welcome comes here, and what was done with it."""
    for timeout in ("0.1", "1", "10"):
        done = attempt(timeout)
        if "no Welcome within" not in done.stderr:
            break
    return timeout, done


def test_a_reply_that_never_comes_is_told() -> None:
    def attempt(timeout: str) -> Any:
        with answering(encode(a_welcome()), ending=False) as port:
            return invoke("send", f"localhost:{port}", "hello", "--timeout", timeout)

    timeout, done = welcomed_within(attempt)

    assert done.exit_code == 1
    assert f"no reply within {timeout} s" in done.stderr


def busy_room(listener: socket.socket) -> None:
    """Let one member in, and tell facts until it goes."""
    sock, _ = listener.accept()
    with sock, suppress(OSError):
        sock.sendall(encode(a_welcome()))
        for position in count(a_welcome().position + 1):
            sock.sendall(encode(Message(seq=position, sender="bob", content="talk")))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("hello", "no reply"),
        ("--json /dev/null", "no Ack of the Logout"),
        ("--raw 00", "no end of the stream"),
    ],
)
def test_facts_of_others_move_no_deadline(words: str, complaint: str) -> None:
    def attempt(timeout: str) -> Any:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=busy_room, args=(listener,))
            thread.start()
            at = f"localhost:{listener.getsockname()[1]}"
            done = invoke("send", at, *words.split(), "--timeout", timeout)
            thread.join()
        return done

    timeout, done = welcomed_within(attempt)

    assert done.exit_code == (0 if "Logout" in complaint else 1)
    assert f"{complaint} within {timeout} s" in done.stderr


@pytest.mark.parametrize("words", [["send", "{at}", "hello"], ["ping", "{at}", "-c", "1"]])
@pytest.mark.parametrize("end", [b"", encode(Error(code=24))])
def test_what_has_its_replies_is_done_although_the_logout_has_none(
    words: list[str], end: bytes
) -> None:
    reply = Ack(seq=2, position=1) if words[0] == "send" else Pong(seq=2)
    with answering(encode(a_welcome()), encode(reply), end) as port:
        done = invoke(*(word.format(at=f"localhost:{port}") for word in words))

    assert done.exit_code == 0
    assert "the connection ended before the Ack of the Logout" in done.stderr


def test_what_was_refused_fails_the_command_although_the_logout_has_no_reply() -> None:
    no = encode(Error(seq=2, code=4711, text="not today"))
    with answering(encode(a_welcome()), no, b"") as port:
        done = invoke("send", f"localhost:{port}", "hello")

    assert done.exit_code == 1
    assert "refused: code 4711, not today" in done.stderr


@pytest.mark.parametrize("command", ["send", "tail", "ping", "bench"])
def test_nobody_there_is_4(command: str) -> None:
    port = unused_port()
    words = ["hello"] if command == "send" else []

    done = invoke(command, f"127.0.0.1:{port}", *words)

    assert done.exit_code == 4
    assert "cannot connect" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["send"], "Missing argument"),
        (["send", "localhost"], "use exactly one of TEXT, --json and --raw"),
        (
            ["send", "localhost", "hello", "--raw", "00"],
            "use exactly one of TEXT, --json and --raw",
        ),
        (["send", "localhost", "--raw", "0g"], "is not hexadecimal"),
        (["send", "localhost", "--raw", "000"], "has an odd number of digits"),
        (["send", "localhost:70000", "hello"], "a port is 1 to 65535"),
        (["send", "localhost", "hello", "--timeout", "0"], "x>0"),
        (["send", "localhost", "hello", "--timeout", "soon"], "'soon' is not a valid number"),
        (["send", "localhost", "hello", "--as", "x" * 300], "user: 300 bytes, and 255 is the most"),
        (["send", "localhost", "hello", "--as", "\udcff"], "user: has a surrogate"),
        (["send", "localhost", "\udcff"], "content: has a surrogate"),
        (["send", "localhost", "hello", "--ca", __file__], "holds no certificate in PEM form"),
        (["tail", "localhost", "--as", "\udcff"], "user: has a surrogate"),
        (
            ["tail", "localhost", "--json", "--format", "{event}"],
            "use only one of --json, --raw and --format",
        ),
        (["tail", "localhost", "--format", "{credential}"], "{credential} is no field"),
        (["tail", "localhost", "--format", "{}"], "{} is no field"),
        (["tail", "localhost", "--format", "{sender"], "expected '}'"),
        (["tail", "localhost", "--format", "{sender:d}"], "format code 'd'"),
        (["tail", "localhost", "--format", "{sender:{content}}"], "a field within a field"),
        (["tail", "localhost", "-n", "0"], "x>=1"),
        (["tail", "localhost", "--only", "Ping"], "is not one of"),
    ],
)
def test_what_makes_no_sense_is_2_and_one_line(words: list[str], complaint: str) -> None:
    done = invoke(*words)

    assert (done.exit_code, done.stdout) == (2, "")
    assert complaint in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("credential", "complaint"),
    [(b"x" * 70_000, "credential: 70000 bytes, and 65535 is the most"), (b"\n", "no credential")],
)
def test_a_file_that_holds_no_credential_is_2(
    tmp_path: Path, credential: bytes, complaint: str
) -> None:
    (tmp_path / "credential").write_bytes(credential)

    done = invoke("send", "localhost", "hello", "--credential-file", str(tmp_path / "credential"))

    assert done.exit_code == 2
    assert complaint in done.stderr and done.stderr.count("\n") == 1


# ---------------------------------------------------------------- credentials, TLS


def test_a_credential_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    secret, line = new_token("ann")
    tokens, file = tmp_path / "tokens", tmp_path / "credential"
    tokens.write_text(line + "\n")
    tokens.chmod(0o600)
    file.write_text(secret + "\n")
    with running(tmp_path, "--tokens", str(tokens)) as server:
        words = ["send", at(server), "--as", "ann", "hello"]

        without = invoke(*words)
        from_environment = invoke(*words, REFSERVER_CREDENTIAL=secret)
        from_file = invoke(*words, "--credential-file", str(file))

    assert without.exit_code == 1 and "UNAUTHORIZED" in without.stderr
    assert (from_environment.exit_code, from_file.exit_code) == (0, 0)


@pytest.mark.proves("EP-6.3-1")
def test_a_credential_goes_to_another_machine_over_tls_only(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", lambda self: ("192.0.2.1", 3000))

    done = invoke("send", at(server), "hello", REFSERVER_CREDENTIAL="sesame")

    assert done.exit_code == 2
    assert "over TLS only" in done.stderr and "sesame" not in done.stderr


def test_tls_is_spoken_and_checked(tmp_path: Path, authority: Authority) -> None:
    certificate = str(authority.issue())
    options = ["--tls-cert", certificate, "--tls-key", certificate]
    with running(tmp_path, *options) as server:
        trusted = invoke("send", at(server), "hello", "--ca", str(authority.file))
        stranger = invoke("send", at(server), "hello", "--tls")
        without = invoke("send", at(server), "hello")
        requests = (Login(seq=1, user="ann"), Ping(seq=7), Logout(seq=8))
        raw = b"".join(map(encode, requests)).hex()
        done = invoke("send", at(server), "--raw", raw, "--ca", str(authority.file))

    assert (trusted.exit_code, stranger.exit_code) == (0, 4)
    assert "no TLS with localhost" in stranger.stderr
    assert (without.exit_code, "may speak TLS: --tls" in without.stderr) == (1, True)
    assert '"Pong"' in done.stdout


# ---------------------------------------------------------------- tail


def test_a_room_is_told_line_by_line(server: Running) -> None:
    with tailing(server, "--as", "bob", "-n", "4") as tail:
        invoke("send", at(server), "--as", "ann", "hello\x1b[2J")
        out, err = tail.communicate()

    lines = [line.partition(" ")[2] for line in out.splitlines()]
    assert lines == ["watcher left", "ann joined", "ann: hello\\x1b[2J", "ann left"]
    assert (tail.returncode, err) == (0, "")


def test_a_room_is_told_as_json(server: Running) -> None:
    with tailing(server, "--json", "-n", "3") as tail:
        invoke("send", at(server), "--as", "ann", "zoë\x9b")
        out, _ = tail.communicate()

    assert out.isascii()
    message = json.loads(out.splitlines()[2])
    assert (message["event"], message["content"]) == ("Message", "zoë\x9b")


def test_a_line_may_have_a_form_of_ones_own(server: Running) -> None:
    form = "{event}|{type}|{sender}{user}|{content}{data}|{reason}"
    with tailing(server, "--format", form, "-n", "5") as tail, member(server.port, "ann") as ann:
        ann.ask(Message(content="a\nb"))
        ann.ask(ApplicationEvent(type=0x90, data=b"\x00\xff"))
        ann.sock.close()
        out, _ = tail.communicate()

    assert out.splitlines() == [
        "Left|0x0A|watcher||left",
        "Joined|0x09|ann||",
        "Message|0x02|ann|a\\nb|",
        "ApplicationEvent|0x90|ann|00ff|",
        "Left|0x0A|ann||lost",
    ]


def test_only_the_kinds_that_are_asked_for_are_told(server: Running) -> None:
    with tailing(server, "--only", "message", "--only", "left", "-n", "3") as tail:
        invoke("send", at(server), "--as", "ann", "hello")
        out, _ = tail.communicate()

    lines = [line.partition(" ")[2] for line in out.splitlines()]
    assert lines == ["watcher left", "ann: hello", "ann left"]


def test_ctrl_c_leaves_the_room_cleanly(server: Running) -> None:
    with tailing(server, "--as", "bob") as tail, member(server.port, "ann") as ann:
        ann.ask(Message(content="hello"))
        while tail.stdout is not None and "hello" not in tail.stdout.readline():
            pass  # only now it is sure to have its Welcome
        tail.send_signal(signal.SIGINT)
        _, err = tail.communicate()
        left = next(event for event in iter(ann.next, None) if type(event).__name__ == "Left")

    assert (tail.returncode, err) == (0, "")
    assert (getattr(left, "user", ""), getattr(left, "reason", 9)) == ("bob", 0)


def test_the_end_of_the_server_ends_it_with_1(tmp_path: Path) -> None:
    with running(tmp_path) as server, tailing(server) as tail:
        server.stop()
        _, err = tail.communicate()

    assert tail.returncode == 1
    assert "SHUTTING_DOWN" in err


@pytest.mark.proves("EP-9.1-7")
def test_a_server_that_falls_silent_is_asked_and_then_left() -> None:
    welcome = Welcome(seq=1, user="ann", ticket=9, position=0, max_frame=4096, heartbeat=1)
    with answering(encode(welcome), ending=False) as port:
        done = invoke("tail", f"localhost:{port}")

    assert done.exit_code == 1
    assert "the server was silent for too long" in done.stderr


def test_an_unknown_type_is_told_as_such() -> None:
    news = bytes.fromhex("0000000e 010b0000 0000000000000001 cafe")
    with answering(encode(a_welcome()) + news) as port:
        done = invoke("tail", f"localhost:{port}", "-n", "1")

    assert "unknown type 0x0B cafe" in done.stdout


TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


@pytest.mark.measured_processes
def test_events_have_the_time_when_they_came(server: Running) -> None:
    with tailing(server, "--timestamps", "-n", "1") as tail:
        out, _ = tail.communicate()
    with tailing(server, "--timestamps", "--json", "-n", "1") as tail:
        told = json.loads(tail.communicate()[0])

    assert re.fullmatch(rf"{TIME} \d+ watcher left\n", out)
    assert re.fullmatch(TIME, told.pop("time"))
    assert (told["event"], told["user"]) == ("Left", "watcher")


def test_frames_are_printed_as_they_are(server: Running) -> None:
    with tailing(server, "--raw", "--only", "message", "-n", "1") as tail:
        invoke("send", at(server), "--as", "ann", "hello")
        out, _ = tail.communicate()

    message = decode(bytes.fromhex(out))
    assert isinstance(message, Message)
    assert (message.sender, message.content) == ("ann", "hello")


def test_without_an_event_for_so_long_it_is_done(server: Running) -> None:
    done = invoke("tail", at(server), "--as", "idler", "--idle", "0.05")

    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.measured_processes
def test_a_lost_connection_is_resumed_without_a_gap_and_said(server: Running) -> None:
    with (
        member(server.port, "ann") as ann,
        cutter(server, [200, 300], upstream=False, silent=False) as port,
    ):
        command = [str(REFSERVER), "tail", f"127.0.0.1:{port}", "--as", "bob", "--retry"]
        command += ["--only", "message", "-n", "20", "--format", "{content}"]
        with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
            while not isinstance(ann.next(), Joined):
                pass
            for number in range(20):
                ann.ask(Message(content=f"number {number}"))
            out, err = tail.communicate()

    assert tail.returncode == 0, err
    assert out.splitlines() == [f"number {number}" for number in range(20)]
    assert err.count("the connection was lost") == err.count("connected again") == 2


@pytest.mark.measured_processes
def test_history_that_is_gone_is_said_and_it_goes_on(tmp_path: Path) -> None:
    port = unused_port()
    command = [str(REFSERVER), "tail", f"127.0.0.1:{port}", "--as", "bob", "--retry"]
    command += ["--only", "joined", "-n", "1"]
    with ExitStack() as stack:
        with running(tmp_path, "--port", str(port)) as first, member(first.port, "ann") as ann:
            tail = stack.enter_context(
                started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            while not isinstance(ann.next(), Joined):
                pass
            first.stop()
        with running(tmp_path, "--port", str(port)) as second:
            assert tail.stderr is not None
            said: list[str] = []
            while not any("are lost" in line for line in said):
                said.append(tail.stderr.readline())
                assert said[-1], said
            while tail.poll() is None:  # until one of them comes behind its fresh login
                with member(second.port, "carol") as carol:
                    carol.ask(Logout())
            out, _ = tail.communicate()

    assert out.endswith("carol joined\n")
    assert tail.returncode == 0


def test_a_connection_that_was_lost_behind_its_welcome_is_not_timed_as_the_first() -> None:
    """Else `--retry` would give up after the time for one Welcome."""
    watching = Watching(retries=True, where="here", is_tls=False, is_named=True)
    watching.was_online = True

    shell.enter(cast(Room, SimpleNamespace(state=SessionState.WAITING)), watching, 0.0)


def test_what_came_with_the_welcome_is_printed_before_it_waits() -> None:
    """Else it would stand there until something else comes."""
    came = Joined(user="ann", seq=5)
    shown: list[object] = []
    room = SimpleNamespace(take=lambda: [came], wait=lambda left: pytest.fail("it waits"))
    watching = Watching(retries=False, where="here", is_tls=False, is_named=True)

    tail._follow(
        cast(Room, room), watching, cast(Any, shown.append), only=tail.KINDS, count=1, idle=None
    )

    assert shown == [came]


# ---------------------------------------------------------------- ping


def test_pings_are_measured_and_summed_up(server: Running) -> None:
    done = invoke("ping", at(server), "--as", "pinger", "-c", "3", "-i", "0")

    assert done.exit_code == 0
    *pongs, _, counted, times = done.stdout.splitlines()
    assert [re.sub(r"time=\S+", "", pong) for pong in pongs] == [
        f"pong from {at(server)}: seq={number}  ms" for number in (1, 2, 3)
    ]
    assert counted.startswith("3 sent, 3 received, 0% lost")
    least, mean, most = map(float, re.findall(r"[\d.]+", times))
    assert 0 < least <= mean <= most


def test_a_pong_that_does_not_come_is_1_and_counted() -> None:
    def attempt(timeout: str) -> Any:
        with answering(encode(a_welcome()), ending=False) as port:
            words = ("--as", "ann", "--timeout", timeout, "--json")
            return invoke("ping", f"localhost:{port}", *words)

    timeout, done = welcomed_within(attempt)

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {"sent": 1, "received": 0, "seconds": ANY}
    assert f"no Pong within {timeout} s" in done.stderr


def test_ctrl_c_before_the_first_pong_is_summed_up_too(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("refserver.client.ping._round_trip", interrupted)

    done = invoke("ping", at(server), "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"sent": 1, "received": 0, "seconds": ANY}


# ---------------------------------------------------------------- bench


def test_a_bench_counts_what_was_delivered(server: Running) -> None:
    words = ("--members", "4", "--publishers", "2", "--duration", "0.2", "--json")
    done = invoke("bench", at(server), "--as", "bench", *words)

    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["sent"] == told["accepted"] > 0
    assert told["delivered"] == told["sent"] * 3
    late = told["latency_ms"]
    assert 0 < late["p50"] <= late["p95"] <= late["p99"] <= late["max"]


def test_a_bench_says_where_it_is_itself_the_limit() -> None:
    busy = Figures(sent=1, accepted=1, seconds=1.0, processor=0.95)
    idle = Figures(sent=1, accepted=1, seconds=1.0, processor=0.5)

    assert (busy.told()["is_client_limited"], idle.told()["is_client_limited"]) == (True, False)


def test_a_bench_whose_room_turns_members_away_fails(tmp_path: Path) -> None:
    with running(tmp_path, "--connections", "2") as server:
        done = invoke("bench", at(server), "--members", "3", "--duration", "0.1")

    assert done.exit_code == 1
    assert "SERVER_FULL" in done.stderr


def test_a_bench_is_told_in_lines(server: Running) -> None:
    done = invoke("bench", at(server), "--members", "2", "--duration", "0.1")

    assert done.exit_code == 0, done.stderr
    counted, late, busy = done.stdout.splitlines()[:3]
    assert re.fullmatch(r"\d+ messages in [\d.]+ s: [\d,]+/s accepted, [\d,]+/s delivered", counted)
    assert late.startswith("latency p50/p95/p99/max = ") and "of a processor" in busy


def test_a_bench_that_is_its_own_limit_says_so_in_a_line() -> None:
    busy = Figures(sent=1, accepted=1, seconds=1.0, processor=1.0)

    assert "the limit of this client" in bench_lines(busy.told())


def test_of_very_many_latencies_a_choice_is_kept() -> None:
    figures = Figures(latencies=[0.0] * KEPT, delivered=KEPT)
    rng = random.Random(7)

    for _ in range(KEPT):
        figures.deliver(1.0, rng)

    assert (len(figures.latencies), figures.delivered) == (KEPT, 2 * KEPT)
    assert 0.4 < sum(figures.latencies) / KEPT < 0.6


@pytest.mark.parametrize(
    ("timeout", "answers", "complaint"),
    [
        ("0.2", [], "no Welcome within 0.2 s"),
        ("20", [encode(Error(seq=1, code=13, text="no"))], "refused: USER_TAKEN, no"),
        ("20", [encode(Error(code=24))], "the server ended a connection: SHUTTING_DOWN"),
        ("20", [bytes(4)], "a connection was lost: "),
    ],
)
def test_a_bench_that_cannot_go_on_says_why(
    timeout: str, answers: list[bytes], complaint: str
) -> None:
    with answering(*answers, ending=False) as port:
        done = invoke("bench", f"localhost:{port}", "--duration", "0.1", "--timeout", timeout)

    assert (done.exit_code, done.stdout) == (1, "")
    assert complaint in done.stderr and done.stderr.count("\n") == 1


def test_a_bench_has_no_more_publishers_than_members() -> None:
    done = invoke("bench", "localhost", "--members", "2", "--publishers", "3")

    assert done.exit_code == 2
    assert "more publishers than members" in done.stderr


# ---------------------------------------------------------------- what holds for both


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert escape("a\x1b\x7f\x9b\u202e\u2028\nß") == "a\\x1b\\x7f\\x9b\\u202e\\u2028\\nß"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_the_commands(shell: str) -> None:
    done = ran(
        [REFSERVER],
        env={**os.environ, "_REFSERVER_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
    )

    assert "_REFSERVER_COMPLETE" in done.stdout


def test_completion_knows_send_and_tail() -> None:
    done = ran(
        [REFSERVER],
        env={
            **os.environ,
            "_REFSERVER_COMPLETE": "bash_complete",
            "COMP_WORDS": "refserver ",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
    )

    assert {"plain,send", "plain,tail"} <= set(done.stdout.split())

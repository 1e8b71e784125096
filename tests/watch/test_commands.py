"""`refserver judge`, `watch` and `proxy`, as somebody uses them."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import IO

import jsonschema
import pytest
import xmlschema
from click.testing import CliRunner, Result
from tests.support.raw import frame
from tests.support.server import launched
from tests.support.warm import ran, started
from tests.watch.talks import ACK, CLIENT, FRESH, LOGIN, MESSAGE, SERVER, WELCOME, talk

from refserver.cli import main
from refserver.watch.capture import CaptureWriter
from refserver.watch.conversation import Bytes, Item
from refserver.watch.provoking import PROVOCATIONS
from refserver.watch.recording import Recorder

HOSTILE = frame(2, 3, b"\x09<b>\x1b[2J\n!")


def recording(path: Path, items: list[Item]) -> Path:
    with path.open("wb") as file:
        recorder = Recorder(file, datetime(2026, 1, 2, tzinfo=UTC), masked=False)
        for item in items:
            recorder.take(item)
    return path


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def right(tmp_path: Path) -> Path:
    return recording(tmp_path / "right.jsonl", talk())


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """The client fills in a sender, with what a terminal and a page must not be given."""
    items = talk()
    items[5:5] = [Bytes(0.45, 1, CLIENT, HOSTILE)]
    return recording(tmp_path / "wrong.jsonl", items)


def test_a_right_conversation_has_no_finding_and_exit_code_0(right: Path) -> None:
    done = run("judge", right)

    assert done.exit_code == 0
    assert "1 connection, 4 frames" in done.output and "no findings" in done.output


def test_a_finding_says_who_broke_what_at_which_byte(wrong: Path) -> None:
    done = run("judge", wrong)

    offset = len(LOGIN + MESSAGE)
    assert done.exit_code == 1
    assert "EP-3.3-2  the client of connection 1 broke it" in done.output
    assert f"frame 3, byte {offset}" in done.output
    assert "A client MUST leave `sender` empty." in done.output
    assert "\x1b" not in done.output


def test_nothing_to_judge_is_no_success(tmp_path: Path) -> None:
    assert run("judge", recording(tmp_path / "empty.jsonl", [])).exit_code == 3


def test_a_capture_is_judged_too(tmp_path: Path) -> None:
    path = tmp_path / "talk.pcap"
    with path.open("wb") as file:
        writer = CaptureWriter(file)
        for item in talk():
            writer.take(item)

    done = run("judge", path, "--port", 3000)

    assert (done.exit_code, "4 frames" in done.output) == (0, True)


def test_connections_of_several_files_are_kept_apart(right: Path, wrong: Path) -> None:
    done = run("judge", right, wrong)

    assert "the client of connection 2" in done.output
    assert "2 connections" in done.output


def test_the_reports_are_as_their_schemas_say(wrong: Path, tmp_path: Path) -> None:
    as_json, as_junit, as_html = (tmp_path / name for name in ("r.json", "r.xml", "r.html"))

    run("judge", wrong, "--json", as_json, "--junit", as_junit, "--html", as_html)

    schema = files("refserver.watch").joinpath("judgement.schema.json").read_text(encoding="utf-8")
    said = json.loads(as_json.read_text())
    jsonschema.Draft202012Validator(json.loads(schema)).validate(said)
    assert said["findings"][0]["statement"] == "EP-3.3-2"
    assert said["coverage"]["EP-3.3-2"]["exercised"] == 2
    xmlschema.XMLSchema("tests/conformance/junit.xsd").validate(str(as_junit))
    assert 'failures="1"' in as_junit.read_text()
    page = as_html.read_text()
    assert "&lt;b&gt;" in page and "<b>" not in page and "\x1b" not in page
    assert 'id="cclient3"' not in page and 'href="#c1client3"' in page


def test_watch_prints_each_frame_without_secrets(wrong: Path) -> None:
    done = run("watch", wrong)

    assert done.exit_code == 0
    assert (
        "> Login seq 1 (user 'ann', credential 6 bytes, ticket hidden, position 2)" in done.output
    )
    assert "< Welcome seq 1" in done.output
    assert "!    EP-3.3-2" in done.output
    assert "sesame" not in done.output and "\x1b" not in done.output


def test_watch_shows_one_connection_where_it_is_asked_for(tmp_path: Path) -> None:
    path = recording(tmp_path / "two.jsonl", [*talk(), *talk(at=9.0, number=2)])

    done = run("watch", path, "--connection", 2)

    assert "40001" in done.output
    assert "    1 >" not in done.output


def test_what_is_written_again_is_masked(right: Path, tmp_path: Path) -> None:
    masked, plain, pcap = (tmp_path / name for name in ("m.jsonl", "p.jsonl", "p.pcap"))

    run("judge", right, "--record", masked, "--pcap", pcap)
    done = run("judge", right, "--record", plain, "--unmasked")

    secret = b"sesame"
    assert secret not in pcap.read_bytes() and secret.hex() not in masked.read_text()
    assert secret.hex() in plain.read_text() and "credentials" in done.stderr
    assert {stat.S_IMODE(path.stat().st_mode) for path in (masked, plain, pcap)} == {0o600}
    assert run("judge", masked).exit_code == run("judge", pcap).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("judge", "{file}", "--unmasked"),
        ("judge", "{file}", "--record", "{new}", "--unmasked", "--mask-content"),
        ("shrink", "{file}", "--while", "'{{port}}"),
        ("shrink", "{file}", "--while", "{{port}}", "--limit", "0"),
        ("shrink", "{file}", "--while", "{{port}}", "--limit", "nan"),
        ("replay", "{file}", "--to", "localhost:1", "--timeout", "nan"),
        ("replay", "{file}", "--to", "localhost:1", "--timeout", "inf"),
        ("proxy", "nowhere:x", "--to", "localhost:1"),
        ("proxy", "0", "--to", "localhost:1", "--drop", "Akc"),
        ("proxy", "4567", "--to", "localhost:4567"),
        ("proxy", "0.0.0.0:4567", "--to", "127.0.0.1:4567"),
        ("proxy", "[::1]:4567", "--to", "[0:0::1]:4567"),
        ("proxy", "0", "--to", "localhost:1", "--rules", "{file}"),
        ("proxy", "0", "--to", "localhost:1", "--tls-cert", "{file}"),
        ("proxy", "0", "--to", "192.0.2.1:1", "--tls-cert", "{cert}", "--tls-key", "{cert}"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    right: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    import trustme

    cert = tmp_path / "cert.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(cert)

    done = run(*(word.format(file=right, new=tmp_path / "new", cert=cert) for word in words))

    assert done.exit_code == 2
    assert "Traceback" not in done.output


@pytest.mark.parametrize("option", ["--record", "--pcap", "--json", "--junit", "--html"])
def test_no_report_is_written_over_what_it_is_made_of(right: Path, option: str) -> None:
    before = right.read_bytes()
    other = right.with_name("other")
    other.symlink_to(right)

    done = run("judge", right, option, other)

    assert done.exit_code == 2
    assert f"{right} would be written over while it is read" in done.stderr
    assert right.read_bytes() == before


@pytest.mark.parametrize("option", ["--record", "--pcap", "--json", "--junit", "--html"])
def test_a_report_that_cannot_be_written_is_told_before_anything_is_judged(
    wrong: Path, option: str
) -> None:
    judged = run("judge", wrong, option, "/nowhere/at/all")
    forwarded = run("proxy", "0", "--to", "localhost:1", option, "/nowhere/at/all")

    for done in (judged, forwarded):
        assert (done.exit_code, done.stdout) == (2, "")
        assert "/nowhere/at/all: No such file or directory" in done.stderr


def test_a_server_whose_recording_cannot_be_written_does_not_start() -> None:
    done = run("serve", "0", "--watch", "--record", "/nowhere/at/all")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "/nowhere/at/all: No such file or directory" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("proxy", "--tls-cert", "{file}", "--tls-key", "{file}"), "no certificate in PEM form"),
        (("proxy", "--ca", "{file}"), "--ca {file}: holds no certificate in PEM form"),
        (("proxy", "--rules", "{file}"), "{file}: line 2: no rule 'dorp'; did you mean 'drop'?"),
        (("proxy", "--rules", "{latin}"), "{latin}: not UTF-8"),
        (("replay", "{right}", "--ca", "{file}"), "--ca {file}: holds no certificate in PEM form"),
    ],
)
def test_a_file_of_another_kind_is_named(
    right: Path, tmp_path: Path, words: tuple[str, ...], why: str
) -> None:
    known = {name: tmp_path / name for name in ("file", "latin")} | {"right": right}
    known["file"].write_bytes(b"\xef\xbb\xbfdrop Ack\ndorp Ack\n")
    known["latin"].write_bytes("drop Ack  # Zo\xeb\n".encode("latin-1"))
    at = ("0",) if words[0] == "proxy" else ()

    done = run(words[0], *at, *(word.format(**known) for word in words[1:]), "--to", "localhost:1")

    assert done.exit_code == 2
    assert why.format(**known) in done.stderr


def test_a_server_that_a_replay_cannot_reach_has_its_own_exit_code(right: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        silent = run("replay", right, "--tls", "--timeout", 0.1, "--to", f"127.0.0.1:{port}")
    gone = run("replay", right, "--to", f"127.0.0.1:{port}")

    assert (silent.exit_code, gone.exit_code) == (4, 4)
    assert silent.stderr.startswith(f"refserver: no TLS with 127.0.0.1:{port}: ")
    assert gone.stderr == f"refserver: cannot connect to 127.0.0.1:{port}: Connection refused\n"


# ----------------------------------------------------------------- the proxy


@contextmanager
def proxied(*options: str) -> Iterator[tuple[int, subprocess.Popen[str], IO[str]]]:
    """A server, and a proxy in front of it on a port of its own. It leads a group of processes."""
    with launched("--quiet") as server:
        command = [sys.executable, "-P", "-m", "refserver", "proxy", "0"]
        with started(
            [*command, "--to", f"127.0.0.1:{server.port}", *options],
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        ) as proxy:
            assert proxy.stdout is not None
            try:
                first = proxy.stdout.readline()
                port = int(first.split()[1].rpartition(":")[2])
                yield port, proxy, proxy.stdout
            finally:
                if proxy.poll() is None:
                    proxy.send_signal(signal.SIGINT)
                proxy.wait(600)


def test_a_wrong_client_is_found_while_it_talks_and_the_files_are_written(tmp_path: Path) -> None:
    record, page = tmp_path / "talk.jsonl", tmp_path / "talk.html"
    with proxied("--record", str(record), "--html", str(page)) as (port, proxy, out):
        with socket.create_connection(("localhost", port)) as sock:
            sock.sendall(FRESH + frame(2, 2, b"\x03annhi"))
            told = out.readline()  # it comes while the connection is open
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass
        proxy.send_signal(signal.SIGINT)
        rest = out.read()
        proxy.wait(600)

    assert told.startswith("EP-3.3-2  the client of connection 1 broke it at frame 2")
    assert rest.rstrip().endswith("1 finding")
    assert proxy.returncode == 1
    assert b"sesame".hex() not in record.read_text()
    assert "EP-3.3-2" in page.read_text()
    assert run("judge", record).exit_code == 1


@pytest.mark.measured_processes
def test_a_right_client_passes_with_exit_code_0() -> None:
    with proxied("--frames") as (port, proxy, out):
        with socket.create_connection(("localhost", port)) as sock:
            sock.sendall(frame(6, 1))
            assert sock.recv(100) == frame(7, 1)
        proxy.send_signal(signal.SIGTERM)
        told = out.read()
        proxy.wait(600)

    assert "> Ping seq 1" in told and "< Pong seq 1" in told
    assert proxy.returncode == 0


def test_a_ctrl_c_behind_the_first_line_ends_no_judge() -> None:
    """A terminal sends it to the group. The judge has hardly started by then."""
    with proxied() as (_, proxy, out):
        os.killpg(proxy.pid, signal.SIGINT)
        told = out.read()
        proxy.wait(600)

    assert "no findings" in told
    assert proxy.returncode == 3


def test_what_the_proxy_did_is_told_apart_from_findings(tmp_path: Path) -> None:
    record, rules, report = (tmp_path / name for name in ("t.jsonl", "rules", "t.json"))
    rules.write_text("drop Pong:1  # the first\n")
    options = ("--rules", str(rules), "--seed", "7", "--record", str(record), "--json", str(report))
    with proxied(*options) as (port, proxy, out):
        with socket.create_connection(("localhost", port)) as sock:
            sock.sendall(frame(6, 1) + frame(6, 2))
            assert sock.recv(100) == frame(7, 2)
        proxy.send_signal(signal.SIGINT)
        told = out.read()
        proxy.wait(600)

    assert "the proxy dropped frame 1, Pong seq 1" in told
    assert proxy.returncode == 0 and "no findings" in told
    did = json.loads(report.read_text())["did"]
    assert [(each["connection"], each["side"]) for each in did] == [(1, "server")]
    assert '"only":"client"' in record.read_text()
    assert run("judge", record).exit_code == 0


@pytest.mark.measured_processes
def test_the_proxy_says_what_it_provoked_and_what_did_not_happen() -> None:
    with proxied("--provoke", "--seed", "1") as (port, proxy, out):
        with socket.create_connection(("localhost", port)) as sock:
            sock.sendall(FRESH)
            told = out.readline()
        proxy.send_signal(signal.SIGINT)
        rest = out.read()
        proxy.wait(30)

    assert "the proxy inserted Ping seq" in told
    assert "no findings\nwhat did not happen: the client says a Message, " in rest
    assert "`refserver peer -- COMMAND` runs it" in rest
    assert (
        f"provoked 1 of {len(PROVOCATIONS)}; not met:\n    --insert-before ping@Welcome:1\n" in rest
    )
    assert proxy.returncode == 0


@pytest.mark.measured_processes
def test_an_address_in_use_is_a_usage_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-P", "-m", "refserver", "proxy", f"127.0.0.1:{port}"]
        done = ran([*command, "--to", "localhost:1"], capture_output=True, text=True)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_talk_has_the_frames_that_the_tests_count() -> None:
    said = [item.data for item in talk() if isinstance(item, Bytes)]

    assert said[1:] == [WELCOME, MESSAGE, ACK]
    assert [item.side for item in talk() if isinstance(item, Bytes)] == [CLIENT, SERVER] * 2

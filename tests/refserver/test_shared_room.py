"""Real servers that share a room over a real Redis, and what may happen to either."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.refserver.clients import REFSERVER, refused
from tests.refserver.sharing import QUICK, sharing
from tests.support.raw import (
    ACK,
    ERROR,
    HISTORY_GONE,
    JOINED,
    LEFT,
    MESSAGE,
    PONG,
    UNAVAILABLE,
    WELCOME,
    Bystander,
    Client,
    ErrorReply,
    acked,
    error_of,
    login,
    member,
    message,
    ping,
    said,
    short,
)
from tests.support.redis import RedisServer, needs_redis, redis_server
from tests.support.server import Running
from tests.support.warm import ran, started

redis = pytest.importorskip("redis")
pytestmark = needs_redis

ROOT = Path(__file__).resolve().parents[2]


def test_messages_reach_the_members_of_the_other_server_in_one_order(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "order", [engine.port] * 2) as (here, there),
        member(here.port, "ann") as ann,
        member(there.port, "bob") as bob,
        Bystander(here.port, "eve") as eve,
        Bystander(there.port, "joe") as joe,
    ):
        for each in range(50):
            ann.send(message(b"a%d" % each, 2 + each))
            bob.send(message(b"b%d" % each, 2 + each))
        ann.until(ACK, 51)
        bob.until(ACK, 51)

        contents = []
        for reader in (eve, joe):
            found: list[tuple[int, str, bytes]] = []
            while len(found) < 100:
                fact = reader.frame()
                if fact.type == MESSAGE:
                    found.append((fact.seq, *said(fact)))
            contents.append(found)

        assert contents[0] == contents[1]
        assert [each for _, user, each in contents[0] if user == "ann"] == [
            b"a%d" % each for each in range(50)
        ]


def test_a_session_moves_to_the_other_server(tmp_path: Path, engine: RedisServer) -> None:
    with sharing(tmp_path, "move", [engine.port] * 2) as (here, there), Client(here.port) as ann:
        welcome = ann.join("ann")
        ann.send(message(b"one", 2))
        assert acked(ann.frame()) == welcome.position + 1

        with Client(there.port) as again:
            again.send(login("ann", ticket=welcome.ticket, position=welcome.position), ping(2))
            frames = again.until(PONG)
            assert [each.type for each in frames] == [WELCOME, MESSAGE, LEFT, JOINED, PONG]
            assert error_of(ann.rest()[-1]).seq == 0


def test_what_a_killed_server_has_acknowledged_is_at_the_others(
    tmp_path: Path, engine: RedisServer
) -> None:
    (tmp_path / "victim").mkdir()
    victim = ["serve", "--port", "0", "--log", engine.url, "--room", "killed", *QUICK]
    with (
        sharing(tmp_path, "killed", [engine.port], *QUICK) as (there,),
        Bystander(there.port, "eve") as eve,
        started(
            [sys.executable, "-m", "refserver", *victim],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        with Client(port) as ann:
            welcome = ann.join("ann")
            ann.send(*[message(b"m%d" % each, 2 + each) for each in range(100)])
            ann.until(ACK, 101)
            process.kill()

        facts = eve.until_left("ann")
        assert [said(each)[1] for each in facts if each.type == MESSAGE] == [
            b"m%d" % each for each in range(100)
        ]
        assert facts[-1].body == short("ann") + b"\1"
        with Client(there.port) as again:
            again.join("ann", ticket=welcome.ticket, position=welcome.position + 100)


@pytest.mark.measured_processes
def test_a_server_that_was_stopped_for_long_is_fenced_and_serves_again(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "fenced", [engine.port] * 2, *QUICK) as (here, there),
        member(here.port, "ann") as ann,
        Bystander(there.port, "eve") as eve,
    ):
        here.signal(signal.SIGSTOP)
        assert eve.until_left("ann")[-1].body == short("ann") + b"\1"
        here.signal(signal.SIGCONT)

        assert error_of(ann.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        came = False
        while not came:
            with Client(here.port) as again:
                again.send(login("ann"))
                came = again.frame().type == WELCOME
        assert [each.type for each in eve.frames(1)] == [JOINED]


def test_servers_that_are_all_stopped_let_nobody_leave_until_one_comes_back(
    tmp_path: Path, engine: RedisServer
) -> None:
    with (
        sharing(tmp_path, "all", [engine.port] * 2) as servers,
        Client(servers[0].port) as ann,
        Client(servers[1].port) as bob,
    ):
        tickets = {"ann": ann.join("ann").ticket, "bob": bob.join("bob").ticket}
        ann.until(JOINED)
        for server in servers:
            server.signal(signal.SIGTERM)
        for client in (ann, bob):
            assert [each.type for each in client.rest()] == [ERROR]
        for server in servers:
            assert server.wait() == 0

    (tmp_path / "again").mkdir()
    with sharing(tmp_path / "again", "all", [engine.port]) as (here,), Client(here.port) as ann:
        ann.join("ann", ticket=tickets["ann"], position=2)
        told = ann.until(JOINED)
        while sum(each.type == LEFT for each in told) < 2:
            told.append(ann.frame())
        assert sorted(each.body for each in told if each.type == LEFT) == [
            short("ann") + b"\1",
            short("bob") + b"\1",
        ]
        with Client(here.port) as bob:
            bob.join("bob", ticket=tickets["bob"], position=2)


def test_an_engine_that_is_killed_and_comes_back_with_its_data_loses_nothing(
    tmp_path: Path,
) -> None:
    durable = ("--appendonly", "yes", "--appendfsync", "always")
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis", *durable) as engine,
        sharing(tmp_path, "durable", [engine.port] * 2) as (here, there),
        member(here.port, "ann") as ann,
        Bystander(there.port, "eve") as eve,
    ):
        for each in range(20):
            ann.send(message(b"before %d" % each, 2 + each))
        ann.until(ACK, 21)
        ann.send(message(b"meanwhile", 22))
        engine.kill()
        engine.start()
        ann.send(message(b"after", 23))
        ann.until(ACK, 23)

        contents: list[bytes] = []
        while not contents or contents[-1] != b"after":
            contents.append(said(eve.frame())[1])
        assert contents == [b"before %d" % each for each in range(20)] + [b"meanwhile", b"after"]


def test_an_engine_that_comes_back_empty_ends_everybody_and_knows_no_ticket(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as engine,
        sharing(tmp_path, "empty", [engine.port] * 2) as (here, there),
        Client(here.port) as ann,
        member(there.port, "bob") as bob,
    ):
        welcome = ann.join("ann")
        engine.kill()
        engine.start()

        for each in (ann, bob):
            assert error_of(each.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        with Client(there.port) as again:
            again.send(login("ann", ticket=welcome.ticket, position=welcome.position))
            assert error_of(again.frame()).code == HISTORY_GONE


@pytest.mark.parametrize("is_copy", [False, True])
def test_a_record_that_another_program_wrote_ends_the_room_and_a_new_one_begins(
    tmp_path: Path, engine: RedisServer, is_copy: bool
) -> None:
    room = f"broken {is_copy}"
    with (
        sharing(tmp_path, room, [engine.port] * 2, failing=["engine"]) as (here, there),
        Client(here.port) as ann,
        member(there.port, "bob") as bob,
        redis.Redis(port=engine.port) as other,
    ):
        welcome = ann.join("ann")
        ((_, first),) = other.xrange(f"{{{room}}}:log", count=1)
        other.xadd(f"{{{room}}}:log", first if is_copy else {"any": "thing"}, id="2-1")

        for each in (ann, bob):
            assert error_of(each.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        with Client(there.port) as again:
            again.send(login("ann", ticket=welcome.ticket, position=welcome.position))
            assert error_of(again.frame()).code == HISTORY_GONE
        with Bystander(here.port, "eve") as eve, member(there.port, "joe"):
            assert eve.frame().type == JOINED
        for server in (here, there):
            assert server.log.count("engine broken=") < 2 and server.log.count("engine ended=") < 2


def test_without_the_engine_members_are_told_after_a_while(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with (
        redis_server(tmp_path / "redis") as engine,
        sharing(tmp_path, "away", [engine.port], *QUICK) as (here,),
        member(here.port, "ann") as ann,
    ):
        os.kill(engine.process.pid, signal.SIGSTOP)
        try:
            assert error_of(ann.rest()[-1]) == ErrorReply(0, UNAVAILABLE)
        finally:
            os.kill(engine.process.pid, signal.SIGCONT)
        with Client(here.port) as again:
            again.send(login("bob"))
            assert again.frame().type in (WELCOME, 0x05)


# ---------------------------------------------------------------- the kit


HEARTBEAT = ("--heartbeat", "20")


def checked(servers: list[Running], *words: str) -> str:
    """What the kit says of servers between which it spreads the members of each case."""
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    command = [str(REFSERVER), "check", *addresses, "--timeout", "300", *words]
    done = ran(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-500:]
    told: str = done.stdout
    return told


@pytest.mark.unmeasured
def test_the_kit_finds_two_servers_to_be_one_room(tmp_path: Path, engine: RedisServer) -> None:
    few = ("ORDER-*", "TAKE-*", "RESUME-*", "LEAVE-*", "--segmentation", "whole")
    with sharing(tmp_path, "kit", [engine.port] * 2, *HEARTBEAT) as servers:
        assert " passed" in checked(servers, *few)


ACCESS = re.compile(r"^ACL SETUSER (rooms on .*?)^```", re.DOTALL | re.MULTILINE)


def test_the_user_of_the_page_may_do_what_two_servers_do(tmp_path: Path) -> None:
    (words,) = ACCESS.findall((ROOT / "docs/cluster.md").read_text(encoding="utf-8"))
    user = words.replace("NAME", "page").split()
    (tmp_path / "redis").mkdir()
    (file := tmp_path / "credentials").write_text("rooms:PASSWORD\n")
    lua = (ROOT / "packages/refserver/src/refserver/cluster/lua").glob("*.lua")
    called = {name for each in lua for name in re.findall(r"call\('(\w+)", each.read_text())}

    with (
        redis_server(tmp_path / "redis", "--user", *user, "--user", "default", "off") as engine,
        sharing(tmp_path, "page", [engine.port] * 2, "--log-credentials", str(file)) as servers,
    ):
        told = checked(servers, "MSG-*", "LEAVE-*", "RESUME-*", "--segmentation", "whole")

    assert " passed" in told
    assert called and {f"+{name.lower()}" for name in called} <= set(user)
    assert not any("NOPERM" in server.log for server in servers)


@pytest.mark.slow
@pytest.mark.parametrize("presence", [True, False])
def test_every_case_of_the_kit_passes_on_two_servers(
    tmp_path: Path, engine: RedisServer, presence: bool
) -> None:
    off = () if presence else ("--no-presence",)
    with sharing(tmp_path, f"all-{presence}", [engine.port] * 2, *HEARTBEAT, *off) as servers:
        checked(servers, *(() if presence else ("--cannot", "presence")))


# ---------------------------------------------------------------- the start


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--log", "redis://127.0.0.1:1/0"], "cannot use redis://127.0.0.1"),
        (["--log", "http://127.0.0.1/0"], "begin with redis://"),
        (["--log", "redis://me:secret@127.0.0.1/0"], "--log-credentials"),
        (["--log", "redis://127.0.0.1:1/0", "--room", "{a}"], "without braces"),
    ],
)
def test_an_engine_that_cannot_be_used_is_told_in_one_line(options: list[str], wrong: str) -> None:
    code, told = refused("serve", "--port", "0", *options)

    assert code == 2
    assert wrong in told and "secret" not in told
    assert len(told.strip().splitlines()) == 1


def test_a_server_with_other_settings_does_not_start(tmp_path: Path, engine: RedisServer) -> None:
    shared = ("--log", engine.url, "--room", "alike")
    with sharing(tmp_path, "alike", [engine.port]):
        code, told = refused("serve", "--port", "0", *shared, "--max-frame", "4096")

    assert code == 2
    assert "other settings" in told and "max-frame=65536" in told


def test_credentials_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "credentials").write_text("default:a secret\n")
    with redis_server(tmp_path / "redis", "--requirepass", "a secret") as engine:
        code, _ = refused("serve", "--port", "0", "--log", engine.url)
        assert code == 2
        file = str(tmp_path / "credentials")
        with (
            sharing(tmp_path, "room", [engine.port], "--log-credentials", file) as (here,),
            member(here.port, "ann"),
        ):
            pass

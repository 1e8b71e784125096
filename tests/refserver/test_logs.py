"""One line of printable ASCII for a record, few of a kind in a second, and no contents."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.refserver.clients import member
from tests.support.server import running, strange

from refserver.server import logs
from refserver.server.logs import (
    LINES,
    LOG,
    AsJson,
    OneLine,
    RateLimitFilter,
    failure,
    log_event,
    to_stderr,
)
from refserver.server.process import on_unhandled

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ [a-z]+[\x20-\x7e]*")
NASTY = [
    "a\nb",
    "\x1b[31mred",
    "nul\0",
    "\u202eevil",
    "line\u2028break",
    "\ufeff",
    "é",
    "\x7f",
    "\x85",
    '"',
]


class Log:
    """A stream with the lines that were logged, and a clock."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 100.0

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """The log of refserver and of asyncio; `request.param` is its form."""
    log = Log()
    handler = logging.StreamHandler(log.stream)
    handler.setFormatter(getattr(request, "param", OneLine)())
    handler.addFilter(RateLimitFilter(lambda: log.now))
    loggers = [LOG, logging.getLogger("asyncio")]
    before = [(logger.handlers[:], logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers[:], logger.propagate = [handler], False
    LOG.setLevel(logging.INFO)
    yield log
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


# ---------------------------------------------------------------- one line


def test_a_record_is_its_time_level_kind_and_fields(log: Log) -> None:
    log_event("login", user="ann", position=3)

    assert LINE.fullmatch(log.lines[0])
    assert log.lines[0].endswith(' INFO login user="ann" position=3')


@pytest.mark.proves("EP-12-6")
@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("log", [OneLine, AsJson], indirect=True)
def test_whatever_a_peer_writes_stays_in_one_line_of_ascii(log: Log, name: str) -> None:
    log_event("login", user=name)

    (line,) = log.lines
    assert re.fullmatch(r"[\x20-\x7e]+", line)


@given(st.text())
def test_a_value_can_be_read_back_from_its_line(name: str) -> None:
    record = logging.makeLogRecord({"msg": "login", "fields": {"user": name}})

    line = OneLine().format(record)

    assert re.fullmatch(r"[\x20-\x7e]+", line)
    assert json.loads(line.partition("user=")[2]) == name


@pytest.mark.parametrize("log", [AsJson], indirect=True)
def test_as_json_a_record_is_one_object(log: Log) -> None:
    log_event("login", user="\u202eann", position=3)

    (line,) = log.lines
    record = json.loads(line)
    assert record.pop("time").endswith("Z")
    assert record == {"level": "INFO", "event": "login", "user": "\u202eann", "position": 3}


@pytest.mark.parametrize("log", [OneLine, AsJson], indirect=True)
def test_a_bug_is_one_line_that_says_where_and_not_what(log: Log) -> None:
    secret = "sesame\n"
    try:
        raise ValueError(secret)
    except ValueError as error:
        failure(error)

    (line,) = log.lines
    assert "ValueError" in line and f"{__name__.rpartition('.')[2]}.py:" in line
    assert "sesame" not in line


@pytest.mark.parametrize(
    ("context", "told"),
    [
        ({"message": "a transport\nwas left"}, r'error="a transport\nwas left"'),
        ({"message": "in a callback", "exception": KeyError("sesame")}, "KeyError"),
    ],
    ids=["a message", "an exception"],
)
def test_what_nobody_handled_in_the_loop_is_one_line_and_an_error(
    log: Log, context: dict[str, object], told: str
) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(on_unhandled)

    loop.call_exception_handler(context)

    loop.close()
    (line,) = log.lines
    assert " ERROR internal " in line and told in line
    assert "sesame" not in line


def test_what_asyncio_has_to_say_is_one_line_too(log: Log) -> None:
    try:
        raise RuntimeError("sesame")
    except RuntimeError:
        logging.getLogger("asyncio").error("Exception in %s\nat", "callback", exc_info=True)

    (line,) = log.lines
    assert ' ERROR asyncio message="Exception in callback\\nat" error="RuntimeError" at=' in line
    assert "sesame" not in line


# ---------------------------------------------------------------- few of a kind


def test_of_one_kind_there_are_so_many_in_a_second(log: Log) -> None:
    for _ in range(10 * LINES):
        log_event("login")
    log_event("left")

    assert sum(" login" in line for line in log.lines) == LINES
    assert log.lines[-1].endswith(" INFO left")


def test_the_next_second_tells_how_many_were_left_out(log: Log) -> None:
    for _ in range(LINES + 7):
        log_event("login", user="ann")
    log.now += 1
    log_event("login", user="bob")
    log_event("login", user="cy")

    assert log.lines[-2].endswith(' login user="bob" suppressed=7')
    assert log.lines[-1].endswith(' login user="cy"')


def test_what_was_not_left_out_is_not_told(log: Log) -> None:
    log_event("login")
    log.now += 1
    log_event("login")

    assert not any("suppressed" in line for line in log.lines)


def test_that_nobody_can_be_accepted_is_said_once_a_second(log: Log) -> None:
    for _ in range(5):
        log_event("accept", level=logging.WARNING, error="no")
    log.now += 1
    log_event("accept", level=logging.WARNING, error="no")

    assert [" suppressed=4" in line for line in log.lines] == [False, True]


# ---------------------------------------------------------------- stderr


@pytest.mark.parametrize(("level", "lines"), [(logging.INFO, 2), (logging.WARNING, 1)])
def test_stderr_gets_what_is_asked_for(
    log: Log, capfd: pytest.CaptureFixture[str], level: int, lines: int
) -> None:
    to_stderr(level)
    log_event("login")
    log_event("accept", level=logging.WARNING)

    assert len(capfd.readouterr().err.splitlines()) == lines


def test_every_form_of_the_option_is_known() -> None:
    from refserver.server.config import LOG_FORMATS

    assert set(logs.FORMATS) == set(LOG_FORMATS)


# ---------------------------------------------------------------- the options, of a real process


def test_where_json_is_asked_for_every_line_of_a_server_is_an_object(tmp_path: Path) -> None:
    with running(tmp_path, "--log-format", "json") as server:
        with member(server.port, "ann"):
            pass
        server.stop()

    records = [json.loads(line) for line in server.log.splitlines()]
    assert {"login", "left", "stopped"} <= {record["event"] for record in records}


def test_a_quiet_server_writes_what_goes_wrong_and_nothing_else(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.touch()
    with running(tmp_path, "--quiet", "--tokens", str(tokens), failing=["reload"]) as server:
        tokens.unlink()
        server.process.send_signal(signal.SIGHUP)
        server.until_logged(" ERROR reload ")
        server.stop()

    assert " INFO " not in server.log  # that it stops is one


WHEN = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    "line",
    [
        f"{WHEN} ERROR reload failures=[]",
        f'{WHEN} ERROR internal error="KeyError"',
        f'{WHEN} INFO login user="zo\u00eb"',
        f'{{"time": "{WHEN}", "level": "ERROR", "event": "reload"}}',
        "Traceback (most recent call last):",
        f'{WHEN} WARNING asyncio message="ResourceWarning: unclosed transport"',
    ],
)
def test_a_test_fails_for_a_line_that_it_did_not_expect(line: str) -> None:
    assert strange([line]) == [line]


def test_a_test_may_expect_the_errors_that_it_causes() -> None:
    records = [
        f"{WHEN} ERROR reload failures=[]",
        f'{{"time": "{WHEN}", "level": "ERROR", "event": "reload"}}',
        f'{WHEN} INFO login user="ann"',
    ]

    assert strange(records, failing=["reload"]) == []

"""The self-test: it passes here, the same each time, and it fails where something is broken."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from random import Random

import pytest

from eventcodec import Ack, Decoder, Message, codec, selftest, wire
from eventcodec.selftest import Result, run


@cache
def results() -> tuple[Result, ...]:
    return tuple(run())


@pytest.fixture
def few_mutants(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of them finds what is broken everywhere."""
    monkeypatch.setattr(selftest, "MUTANTS", selftest.MUTANTS // 10)


def failures_of(name: str) -> list[str]:
    """What one check finds; the names are those of the table up to the comma."""
    [check] = [check for long_name, check in selftest.CHECKS if long_name.startswith(f"{name},")]
    return [failure for failure in check(Random(1)) if failure is not None]


def test_everything_is_well_here() -> None:
    assert [result.name for result in results()] == [name for name, _ in selftest.CHECKS]
    assert all(result.passed for result in results())
    assert all(result.cases >= 300 for result in results())


def test_the_same_seed_does_the_same_work() -> None:
    def streams(seed: int) -> list[bytes]:
        return list(selftest._mutants(Random(seed)))

    assert streams(1) == streams(1) != streams(2)


def test_the_mutants_are_good_and_bad_and_of_every_event() -> None:
    mutants = list(selftest._mutants(Random(1)))

    for kind in (*selftest.CODEC.events.values(), *selftest.GENERAL):
        of_kind = [frame for frame in mutants if selftest._kind_of(frame) is kind]
        good = sum(selftest._decoded(frame) is not None for frame in of_kind)

        assert good > 0
        assert good < len(of_kind) or kind.__name__ == "Unknown"


def test_a_check_without_a_case_has_failed() -> None:
    assert not Result("nothing to do", 0, ()).passed
    assert not Result("one", 1, ("wrong",)).passed
    assert Result("one", 1, ()).passed


@pytest.mark.usefixtures("few_mutants")
def test_a_compiled_function_that_takes_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(data: bytes, start: int, stop: int, seq: int) -> Ack:
        return Ack(seq=seq, position=int.from_bytes(data[start : start + 8], "big"))

    monkeypatch.setattr(Ack, "compiled", Ack.compiled._replace(decode=careless))
    monkeypatch.setattr(selftest, "CODEC", type(selftest.CODEC)([selftest.Everything]))

    assert failures_of("mutated bodies")


@pytest.mark.usefixtures("few_mutants")
def test_a_compiled_function_that_writes_something_else_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Message.compiled.encode
    wrong = Message.compiled._replace(encode=lambda event: right(event) + b" ")
    monkeypatch.setattr(Message, "compiled", wrong)
    monkeypatch.setattr(codec, "_encode", None)  # the native encoder has kept the right one

    assert failures_of("vectors")
    assert failures_of("mutated bodies")


def test_a_decoder_that_depends_on_the_chunks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    receive_data = Decoder.receive_data

    def forgetful(decoder: Decoder, data: bytes) -> None:
        receive_data(decoder, data[:50])

    monkeypatch.setattr(Decoder, "receive_data", forgetful)

    assert failures_of("streams")


def test_a_word_of_the_wire_that_is_not_in_the_sample_would_be_missed() -> None:
    used = {id(part.subcon) for part in selftest.Everything.parts}
    every = {name: getattr(wire, name) for name in wire.__all__ if name not in ("Record", "Wire")}

    unused = {name for name, word in every.items() if id(word) not in used}

    assert unused == {"Rest"}  # the general application event has it


@pytest.mark.unmeasured
def test_it_says_the_same_however_python_is_started() -> None:
    """Without asserts and docstrings, and with all of Python's own checks at once."""
    options = ("-OO", "-bb", "-X", "dev", "-W", "error")
    command = [sys.executable, *options, "-m", "eventcodec", "selftest"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^ok +(\d+)", done.stdout, re.MULTILINE) == [
        str(result.cases) for result in results()
    ]

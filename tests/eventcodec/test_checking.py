"""`vectors check` against programs: one that is right, and each kind that is not.

The programs are tests/eventcodec/plain_reader.py, whole and with one fault each; none
of them knows eventcodec.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eventcodec import vectors
from eventcodec.checking import (
    INTERRUPTED,
    MOST_OUTPUT,
    NO_CONNECTION,
    Outcome,
    Report,
    check,
)
from eventcodec.exchange import Case, cases
from eventcodec.terminal import printable, table

READER = (sys.executable, str(Path(__file__).with_name("plain_reader.py")))
ALL = list(cases(vectors.load()))
FEW = [case for case in ALL if case.group != "prefix"]
ONE = FEW[:1]
EARLY = ("#4", "#16")


def report_on(fault: str, asked: list[Case] = FEW) -> Report:
    return check(asked, (*READER, fault), timeout=600)


def test_a_reader_in_plain_python_passes_every_case() -> None:
    report = report_on("answer", ALL)

    assert [(outcome.case.id, outcome.answer) for outcome in report.wrong] == []
    assert report.end is None
    assert report.passed
    assert (report.asked, report.answered) == (len(ALL), len(ALL))


@pytest.mark.parametrize(
    ("fault", "groups"),
    [
        ("late", {case.group for case in FEW if case.id.endswith(EARLY)}),
        ("seq_as_number", {"valid"}),
        ("true_for_1", {case.group for case in FEW if case.expected == {"error": 1}}),
        ("lenient", {"stray"}),
    ],
)
def test_a_reader_with_one_fault_fails_exactly_where_the_fault_shows(
    fault: str, groups: set[str]
) -> None:
    report = report_on(fault)

    assert {outcome.case.group for outcome in report.wrong} == groups
    assert report.answered == report.asked
    assert not report.passed


def test_the_cases_behind_the_last_answer_are_wrong() -> None:
    report = report_on("gives_up")

    assert report.answered == 9
    assert [outcome.wrong for outcome in report.wrong] == ["no answer"] * (len(FEW) - 9)


def test_an_answer_that_is_no_json_is_wrong_and_harmless() -> None:
    report = report_on("says_no_json")

    [outcome] = report.wrong
    assert outcome.answer == r"Traceback \x1b[31m"
    assert "\x1b" not in "".join([*report.as_text(), *report.as_json()])


def test_an_answer_to_another_question_is_wrong() -> None:
    [outcome] = report_on("answers_another").wrong

    assert outcome.case is FEW[9]


def test_an_answer_too_many_fails_the_program() -> None:
    report = report_on("says_too_much")

    assert not report.wrong
    assert report.end == f"{len(FEW) + 1} answers to {len(FEW)} questions"
    assert not report.passed


def test_a_program_that_fails_at_its_end_has_not_passed() -> None:
    report = report_on("fails_at_the_end")

    assert not report.wrong
    assert report.end == "it ended with exit status 3"
    assert not report.passed


def test_a_program_that_does_not_end_is_ended_with_all_that_it_started() -> None:
    # Both hold the pipe open: nothing returns before both are gone.
    report = check(ONE, ("/bin/sh", "-c", "sleep 600 & sleep 600"), timeout=0.5)

    assert report.end == "it was not done after 0.5 s"
    assert (report.asked, report.answered) == (1, 0)


@pytest.mark.parametrize("flood", ["yes", "cat /dev/zero"])
def test_a_program_that_floods_ends_before_its_time(flood: str) -> None:
    report = check(ONE, ("/bin/sh", "-c", flood), timeout=600)

    assert report.end == "it says far too much"
    # A line of `yes` is two bytes.
    assert report.answered <= MOST_OUTPUT // 2
    assert not report.passed


def test_an_interrupt_while_an_answer_is_read_does_not_lose_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read_interrupted(descriptor: int, size: int, /, read: Any = os.read) -> Any:
        data = read(descriptor, size)
        if data == b"{}\n":
            signal.raise_signal(signal.SIGINT)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(os, "read", read_interrupted)
        report = check(ONE, ("/bin/sh", "-c", "echo '{}'; sleep 600"), timeout=600)

    assert (report.end, report.answered) == (INTERRUPTED, 1)


def test_a_program_that_cannot_be_run_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        check(ONE, ("./no such program",), timeout=1)


@pytest.mark.parametrize("receiver", ["client", "server"])
def test_a_decoder_that_is_asked_as_one_end_of_a_connection_is_told_so(receiver: str) -> None:
    every = cases(vectors.load(), receivers=[receiver])
    asked = [case for case in every if case.group != "prefix"]

    told = list(report_on("answer", asked).as_text())

    assert told[-3:-1] == list(NO_CONNECTION)


def test_who_keeps_a_state_and_errs_is_not_taken_for_a_decoder() -> None:
    about = [case for case in cases(vectors.load(), receivers=["client"]) if case.group == "state"]
    right, wrong = Outcome(about[0], "{}", None), Outcome(about[1], "{}", "not the right answer")

    told = Report(("it",), (right, wrong), 2, None).as_text()

    assert not set(NO_CONNECTION) & set(told)


def test_no_case_is_no_pass_and_runs_nothing() -> None:
    report = check([], ("./no such program",), timeout=1)

    assert not report.passed
    assert list(report.as_text())[-1] == "no case ran: no vector matches"


def test_no_answer_at_all_says_so() -> None:
    report = check([*ONE, *ONE], (sys.executable, "-c", ""), timeout=600)

    told = list(report.as_text())
    assert told == ["no case ran: the program answered nothing"]


def test_a_failure_shows_all_that_is_needed_to_mend_it() -> None:
    [outcome] = report_on("late", [case for case in FEW if case.id == "length.11#4"]).wrong
    lines = list(Report(("./my reader",), (outcome,), 1, None).as_text(["--encode"]))

    assert lines[4].startswith("WRONG length.11#4: ")
    assert lines[5].startswith("  proves    EP-2.1-")
    assert lines[6:9] == [
        '  expected  {"error": 1}',
        '  got       {"id": "length.11#4", "incomplete": true}  (not the right answer)',
        "  again     python -m eventcodec vectors check --encode --only 'length.11#4' "
        "-- './my reader'",
    ]
    assert lines[9].strip().startswith("frame 1 at byte 0: ")


def test_many_failures_are_counted_and_the_first_shown() -> None:
    lines = list(report_on("seq_as_number").as_text())

    assert sum(line.startswith("WRONG ") for line in lines) == 20
    wrong = len([case for case in FEW if case.group == "valid"]) - 20
    assert f"{wrong} more are wrong; --json has them all" in lines


def test_a_case_without_a_byte_can_fail_too() -> None:
    [case] = [case for case in ALL if case.id == "prefix.login.request.ordinary#0"]
    report = check([case], (sys.executable, "-c", "print(1)"), timeout=600)

    assert [line for line in report.as_text() if line.startswith("WRONG ")]


def test_the_json_report_has_every_failure() -> None:
    report = report_on("lenient")

    form = json.loads("".join(report.as_json()))

    assert (form["passed"], form["asked"], form["answered"]) == (False, len(FEW), len(FEW))
    assert len(form["failures"]) == len(report.wrong) > 0
    first = form["failures"][0]
    assert (first["expected"], first["group"]) == ({"error": 1}, "stray")
    assert first["id"] == first["question"]["id"]


def test_what_is_printed_is_one_line_of_ascii() -> None:
    every = "".join(map(chr, [*range(0x200), 0x202E, 0x2026, 0x1F600]))

    assert printable(every).isascii()
    assert printable(every).isprintable()
    assert printable("C:\\dir") == "C:\\dir"


def test_a_table_has_text_to_the_left_and_numbers_to_the_right() -> None:
    assert list(table([("name", "n"), ("a", 10), ("long", 7)])) == [
        "name  n",
        "a     10",
        "long   7",
    ]


def test_the_reader_of_these_tests_knows_nothing_of_eventcodec() -> None:
    code = f"import sys; sys.argv = [{READER[1]!r}]; import runpy; runpy.run_path({READER[1]!r})"
    code += "; assert not [name for name in sys.modules if name.startswith('eventcodec')]"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)

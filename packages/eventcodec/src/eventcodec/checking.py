"""Asks a program the questions of the vectors, and reports its answers.

Rule: the case has the right answer. A program that fails, or returns too few or too many answers,
does not pass, even if all other answers are right. Its output is escaped before it is shown.

Layer: above `selftest`, below `commands`. The only module that runs a process.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from .dissect import dissect
from .errors import counted
from .exchange import Case, complaint
from .terminal import printable, table

__all__ = ["INTERRUPTED", "Outcome", "Report", "check"]

GLANCE = 0.1
"""Seconds between two looks at how much a program has said."""
MOST_OUTPUT = 16 << 20
"""The most bytes of output that are read from a program. All answers together need less than a
tenth of it. More output is dropped, so that the result does not depend on the speed of a flood."""
INTERRUPTED = "interrupted"
"""The end of a program that a signal to us has ended."""
SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
MOST_SHOWN = 20
LONGEST_SHOWN = 200
ABOUT_A_CONNECTION = ("way", "state", "order")
"""Groups of faults that no frame has by itself: the receiver may not get it, or not now."""
NO_CONNECTION = (
    "hint: a decoder alone takes what only one end of a connection, in its state, must refuse;",
    "leave --receiver out, or have the program bring a connection into the state: see --help",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer of a program to a case; `wrong` is None if it is right."""

    case: Case
    answer: str
    wrong: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """How a program did. `end` is the fault of the whole run, or None."""

    program: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    answered: int
    end: str | None

    @property
    def asked(self) -> int:
        """How many cases there were."""
        return len(self.outcomes)

    @property
    def wrong(self) -> tuple[Outcome, ...]:
        """The cases that it did not answer, or wrongly."""
        return tuple(outcome for outcome in self.outcomes if outcome.wrong)

    @property
    def passed(self) -> bool:
        """There were cases, all were answered, all rightly, and the program ended well."""
        return self.asked > 0 and not self.wrong and self.end is None

    @property
    def _is_no_connection(self) -> bool:
        """Whether it answered like a decoder that knows of no connection."""
        asked = [each for each in self.outcomes if each.case.group in ABOUT_A_CONNECTION]
        return bool(asked) and all(each.wrong and each.answer for each in asked)

    def as_text(self, options: Sequence[str] = ()) -> Iterator[str]:
        """Lines for a terminal. `options` are repeated in the lines that ask one case again."""
        if not self.asked:
            yield "no case ran: no vector matches"
            return
        if not self.answered:
            yield f"no case ran: {self.end or 'the program answered nothing'}"
            return
        yield from self._summary()
        for outcome in self.wrong[:MOST_SHOWN]:
            yield ""
            yield from self._failure(outcome, options)
        yield ""
        if len(self.wrong) > MOST_SHOWN:
            yield f"{len(self.wrong) - MOST_SHOWN} more are wrong; --json has them all"
        if self._is_no_connection:
            yield from NO_CONNECTION
        if self.end is not None:
            yield f"the program failed: {self.end}"
        else:
            yield "passed" if self.passed else "failed"

    def as_json(self) -> Iterator[str]:
        """One JSON object, for a program."""
        report = {
            "program": self.program,
            "passed": self.passed,
            "asked": self.asked,
            "answered": self.answered,
            "end": self.end,
            "failures": [
                {
                    "id": outcome.case.id,
                    "group": outcome.case.group,
                    "proves": outcome.case.proves,
                    "question": outcome.case.question,
                    "expected": outcome.case.expected,
                    "got": outcome.answer,
                    "reason": outcome.wrong,
                }
                for outcome in self.wrong
            ],
        }
        yield json.dumps(report, indent=1)

    def _summary(self) -> Iterator[str]:
        every = Counter(outcome.case.group for outcome in self.outcomes)
        wrong = Counter(outcome.case.group for outcome in self.wrong)
        rows = [
            (group, count, count - wrong[group], wrong[group]) for group, count in every.items()
        ]
        total = ("all", self.asked, self.asked - len(self.wrong), len(self.wrong))
        yield from table([("group", "cases", "right", "wrong"), *rows, total])

    def _failure(self, outcome: Outcome, options: Sequence[str]) -> Iterator[str]:
        case = outcome.case
        yield f"WRONG {case.id}: {printable(case.description)}"
        if case.proves:
            yield f"  proves    {', '.join(case.proves)}"
        yield f"  expected  {_short(json.dumps(case.expected))}"
        yield f"  got       {_short(outcome.answer) or '-'}  ({outcome.wrong})"
        again = ["python", "-m", "eventcodec", "vectors", "check", *options, "--only", case.id]
        yield f"  again     {printable(shlex.join([*again, '--', *self.program]))}"
        reading = "bytes" in case.question
        data = bytes.fromhex((case.question if reading else case.expected)["bytes"])
        text = dissect(data, max_frame=case.question.get("limit"), secrets=True).text()
        yield from (f"  {line}" for line in text.splitlines())


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def check(cases: Sequence[Case], program: Sequence[str], *, timeout: float) -> Report:
    """Ask `program` all cases. Raises OSError if it cannot be run.

    It has `timeout` seconds for everything; what it said by then counts.
    """
    lines, end = _ask(cases, program, timeout) if cases else ([], None)
    outcomes = [
        Outcome(case, printable(line.decode("utf-8", "backslashreplace")), complaint(case, line))
        for case, line in zip(cases, lines, strict=False)
    ]
    outcomes += [Outcome(case, "", "no answer") for case in cases[len(lines) :]]
    if end is None and len(lines) > len(cases):
        end = f"{counted(len(lines), 'answer')} to {counted(len(cases), 'question')}"
    return Report(tuple(program), tuple(outcomes), len(lines), end)


def _ask(
    cases: Iterable[Case], program: Sequence[str], timeout: float
) -> tuple[list[bytes], str | None]:
    """The lines that it answers with, and how it ended, unless that was well."""
    questions = b"".join(json.dumps(case.question).encode() + b"\n" for case in cases)
    # It runs in a new process session, so that all of its children can be ended with it.
    with (
        _interruptible() as interrupts,
        _file_of(questions) as file,
        subprocess.Popen(
            program, stdin=file, stdout=subprocess.PIPE, start_new_session=True
        ) as process,
    ):
        try:
            output = _said(process, timeout, interrupts)
            status = process.wait()
            end = f"it ended with exit status {status}" if status else None
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            is_flood = len(output) > MOST_OUTPUT
            end = "it says far too much" if is_flood else f"it was not done after {timeout:g} s"
        except KeyboardInterrupt:
            _kill(process)
            output, _ = process.communicate()
            end = INTERRUPTED
        except BaseException:
            _kill(process)
            raise
    return output[:MOST_OUTPUT].splitlines(), end


@contextmanager
def _file_of(data: bytes) -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


def _said(process: subprocess.Popen[bytes], timeout: float, interrupts: _Interrupts) -> bytes:
    """All of its output. Raises TimeoutExpired, and does so early if it has written too much.

    Raises KeyboardInterrupt between two looks; in a look, what was read would be lost.
    """
    waited = 0.0
    while not interrupts.came:
        slice = min(GLANCE, timeout - waited)
        try:
            return process.communicate(timeout=slice)[0]
        except subprocess.TimeoutExpired as late:
            waited += slice
            if waited >= timeout or len(late.output or b"") > MOST_OUTPUT:
                raise
    raise KeyboardInterrupt


class _Interrupts:
    """Whether Ctrl-C, SIGTERM or SIGHUP has come."""

    came = False

    def on_signal(self, number: int, frame: object) -> None:
        self.came = True


@contextmanager
def _interruptible() -> Iterator[_Interrupts]:
    """Have the signals in hand, but for those that are ignored, and in other threads."""
    interrupts = _Interrupts()
    before = {}
    with suppress(ValueError):  # only the main thread may
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, interrupts.on_signal)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()

"""Faults of a client, one by one: each is found by exactly the cases that guard it.

The other way round too: no case is there that no fault has ever made fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.conformance import faulty_client
from tests.conformance.threaded import InThread

from refserver.conformance.model import Result, Verdict
from refserver.conformance.peer.cases import CLIENT_CASES
from refserver.conformance.peer.run import CAPABILITIES, LOOPBACK, ClientDriver
from refserver.conformance.segmentation import Segmentation
from refserver.conformance.suite import Plan, run_suite
from refserver.conformance.talk import Setting

DECLARED = frozenset(CAPABILITIES)
AT_ONCE = 8
"""Most of the time they wait for each other, or for nothing to come."""

# What builds upon a case that fails is inconclusive, and so stands not here.
KILLS = {
    "32-bit-positions": "FACT-09",
    "64-frames-a-read": "PING-02 FRAME-03 APP-01",
    "ack-0-counts": "CLOSE-02",
    "acks-not-counted": "FACT-06 FACT-07 SAY-06 REPLY-07",
    "any-ack-position": "FACT-07",
    "allowed-4096-at-least": "LIMIT-08",
    "any-first-position": "FACT-05",
    "any-reply-kind": "REPLY-03",
    "any-reply-seq": "REPLY-01",
    "any-reserved": "FRAME-08 HEAD-03",
    "any-resume-position": "RESUME-05",
    "any-sender-of-application": "APP-04",
    "any-seq": "HEAD-04",
    "any-short-length": "FRAME-05 FRAME-06 FRAME-07",
    "any-version": "HEAD-01 HEAD-02 HEAD-05 HEAD-06",
    "any-way": "REPLY-05 REPLY-06",
    "application-not-counted": "APP-03",
    "asks-after-logout": "SAY-05",
    "checks-chunks-first": "FRAME-07",
    "code-tells-the-end": "ERROR-02 ERROR-03 ERROR-05 RESUME-07",
    "comes-back": "RESUME-07",
    "crashes-at-reset": "CLOSE-05",
    "cut-text": "TEXT-03",
    "data-has-length": "SAY-03",
    "data-is-text": "APP-01 APP-02",
    "declared-only": "APP-01 APP-02 APP-03",
    "decodes-cut-frames": "FRAME-04",
    "doubles-pass": "FACT-04",
    "drops-behind-welcome": "FRAME-01",
    "drops-halves": "FRAME-02",
    "empty-body-passes": "BODY-05",
    "eof-is-clean": (
        "LOGIN-08 FRAME-04 CLOSE-03 CLOSE-04 CLOSE-05 RESUME-01 RESUME-02 RESUME-03 "
        "RESUME-05 RESUME-06"
    ),
    "errors-are-losses": (
        "LOGIN-05 LOGIN-06 LOGIN-07 ERROR-04 ERROR-05 ERROR-06 CLOSE-07 CLOSE-08 RESUME-07"
    ),
    "every-error-ends": "ERROR-01 ERROR-02 ERROR-03",
    "facts-before-welcome": "FACT-02",
    "fatal-codes-end": "ERROR-02",
    "first-ticket": "RESUME-08",
    "full-is-lost": "LOGIN-07",
    "goes-on-refused": "LOGIN-04 RESUME-06",
    "hard-limit": "LIMIT-02 LIMIT-04",
    "keeps-open": "HEAD-01 HEAD-02 HEAD-05 HEAD-06",
    "known-codes-only": "ERROR-04",
    "leaves-bytes-over": "BODY-01 BODY-04",
    "leaves-in-silence": "PING-04",
    "left-untold": "FACT-01",
    "length-0-passed-over": "FRAME-06 FRAME-07",
    "length-counts-itself": "LOGIN-01 LOGIN-03 LOGIN-04 LOGIN-05 LOGIN-06 LOGIN-07",
    "limit-from-the-start": "LIMIT-06",
    "limit-when-whole": "LIMIT-02 LIMIT-03 LIMIT-04 LIMIT-06",
    "little-endian": "LOGIN-01 LOGIN-03 LOGIN-04 LOGIN-05 LOGIN-06 LOGIN-07",
    "logout-is-clean": "CLOSE-03",
    "logout-is-loss": "CLOSE-01 CLOSE-02 CLOSE-06",
    "missing-is-0": "BODY-02",
    "no-allowance": "LIMIT-01 LIMIT-04 LIMIT-07",
    "no-gaps-checked": "FACT-03 FACT-05 FACT-07 APP-03",
    "no-limit": "LIMIT-02 LIMIT-03 LIMIT-04 LIMIT-06",
    "numbers-in-json": "FACT-09",
    "one-read-one-frame": "FRAME-02 LIMIT-01",
    "overlong": "TEXT-02",
    "own-name": "LOGIN-03",
    "ping-has-time": "SAY-04",
    "ping-is-mine": "PING-03",
    "ping-with-body": "BODY-04",
    "pong-body": "PING-01",
    "pongs-last": "PING-02 FRAME-02",
    "pongs-own-number": "PING-01 SAY-05",
    "prints-control-characters": "TEXT-06",
    "raw-reasons": "FACT-08",
    "reads-behind-the-end": "ERROR-06",
    "replaces-bad-text": "TEXT-01 TEXT-02 TEXT-03 TEXT-04 APP-04",
    "resends-all": "RESUME-04",
    "resends-nothing": "RESUME-04",
    "reserved-first": "HEAD-06",
    "resume-from-0": "RESUME-01",
    "resume-without-ping": "RESUME-03",
    "resume-without-ticket": "RESUME-01",
    "second-welcome": "REPLY-04",
    "sends-any-length": "LIMIT-07",
    "seq-from-0": "LOGIN-01 LOGIN-02 LOGIN-03 LOGIN-04",
    "seq-random": "SAY-06",
    "short-login": "LOGIN-01",
    "signed-length": "LIMIT-02 LIMIT-03 LIMIT-04 LIMIT-06",
    "signed-sizes": "BODY-06 LIMIT-01 LIMIT-04 LIMIT-05",
    "skips-faulty-frames": (
        "FRAME-08 HEAD-03 BODY-01 BODY-02 BODY-03 BODY-04 BODY-05 TEXT-01 TEXT-02 TEXT-03 "
        "TEXT-04 FACT-02 FACT-03 FACT-04 FACT-05 FACT-07 REPLY-01 REPLY-02 REPLY-03 "
        "REPLY-04 REPLY-05 REPLY-06 APP-03 APP-04 RESUME-05"
    ),
    "skips-long-frames": "LIMIT-02 LIMIT-03 LIMIT-05",
    "slices": "BODY-03",
    "strips-text": "TEXT-05 SAY-02",
    "surrogates": "TEXT-01",
    "takes-bom-off": "TEXT-05",
    "tells-ticket": "CLOSE-08",
    "tells-wrong-code": (
        "HEAD-01 HEAD-02 HEAD-05 HEAD-06 FACT-02 FACT-03 FACT-04 FACT-05 FACT-07 REPLY-01 "
        "REPLY-02 REPLY-03 REPLY-04 REPLY-05 REPLY-06 LIMIT-02 LIMIT-03 LIMIT-04 LIMIT-06 "
        "APP-03 RESUME-05"
    ),
    "too-high": "TEXT-04",
    "trims": "SAY-02",
    "unasked-replies-pass": "REPLY-02",
    "unknown-is-answered": "UNKNOWN-01",
    "unknown-is-entry": "UNKNOWN-02",
    "unknown-is-fault": "UNKNOWN-01 UNKNOWN-02 UNKNOWN-03",
    "unknown-untold": "UNKNOWN-03",
    "usual-limit": "LIMIT-04 LIMIT-07",
    "version-0-passes": "HEAD-02",
    "version-is-lost": "LOGIN-06",
    "waits-after-error": "CLOSE-07",
    "waits-for-body": "HEAD-05",
    "waits-for-eof": "CLOSE-06",
    "waits-for-header": "FRAME-05 LIMIT-02 LIMIT-03 LIMIT-04 LIMIT-06",
    "writes-reserved": "LOGIN-02",
    "writes-sender": "SAY-01",
}


def results(fault: str, segmentations: Sequence[Segmentation]) -> list[Result]:
    """What the whole suite says of the client with this fault."""
    driver = ClientDriver(
        command=["{host}", "{port}", fault],
        setting=Setting(address=LOOPBACK, timeout=1.0, capabilities=DECLARED),
        seed=7,
        start=partial(InThread, faulty_client.play),
    )
    plan = Plan(cases=CLIENT_CASES, segmentations=segmentations, capabilities=DECLARED)
    return run_suite(plan, driver)


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    """For each fault the cases that failed, without PEER-."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = pool.map(lambda fault: results(fault, [Segmentation.WHOLE]), KILLS)
        return {
            fault: {each.case[5:] for each in run if each.verdict is Verdict.FAILED}
            for fault, run in zip(KILLS, runs, strict=True)
        }


@pytest.mark.parametrize("segmentation", Segmentation)
def test_without_a_fault_every_case_passes(segmentation: Segmentation) -> None:
    told = {each.case: each.actual for each in results("", [segmentation]) if each.verdict.bad}

    assert told == {}


@pytest.mark.parametrize("fault", KILLS)
def test_a_fault_is_found_by_exactly_its_cases(fault: str, found: dict[str, set[str]]) -> None:
    assert found[fault] == set(KILLS[fault].split())


def test_every_case_has_been_seen_to_fail() -> None:
    killing = {case for cases in KILLS.values() for case in cases.split()}

    assert {case.id[5:] for case in CLIENT_CASES} == killing


def test_every_fault_of_the_client_is_tried() -> None:
    source = faulty_client.__spec__.loader.get_source(faulty_client.__name__)  # type: ignore

    assert all(f'"{fault}"' in source for fault in KILLS)

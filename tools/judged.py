"""Draw docs/watching-matrix.md: what the judge finds of each mutant and of each fault.

Rule: `tests/watch/judged.json` is the record, and the tests hold the judge to it. What is not
found stands in `UNSEEN` with the reason, which only a person can write.

Layer: outside the packages, above both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from tools import matrix, provoked
from tools.pages import ROOT

from refserver.conformance.statements import VISIBLE, statements, visibility
from refserver.mutants import MUTANTS

RECORD = ROOT / "tests/watch/judged.json"
PAGE = ROOT / "docs/watching-matrix.md"
OBSERVING = ROOT / "packages/refserver/src/refserver/watch/resuming.py"
"""What this module names is observed, and never a finding."""
CASES_TRIED = 8
"""Cases of one mutant or fault whose traffic is judged, until something is found."""


class Seen(TypedDict):
    """In the traffic of which case what was found."""

    case: str
    statements: list[str]


Record = dict[str, dict[str, Seen]]


def _reasons(names: Mapping[str, str]) -> dict[str, str]:
    """The reason of each name."""
    return {name: reason for reason, listed in names.items() for name in listed.split()}


UNSEEN: Mapping[str, Mapping[str, str]] = {
    "mutants": _reasons(
        {
            "what is missing may still come: nobody who only watches can call it missing": """
                departures-told-together limit-not-announced refused-login-raises-the-limit
                never-asks output-renews whole-frames-only pong-is-silence waits-for-the-slowest
                reading-not-resumed end-not-noticed header-judged-late length-judged-late
                one-frame-a-read
                seq-zero-in-pong pong-body-ignored one-at-a-time resumed-reads-its-replay-only
                behind-a-resume-dropped asked-again-behind-a-pong resumed-not-asked
                not-asked-inside-a-frame pong-of-another-seq-is-silence refusal-stops-the-world
                login-deadline-renewed limit-of-the-room past-frame-completed
                stranger-served-last large-entry-ends-page-lost resumed-not-reading-live""",
            "a server may end a connection at any time, and only should say why": """
                refused-logout-kept bytes-behind-the-end end-overtakes closed-at-once
                deadline-in-silence stops-in-silence stop-overtakes stop-told-to-members
                reset-ends-all takeover-in-silence second-takeover-in-silence
                takeover-with-a-reset old-end-ends-the-new past-logout-logs-out stop-lets-in
                timeout-before-what-is-due
                old-loses-its-pongs timeout-drops-entries""",
            "what a credential proves is agreed outside the protocol": """
                empty-credential-proves anybodys-credential-proves longer-credential-proves
                shorter-credential-proves credential-of-any-case credential-of-seven-bits
                credential-searched-for ticket-proves anybody-resumes credential-cut-at-255
                proven-name-not-given empty-user-resumes-anybody any-credential-accepted
                name-before-credential""",
            "a server may forget a ticket at any time, or refuse a name": """
                only-ascii-names resumed-once last-position-refused refused-resume-spoils
                new-session-replaces resume-moves-the-beginning old-end-forgets-the-session
                timeout-ends-the-session empty-user-resumes-nothing empty-user-at-resume-refused
                ticket-of-one-server""",
            "its cause may lie in a connection that was not seen": """
                name-kept timeout-keeps-the-name refused-resume-ends second-login-takes-over
                resume-takes-the-name taken-before-whose-ticket taken-before-position
                past-connection-speaks future-position-accepted next-position-accepted""",
            "how much a server holds does not show": "reads-without-limit",
            "what was chosen at random, and how a server is set, does not show": """
                tickets-counted chosen-names-counted presence-not-hidden""",
            "the judge reads frames, and nothing of the WebSocket around them": """
                ws-one-frame-a-message ws-no-frame-across ws-first-fragment-only
                ws-ping-is-payload ws-empty-message-ends ws-text-is-binary ws-text-ends-normally
                ws-long-before-welcome ws-gathers-pongs ws-long-behind-welcome
                ws-short-messages-only ws-unmasked-taken ws-compresses ws-first-subprotocol
                ws-any-subprotocol ws-any-origin ws-any-host ws-refuses-with-401
                ws-cookie-is-a-name ws-close-1000-is-logout ws-close-1001-is-logout
                ws-close-4000-is-logout ws-ends-without-close ws-cuts-behind-its-close
                ws-control-is-life ws-half-a-frame-is-life ws-handshake-renews""",
        }
    ),
    "faults": _reasons(
        {
            "a client may end its connection at any time, and wait before that": """
                1000-pongs 16-bit-text allowed-4096-at-least application-not-counted
                buffer-outlives crashes-at-reset data-is-text drops-behind-welcome drops-halves
                every-error-ends error-stands-alone fatal-codes-end hard-limit known-codes-only
                leaves-if-explained leaves-in-silence leaves-within-a-heartbeat
                length-counts-itself no-allowance no-last-position no-noncharacters
                one-read-one-frame piece-is-loss pings-cannot-fail pong-for-goodbye
                refused-logout-ends short-unknowns signed-codes signed-heartbeat
                signed-max-frame signed-sizes ack-0-counts counts-in-32-bits code-tells-the-end
                unknown-is-entry unknown-is-fault unknown-too-early ping-is-mine pings-outlive
                numbers-outlive goodbye-stands-alone little-endian""",
            "what does not come may still come": """
                64-frames-a-read pongs-last pongs-of-members-only pongs-once signed-pings
                keeps-open waits-after-error waits-for-eof waits-for-body waits-for-header
                limit-when-whole""",
            "it shows in what the client tells its user, and not on the wire": """
                32-bit-positions 8-bit-codes ack-position-is-float c-strings checks-chunks-first
                declared-only decodes-cut-frames eof-is-clean errors-are-losses full-is-lost
                judges-behind-the-end last-frame-wins left-untold logout-is-clean logout-is-loss
                numbers-in-json prints-control-characters raw-reasons reserved-first
                signed-last-codes strips-text takes-bom-off tells-ticket tells-ticket-at-loss
                tells-wrong-code texts-of-100-bytes unknown-untold version-is-lost
                way-before-body own-name""",
            "nothing that it sends afterwards proves that it read on": """
                32-bit-limit ack-bytes-over ack-with-half-a-position any-goodbye
                any-short-length any-text-of-last-error last-error-bytes-over
                limit-from-the-start limit-outlives no-limit signed-length skips-long-frames
                reads-behind-the-end""",
            "whether words are said again or anew is not seen": """
                any-sender any-type applications-are-alike contents-by-prefix
                contents-normalised data-is-compared-as-text facts-by-asked-name
                forgets-at-second-loss keeps-a-set last-error-settles-nothing looks-at-all
                names-by-case names-normalised own-left-means-nothing passes-over-other-words
                resends-all resends-at-any-pong resends-at-joined resends-by-kind
                resends-in-reverse resends-messages-only resends-nothing resends-refused
                resends-the-first resume-without-ping sends-again-once settled-is-forgotten
                skips-to-the-fact slow-consumer-settles stops-at-too-long turned-away-settles
                twins-are-one
                empty-words-are-nobodys forgets-what-an-error-settled lefts-by-case
                only-losses-settle ping-ends-replay unknown-ends-replay events-move-no-place""",
            "a client may begin anew, resume or not, choose its numbers and say what it likes": """
                afresh-from-old-place asks-for-first-name back-after-gone back-after-goodbye
                back-after-malformed back-after-too-large back-after-unauthorized
                back-after-version comes-back data-has-length first-ticket float-ticket gives-up
                goes-on-refused place-not-from-acks place-of-first-loss resume-from-0
                resume-without-ticket resumes-a-fault rushes-back seq-random signed-ticket trims
                tries-once""",
            "the judge reads frames, and nothing of the WebSocket around them": """
                ws-1000-is-clean ws-1008-refuses ws-any-answer ws-empty-is-the-end
                ws-first-fragment-only ws-gathers-all ws-limit-is-max-frame ws-no-frame-across
                ws-no-subprotocol ws-one-frame-a-message ws-ping-is-payload ws-sends-text
                ws-text-is-binary ws-text-passed-over ws-unmasked""",
        }
    ),
}
"""For each that is not found, the reason."""


def recorded() -> Record:
    """What was found, by `mutants` and `faults`, each by its name."""
    record: Record = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def cases_of(kills: Mapping[str, list[str]], name: str) -> list[str]:
    """The cases that notice it, the steadiest first."""
    return matrix.steadiest(kills[name])[:CASES_TRIED]


def record(names: Collection[str]) -> None:
    """Judge the kit's traffic with these mutants and faults, or with all."""
    from tests.watch.kit import broken_by, traffic_of_a_fault, traffic_of_a_mutant

    from refserver.watch.conversation import Side

    logging.disable(logging.CRITICAL)
    found = recorded() if RECORD.exists() else {"mutants": {}, "faults": {}}
    kinds = {
        "mutants": (matrix.recorded(), traffic_of_a_mutant, Side.SERVER),
        "faults": (matrix.recorded(matrix.CLIENT_RECORD), traffic_of_a_fault, Side.CLIENT),
    }
    for kind, (kills, traffic, side) in kinds.items():
        for name in kills:
            if names and name not in names:
                continue
            found[kind].pop(name, None)
            for case in cases_of(kills, name):
                broken = broken_by(side, traffic(name, [case]))
                if broken:
                    found[kind][name] = {"case": case, "statements": broken}
                    break
            print(kind, name, found[kind].get(name, "not found"), flush=True)
        found[kind] = {name: found[kind][name] for name in kills if name in found[kind]}
    text = ",\n".join(
        f" {json.dumps(kind)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(seen)}" for name, seen in each.items())
        + "\n }"
        for kind, each in found.items()
    )
    RECORD.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def page(record: Record) -> str:
    """The page."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Record) -> Iterator[str]:
    faults = matrix.recorded(matrix.CLIENT_RECORD)
    yield "# What the judge finds"
    yield ""
    yield "Drawn by `python -m tools` from recorded runs; do not edit."
    yield ""
    yield "With this page you see what somebody can find who only watches. Each server that is"
    yield "wrong on purpose, and each client with a fault, talked with the conformance kit."
    yield "A proxy stood between them, and the judge was given what passed in the named case."
    yield ""
    yield "## Servers"
    yield ""
    about = {name: mutant.wrong for name, mutant in MUTANTS.items()}
    yield from _found("mutants", "mutant", record["mutants"], about)
    yield "## Clients"
    yield ""
    yield from _found("faults", "fault", record["faults"], dict.fromkeys(faults, ""))
    yield from provoked.lines(UNSEEN["faults"])
    yield "## Statements"
    yield ""
    yield "Where a breach of each statement can be seen, and whether the judge looks for it. What"
    yield "looks like a breach is only observed where nobody who watches can be certain."
    yield ""
    yield "| statement | can be seen | looked for |"
    yield "|---|---|---|"
    names = dict.fromkeys(named_in(OBSERVING), "observed") | dict.fromkeys(looked_for(), "yes")
    for number, visible in visibility().items():
        yield f"| {number} | {VISIBLE[visible]} | {names.get(number, '')} |"


def _found(
    kind: str, one: str, seen: Mapping[str, Seen], about: Mapping[str, str]
) -> Iterator[str]:
    yield f"Found are {len(seen)} of {len(about)}:"
    yield ""
    yield f"| {one} | what it does | broken statements | case |"
    yield "|---|---|---|---|"
    for name, each in seen.items():
        yield f"| `{name}` | {about[name]} | {', '.join(each['statements'])} | {each['case']} |"
    yield ""
    yield "Not found are these, each with the reason:"
    yield ""
    yield f"| {one} | what it does | why it is not found |"
    yield "|---|---|---|"
    for name, wrong in about.items():
        if name not in seen:
            why = UNSEEN[kind].get(name, "not tried yet: `python -m tools record judged`")
            yield f"| `{name}` | {wrong} | {why} |"
    yield ""


def looked_for() -> set[str]:
    """The statements that the judge's modules name."""
    return named_in(*(path for path in sorted(OBSERVING.parent.glob("*.py")) if path != OBSERVING))


def named_in(*modules: Path) -> set[str]:
    """The statements that these modules name."""
    from tools.requirements import REFERENCE

    source = "".join(path.read_text(encoding="utf-8") for path in modules)
    return set(REFERENCE.findall(source)) & set(statements())


def files() -> Mapping[Path, str]:
    """The page about the record."""
    return {PAGE: page(recorded())}

"""A program for `vectors check`, made from the second reader: no line of eventcodec in it.

Rule: it answers as the vectors want; with the name of a fault as its argument it has
that one fault, for the check to find.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.eventcodec import oracle

Question = dict[str, Any]
Answer = dict[str, Any]


def answer(question: Question) -> Answer:
    """What is right."""
    data, limit = bytes.fromhex(question["bytes"]), question["limit"]
    match oracle.judge(data, limit):
        case "event", form:
            return {**form}
        case "error", code:
            return {"error": code}
    return {"incomplete": True}


def late(question: Question) -> Answer:
    """Judges a frame when it is whole, and not before."""
    data = bytes.fromhex(question["bytes"])
    whole = len(data) >= 4 + int.from_bytes(data[:4], "big")
    return answer(question) if whole else {"incomplete": True}


def seq_as_number(question: Question) -> Answer:
    """Writes seq as JSON numbers, which many readers cannot hold."""
    right = answer(question)
    return {**right, "seq": int(right["seq"])} if "seq" in right else right


def true_for_1(question: Question) -> Answer:
    """Says true for the number 1, which Python takes for the same."""
    right = answer(question)
    return {"error": True} if right == {"error": 1} else right


def lenient(question: Question) -> Answer:
    """Takes what it knows and leaves what is behind it."""
    right = answer(question)
    data = bytes.fromhex(question["bytes"])
    if right == {"error": 1} and len(data) > 17 and data[4:8] == b"\1\6\0\0":
        return {"event": "Ping", "seq": str(int.from_bytes(data[8:16], "big"))}
    return right


FAULTS: dict[str, Callable[[Question], Answer]] = {
    each.__name__: each for each in (answer, late, seq_as_number, true_for_1, lenient)
}


def main(name: str = "answer") -> int:
    """Answer line by line; the faults of whole programs are here."""
    for number, line in enumerate(sys.stdin):
        question = json.loads(line)
        if name == "gives_up" and number == 9:
            return 0
        if name == "says_no_json" and number == 9:
            print("Traceback \x1b[31m")
        elif name == "answers_another" and number == 9:
            print('{"id": "another", "incomplete": true}')
        else:
            print(json.dumps({"id": question["id"], **FAULTS.get(name, answer)(question)}))
    if name == "says_too_much":
        print("{}")
    return 3 if name == "fails_at_the_end" else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

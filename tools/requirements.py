"""The statements of docs/protocol.md: which test proves each, and the kit's copy of them.

Rule: the markers `@pytest.mark.proves("EP-…")` in the tests are the truth, and the
`proves` of the vectors and of the conformance cases, which tests walk. All are read
and not run; docs/requirements.md is made from them and from the specification.

Layer: outside the packages; needs neither of them.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.pages import ROOT, Missing

SPECIFICATION = Path("docs/protocol.md")
PAGE = Path("docs/requirements.md")
VECTORS = Path("packages/eventcodec/src/eventcodec/vectors")
CASES = Path("packages/refserver/src/refserver/conformance")
SHIPPED = CASES / "statements.json"

# A codec cannot find these: their vectors prove nothing until a server is tested with them.
JUDGED_BY_A_ROOM = ("BAD_USER", "HISTORY_GONE")

STATEMENT = re.compile(r"^\*\*(EP-\d+(?:\.\d+)?-\d+)\*\* (.+)$", re.MULTILINE)
REFERENCE = re.compile(r"\bEP-\d+(?:\.\d+)?-\d+\b")
KEYWORD = re.compile(r"\b(?:MUST|SHOULD|MAY)\b")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, order=True, slots=True)
class Proof:
    """A test, and one statement that it says it proves."""

    statement: str
    test: str


class Unreadable(Exception):
    """A marker whose statements cannot be read from the source."""


def statements(text: str) -> dict[str, str]:
    """The numbered sentences of a specification, in its order. A double number is an error."""
    found = STATEMENT.findall(text)
    numbers = [number for number, _ in found]
    double = {number for number in numbers if numbers.count(number) > 1}
    if double:
        raise ValueError(f"numbered twice: {sorted(double)}")
    return dict(found)


def is_marker(call: ast.Call) -> bool:
    """`pytest.mark.proves(…)`, or `mark.proves(…)`."""
    return ast.unparse(call.func).removeprefix("pytest.") == "mark.proves"


def named(call: ast.Call, where: str) -> Iterator[str]:
    for argument in call.args:
        if re.fullmatch(r"\*\w+\.proves", ast.unparse(argument)):
            continue  # a case's own; the table of cases is read itself
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            raise Unreadable(f"{where}: proves() takes plain strings only")
        yield argument.value


def proofs_in(tree: ast.AST, place: str) -> Iterator[Proof]:
    """The proofs below a node, each under the innermost definition that it decorates or is in."""
    for node in ast.iter_child_nodes(tree):
        inside = f"{place}::{node.name}" if isinstance(node, Definition) else place
        if isinstance(node, ast.Call) and is_marker(node):
            yield from (Proof(number, place) for number in named(node, place))
        yield from proofs_in(node, inside)


def proofs(root: Path = ROOT) -> list[Proof]:
    """All that the tests say they prove, sorted."""
    marked = (
        proof
        for file in (root / "tests").rglob("test_*.py")
        for proof in proofs_in(ast.parse(file.read_bytes()), file.relative_to(root).as_posix())
    )
    cases = (
        proof
        for file in (root / CASES).rglob("cases/*.py")
        for proof in proofs_of_cases(ast.parse(file.read_bytes()))
    )
    return sorted({*marked, *proofs_of_vectors(root), *cases})


def proofs_of_cases(tree: ast.Module) -> Iterator[Proof]:
    """What conformance cases prove: the numbers in `@section.case(1, "…", "EP-…", …)`.

    A case is named by the prefix of its module's `Section("framing", "FRAME")` and by its number;
    a row `Refusal("FRAME-01", "…", ("EP-…",), …)` says its name itself.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    sections = [call for call in calls if ast.unparse(call.func) == "Section"]
    for call in calls:
        match ast.unparse(call.func).rpartition(".")[2]:
            case "case" if sections:
                prefix = ast.literal_eval(sections[0].args[1])
                case = f"{prefix}-{ast.literal_eval(call.args[0]):02}"
            case "Refusal" | "Ending" | "Replay":
                case = ast.literal_eval(call.args[0])
            case _:
                continue
        for number in REFERENCE.findall(" ".join(map(ast.unparse, call.args))):
            yield Proof(number, f"conformance: {case}")


def proofs_of_vectors(root: Path) -> Iterator[Proof]:
    """What the vectors prove, a group of them together; tests walk all that a codec can judge."""
    for kind in ("valid", "invalid"):
        for vector in json.loads((root / VECTORS / f"{kind}.json").read_bytes())["vectors"]:
            group = vector["id"].partition(".")[0]
            if vector.get("error", {}).get("name") not in JUDGED_BY_A_ROOM:
                yield from (Proof(each, f"{kind} vectors: {group}") for each in vector["proves"])


def page(known: dict[str, str], proved: Iterable[Proof]) -> str:
    """docs/requirements.md: each statement in the specification's order, with its tests."""
    tests: dict[str, list[str]] = {number: [] for number in known}
    for proof in proved:
        tests.get(proof.statement, []).append(proof.test)
    done = sum(map(bool, tests.values()))
    lines = [
        "# Requirements and their tests",
        "",
        "Made by `python -m tools` from the markers in the tests; do not edit.",
        f"Of {len(known)} statements in [the specification](protocol.md), {done} have a test.",
    ]
    for number, sentence in known.items():
        lines += ["", f"**{number}** {sentence}", ""]
        lines += [f"* `{test.removeprefix('tests/')}`" for test in tests[number]] or ["* no test"]
    return "\n".join(lines) + "\n"


def faults(root: Path = ROOT) -> list[str]:
    """What is wrong, a line each: unknown numbers, and statements without a test."""
    known = statements((root / SPECIFICATION).read_text(encoding="utf-8"))
    proved = proofs(root)
    with_test = {proof.statement for proof in proved}
    return [
        *(f"{p.test} names {p.statement}, unknown" for p in proved if p.statement not in known),
        *(f"{number} has no test" for number in known if number not in with_test),
    ]


def shipped(known: dict[str, str], stands: dict[str, dict[str, str]]) -> str:
    """What the kit ships: each sentence, and where a breach of it can be seen.

    Raises Missing for a statement beside which nobody has written that.
    """
    lacking = [number for number in known if number not in stands]
    if lacking:
        raise Missing(f"write into {SHIPPED.name} where a breach can be seen: {lacking}")
    said = {number: {**stands[number], "text": text} for number, text in known.items()}
    return json.dumps(said, indent=1, ensure_ascii=False) + "\n"


def files(root: Path = ROOT) -> dict[Path, str]:
    """The page, and the sentences that the kit ships."""
    known = statements((root / SPECIFICATION).read_text(encoding="utf-8"))
    stands = json.loads((root / SHIPPED).read_bytes())
    return {
        root / PAGE: page(known, proofs(root)),
        root / SHIPPED: shipped(known, stands),
    }

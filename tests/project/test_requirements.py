"""Each statement of the specification has a test, and each test names a known statement.

Rule: there is no statement without a test, and no list of exceptions.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from tests.together import together
from tools import requirements
from tools.pages import ROOT, Missing

from refserver.conformance.statements import VISIBLE, visibility

pytestmark = pytest.mark.once

SENTENCES = requirements.statements((ROOT / requirements.SPECIFICATION).read_text("utf-8"))
SOURCES = sorted(
    file
    for folder in ("packages", "tests", "docs", "tools", "benchmarks")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in (".py", ".md", ".json") and not {"_build", ".venv"} & set(file.parts)
)

SPECIFICATION = "**EP-1.1-1** It MUST be.\n\n**EP-1.1-2** It MAY be.\n"
PROVING = """
@pytest.mark.proves("EP-1.1-1", "EP-1.1-2")
def test_it_is(): ...
"""


def project(root: Path, *, tests: str = PROVING) -> Path:
    """A small project."""
    for folder in ("docs", "tests/project", requirements.VECTORS, requirements.CASES):
        (root / folder).mkdir(parents=True)
    for kind in ("valid", "invalid"):
        (root / requirements.VECTORS / f"{kind}.json").write_text('{"vectors": []}')
    (root / requirements.SPECIFICATION).write_text(SPECIFICATION)
    (root / "tests" / "test_it.py").write_text(tests)
    stands = {number: {"text": "old", "visible": "room"} for number in ("EP-1.1-1", "EP-1.1-2")}
    (root / requirements.SHIPPED).write_text(json.dumps(stands))
    return root


# ---------------------------------------------------------------- this project


def test_every_statement_has_a_test_and_every_test_a_statement() -> None:
    assert requirements.faults() == []


def test_numbers_rise_in_each_section() -> None:
    sections: dict[str, list[int]] = {}
    for number in SENTENCES:
        section, _, place = number.rpartition("-")
        sections.setdefault(section, []).append(int(place))

    assert sections
    assert all(places == sorted(set(places)) for places in sections.values())


@together("number", SENTENCES)
def test_a_statement_is_one_sentence_that_obliges(number: str) -> None:
    sentence = SENTENCES[number]

    assert requirements.KEYWORD.search(sentence)
    assert sentence.endswith(".")
    assert not re.search(r"\. [A-Z]", sentence)


def test_every_number_named_anywhere_is_known() -> None:
    example = {"EP-1.1-1", "EP-1.1-2", "EP-9.9-9"}
    named = {
        (file.relative_to(ROOT).as_posix(), number)
        for file in SOURCES
        for number in requirements.REFERENCE.findall(file.read_text("utf-8"))
    }

    unknown = {(file, number) for file, number in named if number not in SENTENCES}
    assert {pair for pair in unknown if pair[1] not in example} == set()


def test_no_docstring_names_a_whole_section_in_place_of_statements() -> None:
    numbered = re.compile(r"\bEP-[\d.-]*\d")

    code = [file for file in SOURCES if file.suffix == ".py" and "packages" in file.parts]

    found = {(file, each) for file in code for each in numbered.findall(file.read_text("utf-8"))}
    assert found
    assert [pair for pair in found if not requirements.REFERENCE.fullmatch(pair[1])] == []


# ---------------------------------------------------------------- the tool itself


def test_a_proved_project_has_no_fault(tmp_path: Path) -> None:
    assert requirements.faults(project(tmp_path)) == []


def test_a_statement_without_test_is_found(tmp_path: Path) -> None:
    root = project(tmp_path, tests=PROVING.replace(', "EP-1.1-2"', ""))

    assert requirements.faults(root) == ["EP-1.1-2 has no test"]


def test_a_test_that_names_an_unknown_number_is_found(tmp_path: Path) -> None:
    root = project(tmp_path, tests=PROVING.replace('"EP-1.1-1"', '"EP-1.1-1", "EP-9.9-9"'))

    assert requirements.faults(root) == ["tests/test_it.py::test_it_is names EP-9.9-9, unknown"]


def test_the_page_and_the_kits_copy_are_made_from_the_specification(tmp_path: Path) -> None:
    root = project(tmp_path)

    made = requirements.files(root)

    assert made[root / requirements.PAGE].count("EP-1.1-1") == 1
    shipped = json.loads(made[root / requirements.SHIPPED])
    assert list(shipped) == ["EP-1.1-1", "EP-1.1-2"]
    assert {each["visible"] for each in shipped.values()} == {"room"}
    assert all(each["text"] != "old" for each in shipped.values())


def test_a_statement_whose_visibility_nobody_wrote_is_an_error(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / requirements.SHIPPED).write_text("{}")

    with pytest.raises(Missing, match=r"EP-1\.1-1"):
        requirements.files(root)


def test_a_breach_of_each_statement_can_be_seen_somewhere_or_never() -> None:
    assert set(visibility()) == set(SENTENCES)
    assert set(visibility().values()) == set(VISIBLE)


@pytest.mark.parametrize(
    ("source", "test"),
    [
        ('@pytest.mark.proves("EP-1")\ndef test_a(): ...', "t::test_a"),
        ('@pytest.mark.proves("EP-1")\nasync def test_a(): ...', "t::test_a"),
        ('class TestB:\n    @mark.proves("EP-1")\n    def test_a(self): ...', "t::TestB::test_a"),
        ('@pytest.mark.proves("EP-1")\nclass TestB: ...', "t::TestB"),
        ('pytestmark = [pytest.mark.proves("EP-1")]', "t"),
        (
            '@parametrize("a", [param(1, marks=pytest.mark.proves("EP-1"))])\ndef test_a(): ...',
            "t::test_a",
        ),
    ],
)
def test_a_marker_is_read_wherever_it_may_stand(source: str, test: str) -> None:
    found = list(requirements.proofs_in(ast.parse(source), "t"))

    assert found == [requirements.Proof("EP-1", test)]


def test_a_vector_proves_unless_only_a_room_can_judge_it(tmp_path: Path) -> None:
    root = project(tmp_path, tests="")
    vectors = [
        {"id": "text.1", "proves": ["EP-1.1-1"], "error": {"name": "MALFORMED"}},
        {"id": "name.1", "proves": ["EP-1.1-2"], "error": {"name": "BAD_USER"}},
    ]
    (root / requirements.VECTORS / "invalid.json").write_text(json.dumps({"vectors": vectors}))

    assert requirements.proofs(root) == [requirements.Proof("EP-1.1-1", "invalid vectors: text")]


def test_a_conformance_case_proves_what_it_says() -> None:
    source = """
section = Section("framing", "A")

@section.case(1, "a title", "EP-1.1-1", cause="not EP-1.1-2")
def one(t): ...
"""

    found = list(requirements.proofs_of_cases(ast.parse(source)))

    assert found == [requirements.Proof("EP-1.1-1", "conformance: A-01")]


def test_a_row_of_the_table_proves_what_it_says() -> None:
    source = 'Refusal("A-02", "a title", ("EP-1.1-1", "EP-1.1-2"), cause="not EP-2.1-1")'

    found = list(requirements.proofs_of_cases(ast.parse(source)))

    assert found == [requirements.Proof(f"EP-1.1-{n}", "conformance: A-02") for n in (1, 2)]


def test_a_marker_may_leave_it_to_the_case() -> None:
    source = (
        '[pytest.param(case, marks=pytest.mark.proves("EP-1", *case.proves)) for case in CASES]'
    )

    assert list(requirements.proofs_in(ast.parse(source), "t")) == [requirements.Proof("EP-1", "t")]


@pytest.mark.parametrize("numbers", ["*NUMBERS", "NUMBER", "1", "case.proves"])
def test_a_marker_that_only_a_run_could_read_is_an_error(numbers: str) -> None:
    tree = ast.parse(f"@pytest.mark.proves({numbers})\ndef test_a(): ...")

    with pytest.raises(requirements.Unreadable):
        list(requirements.proofs_in(tree, "t"))


def test_a_number_that_stands_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"EP-1\.1-1"):
        requirements.statements(SPECIFICATION + SPECIFICATION)

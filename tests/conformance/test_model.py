"""Reports go to JSON and come back; the shipped schema fits what is written."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from tests.conformance.samples import a_report, a_result

from refserver.conformance.model import Report, Verdict
from refserver.conformance.reports import machine

SCHEMA = json.loads(
    files("refserver.conformance.reports").joinpath("report.schema.json").read_text("utf-8")
)
EVERYTHING = a_report(*map(a_result, Verdict))


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    machine.write(EVERYTHING, tmp_path / "report.json")

    assert machine.read(tmp_path / "report.json") == EVERYTHING


def test_the_schema_is_a_schema_and_fits_every_verdict() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    Draft202012Validator(SCHEMA).validate(EVERYTHING.to_json())


@pytest.mark.parametrize("missing", ["cases", "runs", "format"])
def test_the_schema_refuses_half_a_report(missing: str) -> None:
    said = EVERYTHING.to_json()
    del said[missing]

    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(said)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}'])
def test_what_is_no_report_is_not_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)

    with pytest.raises(ValueError):
        machine.read(tmp_path / "report.json")


def test_a_report_of_this_format_with_holes_is_not_read(tmp_path: Path) -> None:
    said = EVERYTHING.to_json()
    del said["runs"][0]["results"][0]["case"]
    (tmp_path / "report.json").write_text(json.dumps(said))

    with pytest.raises(ValueError, match="case"):
        machine.read(tmp_path / "report.json")


def test_a_report_of_no_known_moment_is_not_read(tmp_path: Path) -> None:
    said = EVERYTHING.to_json()
    said["runs"][0]["started"] = "yesterday"
    (tmp_path / "report.json").write_text(json.dumps(said))

    with pytest.raises(ValueError, match="yesterday"):
        machine.read(tmp_path / "report.json")


def test_merging_keeps_every_run_and_describes_each_case_once() -> None:
    one = a_report(a_result(), a_result(case="FRAME-02"), name="one")
    two = a_report(a_result(case="FRAME-02"), a_result(case="FRAME-03"), name="two")

    both = one.merged(two)

    assert [case["id"] for case in both.cases] == ["FRAME-01", "FRAME-02", "FRAME-03"]
    assert [run.implementation for run in both.runs] == ["one", "two"]
    assert Report.from_json(both.to_json()) == both

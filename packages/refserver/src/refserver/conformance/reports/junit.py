"""Reports as JUnit XML, which every CI reads.

Rule: a failure is what must be looked at; what was not run is skipped and says why.
There is no standard of it: what is written has what the strictest reader asks for, in
its order, and nothing that another refuses.

Layer: among the reports.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from ..model import Report, Result, Run, Verdict
from .phrases import DIFFERS, differing, outcome, step_said

__all__ = ["rendered", "write"]

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SKIPPED = (Verdict.UNSUPPORTED, Verdict.EXPECTED_FAILURE, Verdict.KNOWN_FLAKY)


def write(report: Report, path: Path) -> None:
    """Write the report as JUnit XML."""
    path.write_bytes(rendered(report))


def rendered(report: Report) -> bytes:
    """The report as JUnit XML: a test suite for each run."""
    cases = {case["id"]: case for case in report.cases}
    root = ET.Element("testsuites")
    for number, run in enumerate(report.runs):
        root.append(_suite(number, run, cases))
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _suite(number: int, run: Run, cases: dict[str, dict[str, Any]]) -> ET.Element:
    verdicts = [result.verdict for result in run.results]
    errors = verdicts.count(Verdict.ERROR)
    suite = ET.Element(
        "testsuite",
        id=str(number),
        package=f"conformance.{run.subject}",
        name=_text(run.implementation),
        tests=str(len(verdicts)),
        failures=str(sum(verdict.bad for verdict in verdicts) - errors),
        errors=str(errors),
        skipped=str(sum(verdict in _SKIPPED for verdict in verdicts)),
        time=f"{run.seconds:.3f}",
        timestamp=run.started.removesuffix("Z").partition("+")[0],
        hostname=_text(run.target),
    )
    about = ET.SubElement(suite, "properties")
    for name, value in (("seed", run.seed), ("kit", run.kit), ("subject", run.subject)):
        ET.SubElement(about, "property", name=name, value=str(value))
    suite.extend(_case(result, cases[result.case]) for result in run.results)
    ET.SubElement(suite, "system-out").text = _told(run)
    ET.SubElement(suite, "system-err")
    return suite


def _told(run: Run) -> str:
    ids = differing(run)
    return f"{DIFFERS}: {', '.join(ids)}" if ids else outcome(run)


def _case(result: Result, case: dict[str, Any]) -> ET.Element:
    element = ET.Element(
        "testcase",
        classname=f"{case['section']}.{result.segmentation}",
        name=f"{result.case} {case['title']}",
        time=f"{result.seconds:.3f}",
    )
    if result.verdict in _SKIPPED:
        ET.SubElement(element, "skipped", message=_text(result.reason))
    elif result.verdict.bad:
        kind = "error" if result.verdict is Verdict.ERROR else "failure"
        told = ET.SubElement(element, kind, message=_text(result.reason), type=str(result.verdict))
        told.text = _text(_evidence(result, case))
    return element


def _evidence(result: Result, case: dict[str, Any]) -> str:
    lines = [*case["requirement"], f"actual: {result.actual}", f"again: {result.rerun}"]
    for step in result.steps:
        lines.append(f"{step.at * 1000:9.1f} ms {step.who} {step.direction} {step_said(step)}")
    return "\n".join(lines)


def _text(text: str) -> str:
    """Text that XML can hold."""
    return _NOT_XML.sub(lambda found: ascii(found[0])[1:-1], text)

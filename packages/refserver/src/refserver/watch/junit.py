"""What was found as JUnit XML, for a CI.

Rule: it says what stands in the judgement, and nothing else.

Layer: above `judgement`, below the commands.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

from ..conformance.statements import VISIBLE
from ..wording import counted

__all__ = ["as_junit"]

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def as_junit(said: dict[str, Any]) -> bytes:
    """The same as JUnit XML: a test for each statement that was exercised or broken."""
    broken: dict[str, list[dict[str, Any]]] = {}
    for finding in said["findings"]:
        broken.setdefault(finding["statement"], []).append(finding)
    tests = [
        number
        for number, about in said["coverage"].items()
        if about["exercised"] or number in broken
    ]
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        id="0",
        package="watch",
        name=_text(", ".join(said["sources"])),
        tests=str(len(tests)),
        failures=str(len(broken)),
        errors="0",
        skipped="0",
        time="0.000",
        timestamp="1970-01-01T00:00:00",
        hostname="localhost",
    )
    ET.SubElement(suite, "properties")
    for number in tests:
        visible = VISIBLE[said["coverage"][number]["visible"]]
        case = ET.SubElement(
            suite, "testcase", classname=f"watch.{visible}", name=number, time="0.000"
        )
        if number in broken:
            first = broken[number][0]
            failure = ET.SubElement(
                case, "failure", message=_text(first["requirement"]), type="finding"
            )
            failure.text = _text("\n".join(json.dumps(each) for each in broken[number]))
    ET.SubElement(suite, "system-out").text = counted(said["frames"], "frame")
    ET.SubElement(suite, "system-err")
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _text(text: str) -> str:
    """Text that XML can hold."""
    return _NOT_XML.sub(lambda found: ascii(found[0])[1:-1], text)

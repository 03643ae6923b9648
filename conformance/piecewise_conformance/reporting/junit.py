"""``junit.xml``: the results in the form that CI systems show."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

from ..core.verdict import Status
from .report import Result

# Characters that XML 1.0 cannot hold, escaped or not; a subject's message may have them.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_TAGS = {
    Status.FAIL: "failure",
    Status.XPASS: "failure",
    Status.CRASH: "error",
    Status.TIMEOUT: "error",
    Status.ERROR: "error",
    Status.UNSUPPORTED: "skipped",
    Status.NOT_RUN: "skipped",
    Status.XFAIL: "skipped",
}


def write_junit(path: Path, results: Iterable[Result]) -> None:
    """Write the results to ``path``, one testcase each."""
    results = list(results)
    tags = [_TAGS.get(each.status) for each in results]
    suite = ET.Element(
        "testsuite",
        name="piecewise-conformance",
        tests=str(len(results)),
        failures=str(tags.count("failure")),
        errors=str(tags.count("error")),
        skipped=str(tags.count("skipped")),
        time=f"{sum(each.seconds for each in results):.3f}",
    )
    for each, tag in zip(results, tags, strict=True):
        case = ET.SubElement(
            suite,
            "testcase",
            classname=each.family,
            name=_clean(f"{each.id} {each.case}"),
            time=f"{each.seconds:.3f}",
        )
        if tag is not None:
            first = each.message.splitlines()[0] if each.message else ""
            about = ET.SubElement(case, tag, type=each.status.value, message=_clean(first))
            about.text = _clean(_details(each))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    fresh = path.with_name(f".{path.name}.new")
    ET.ElementTree(root).write(fresh, encoding="utf-8", xml_declaration=True)
    fresh.replace(path)


def _details(result: Result) -> str:
    parts = [result.message]
    for name in ("expected", "got", "program", "how_to_run"):
        if value := getattr(result, name):
            parts.append(f"{name.replace('_', ' ')}:\n{value}")
    return "\n\n".join(parts)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)

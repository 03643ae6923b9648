"""Certificates: a small file that says which level a subject conforms to, and by which report.

``run --level`` writes ``certificate.json`` next to the report if nothing failed. ``verify`` makes
the certificate again from the report and compares the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .core.requirements import Requirement
from .core.verdict import NOT_OFFERED, Status
from .reporting.report import CONFORMANT, REPORT, Report, ReportError, read_report
from .reporting.verdict import LevelResult, exit_status, level_result

CERTIFICATE = "certificate.json"
VERSION = 1
_SHOWN = 5  # IDs of missing requirements


def write_certificate(folder: Path, requirements: Mapping[str, Requirement]) -> str:
    """Write the certificate of the report in ``folder``; return the line that says so.

    If the report does not earn one, an earlier certificate is deleted and the line says why. It is
    empty for a run without a level.
    """
    path = folder / CERTIFICATE
    path.unlink(missing_ok=True)
    report = read_report(folder / REPORT)
    level = level_result(report.header, report.results)
    if level is None:
        return ""
    if reason := why_not(report, level, requirements):
        return f"no certificate: {reason}"
    text = json.dumps(_make(folder / REPORT, report, level), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return f"certificate: {path}"


def why_not(
    report: Report, level: LevelResult, requirements: Mapping[str, Requirement]
) -> str | None:
    """Return why the report earns no certificate; None if it does."""
    if not report.complete:
        return "the run is incomplete"
    unmatched = len((report.footer or {}).get("unmatched", ()))
    if exit_status(report.results, unmatched=unmatched) != CONFORMANT:
        return "the run is not conformant"
    if known := {each.id for each in report.results if each.status is Status.XFAIL}:
        return f"expected failures: {_listed(known)}"
    if missing := {id for id in _missing(report, level) if requirements[id].level == "MUST"}:
        return f"not judged, although the subject offers it: {_listed(missing)}"
    return None


def _missing(report: Report, level: LevelResult) -> frozenset[str]:
    """The requirements that were not selected, or that the subject only declined to be judged by.

    What the machine lacks, and a facet or ability that the subject does not offer, is not missing.
    """
    excused = {
        each.id
        for each in report.results
        if each.status is Status.NOT_RUN
        or (each.status is Status.UNSUPPORTED and each.message.startswith(NOT_OFFERED))
    }
    return (level.unsupported | level.not_run) - excused


def _listed(ids: set[str]) -> str:
    shown = ", ".join(sorted(ids)[:_SHOWN])
    return f"{shown} and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else shown


def _make(path: Path, report: Report, level: LevelResult) -> dict[str, Any]:
    """The certificate of the report at ``path``."""
    header = report.header
    return {
        "kind": "certificate",
        "schema": VERSION,
        "level": level.level,
        "level_digest": header["level_digest"],
        "subject": header["subject"],
        "subject_digest": header.get("subject_digest"),
        "versions": header["versions"],
        "device": header["device"],
        "counts": {
            "held": len(level.held),
            "failed": len(level.failed),  # of a SHOULD
            "unsupported": len(level.unsupported),
            "not_run": len(level.not_run),
        },
        "failed": sorted(level.failed),
        "unsupported": sorted(level.unsupported),
        "not_run": sorted(level.not_run),
        "report": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
    }


def verify(
    certificate: Path, report: Path, requirements: Mapping[str, Requirement]
) -> tuple[str, list[str]]:
    """Compare a certificate with its report: what it certifies, and a line for each difference.

    Raises ReportError if one of the files cannot be read.
    """
    try:
        given = json.loads(certificate.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{certificate} cannot be read: {error}") from error
    if not isinstance(given, dict) or given.get("kind") != "certificate":
        raise ReportError(f"{certificate} is not a certificate; expected kind 'certificate'")
    if given.get("schema") != VERSION:
        raise ReportError(
            f"{certificate} has schema {given.get('schema')!r}, and this release reads {VERSION}"
        )
    read = read_report(report)
    level = level_result(read.header, read.results)
    if level is None:
        return "", [f"{report} has no level that this release of piecewise-conformance knows"]
    if reason := why_not(read, level, requirements):
        return "", [f"{report} earns no certificate: {reason}"]
    made = json.loads(json.dumps(_make(report, read, level)))
    subject = f"{made['subject']['name']} {made['subject']['version']}".strip()
    return f"{subject}, level {level}", [
        f"{key} is {given.get(key)!r}, but the report says {made.get(key)!r}"
        for key in sorted(made.keys() | given.keys())
        if made.get(key) != given.get(key)
    ]

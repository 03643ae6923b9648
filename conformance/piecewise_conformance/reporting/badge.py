"""A badge for a README: the verdict in one small picture."""

from __future__ import annotations

from pathlib import Path

from ..core.verdict import Status
from .report import CONFORMANT, INCOMPLETE, Report, exit_status
from .templating import render

_TEMPLATE = Path(__file__).parent / "templates" / "badge.svg.j2"


def badge(report: Report) -> str:
    """Return an SVG that shows how many of the judged requirements hold; grey without a verdict."""
    unmatched = len((report.footer or {}).get("unmatched", ()))
    problem = "" if report.complete else "incomplete"
    status = exit_status(report.results, problem=problem, unmatched=unmatched)
    judged = {r.id for r in report.results if r.status is Status.PASS or r.failing}
    held = judged - {r.id for r in report.results if r.failing}
    if status == INCOMPLETE:
        text, colour = "no verdict", "#57606a"
    else:
        text = f"{len(held)} of {len(judged)}"
        colour = "#116329" if status == CONFORMANT else "#a40e26"
    return render(_TEMPLATE, label="piecewise", text=text, colour=colour)

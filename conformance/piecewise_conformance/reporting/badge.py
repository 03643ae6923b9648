"""A badge for a README: the verdict in one small picture."""

from __future__ import annotations

from pathlib import Path

from ..core.verdict import Status
from .report import (
    CONFORMANT,
    INCOMPLETE,
    Report,
)
from .templating import render
from .verdict import exit_status

_TEMPLATE = Path(__file__).parent / "templates" / "badge.svg.j2"


def badge(report: Report) -> str:
    """Return an SVG that shows how many requirements hold; grey without a verdict.

    Green is for a backend that is conformant without reserve.
    """
    footer = report.footer or {}
    unmatched = len(footer.get("unmatched", ()))
    problem = "" if report.complete else "incomplete"
    status = exit_status(report.results, problem=problem, unmatched=unmatched)
    judged = {r.id for r in report.results if r.status is Status.PASS or r.failing}
    held = judged - {r.id for r in report.results if r.failing}
    if status == INCOMPLETE:
        text, colour = "no verdict", "#57606a"
    else:
        text = f"{len(held)} of {footer.get('of_requirements', len(judged))}"
        whole = footer.get("verdict", "conformant") == "conformant"
        colour = "#a40e26" if status != CONFORMANT else "#116329" if whole else "#7a4b00"
    return render(_TEMPLATE, label="piecewise", text=text, colour=colour)

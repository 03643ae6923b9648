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
from .verdict import exit_status, level_result

_TEMPLATE = Path(__file__).parent / "templates" / "badge.svg.j2"


def badge(report: Report) -> str:
    """Return an SVG with the number of requirements that hold, and the level if the run had one.

    The badge is green only for ``conformant``, and grey without a verdict.
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
        text = str(level_result(report.header, report.results) or text)
        whole = footer.get("verdict", "conformant") == "conformant"
        colour = "#a40e26" if status != CONFORMANT else "#116329" if whole else "#7a4b00"
    return render(_TEMPLATE, label="piecewise", text=text, colour=colour)

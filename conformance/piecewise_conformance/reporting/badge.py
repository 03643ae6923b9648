"""A badge for a README: the verdict in one small picture."""

from __future__ import annotations

from html import escape

from ..core.verdict import Status
from .report import CONFORMANT, INCOMPLETE, Report, exit_status

_CHAR, _HEIGHT = 7, 20  # pixels


def badge(report: Report) -> str:
    """An SVG that says how many of the judged requirements hold; grey without a verdict."""
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
    label = "piecewise"
    left, right = _CHAR * len(label) + 12, _CHAR * len(text) + 12
    title = escape(f"{label}: {text}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" '
        f'role="img" aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left}" height="{_HEIGHT}" fill="#24292f"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{colour}"/>'
        f'<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{label}</text>'
        f'<text x="{left + right / 2}" y="14">{escape(text)}</text></g></svg>\n'
    )

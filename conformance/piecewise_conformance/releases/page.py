"""The page about a session: Markdown and HTML with the same content, laid out by templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..reporting.templating import render
from . import drift as drifting
from .attribution import Attribution
from .failures import BUCKETS, NEW, Row, totals
from .session import Torch

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 40  # lines of a program


@dataclass(frozen=True)
class Line:
    """A row of the table of failures."""

    torch: str
    subject: str
    row: Row
    attribution: Attribution | None

    @property
    def program(self) -> str:
        """The smallest program that shows the failure, cut if it is long."""
        lines = self.row.smallest.program.strip().splitlines()
        cut = [f"... {len(lines) - _LONGEST} lines more"] if len(lines) > _LONGEST else []
        return "\n".join([*lines[:_LONGEST], *cut])


def write(out: Path, good: str, found: Sequence[Torch]) -> None:
    """Write ``releases.md`` and ``releases.html`` into ``out``."""
    data = {
        "good": good,
        "torches": found,
        "subjects": list(dict.fromkeys(cell.subject for each in found for cell in each.cells)),
        "lines": lines_of(found),
        "moved": [(torch, each) for torch in found for each in torch.probes if each.moved],
        "unanswered": [
            (torch, each) for torch in found for each in torch.probes if each.inconclusive
        ],
        "unmatched": [
            (torch, cell, text)
            for torch in found
            for cell in torch.cells
            for text in cell.unmatched
        ],
        "drifts": [
            (drifting.title(each.drift), drifting.summary(each.drift), each.drift.changes)
            for each in found
            if each.drift is not None
        ],
        "buckets": BUCKETS,
        "totals": totals,
        "cell": _cell,
    }
    out.mkdir(parents=True, exist_ok=True)
    for name in ("releases.md", "releases.html"):
        text = render(_TEMPLATES / f"{name}.j2", **data)
        (out / name).write_text(text, encoding="utf-8", errors="backslashreplace")


def lines_of(found: Sequence[Torch]) -> list[Line]:
    """The failures of all cells, new ones with their attribution."""
    lines = []
    for torch in found:
        for subject, rows in torch.rows.items():
            attributions = iter(torch.attributions.get(subject, []))
            for row in rows:
                attribution = next(attributions, None) if row.bucket == NEW else None
                lines.append(Line(torch.version, subject, row, attribution))
    return lines


def _cell(text: object) -> str:
    """``text`` for a table of Markdown."""
    return str(text).replace("|", "\\|").replace("\n", " ")

"""Two reports of one backend, and what is different between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..core.verdict import Status
from .report import CONFORMANT, INCOMPLETE, NOT_CONFORMANT, Report, Result

# What the subject did, whatever was expected of it.
_WHOLE = (Status.PASS, Status.XPASS)
_BROKEN = (Status.FAIL, Status.CRASH, Status.TIMEOUT, Status.ERROR, Status.XFAIL)


@dataclass
class Change:
    """One case in both reports; None where a report does not have it."""

    old: Result | None
    new: Result | None

    @property
    def now(self) -> Result:
        """The result to show: the new one, or what was lost."""
        result = self.new or self.old
        assert result is not None
        return result

    def __str__(self) -> str:
        old = self.old.status.value if self.old else "–"
        new = self.new.status.value if self.new else "–"
        return f"{self.now.id} {self.now.case}: {old} → {new}"


@dataclass
class Difference:
    """All that changed, sorted by requirement and case."""

    newly_failing: list[Change] = field(default_factory=list)
    newly_passing: list[Change] = field(default_factory=list)
    no_longer_judged: list[Change] = field(default_factory=list)
    appeared: list[Change] = field(default_factory=list)
    disappeared: list[Change] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)  # which of "old", "new"

    @property
    def exit_status(self) -> int:
        """1 if a case of a MUST went bad, came in bad, or is judged no longer; 3 if in doubt."""
        if self.incomplete:
            return INCOMPLETE
        came_bad = [each for each in self.appeared if _bad(each.now)]
        worse = [*self.newly_failing, *self.no_longer_judged, *came_bad]
        return NOT_CONFORMANT if any(each.now.level == "MUST" for each in worse) else CONFORMANT

    def sections(self) -> Iterator[tuple[str, list[Change]]]:
        """The changes by their kind, worst first; kinds without any are left out."""
        for name in ("newly_failing", "no_longer_judged", "newly_passing"):
            if found := getattr(self, name):
                yield name.replace("_", " "), found
        if bad := [each for each in self.appeared if _bad(each.now)]:
            yield "appeared, failing", bad
        if good := [each for each in self.appeared if not _bad(each.now)]:
            yield "appeared", good
        if self.disappeared:
            yield "disappeared", self.disappeared


def compare(old: Report, new: Report) -> Difference:
    """What is different in ``new``: a failure that is now expected is none, it fails as before."""
    found = Difference()
    found.incomplete = [name for name, r in (("old", old), ("new", new)) if not r.complete]
    before = {each.key: each for each in old.results}
    after = {each.key: each for each in new.results}
    for key in sorted({**before, **after}):
        change = Change(before.get(key), after.get(key))
        if change.old is None:
            found.appeared.append(change)
        elif change.new is None:
            found.disappeared.append(change)
        elif _bad(change.new) and not _bad(change.old):
            found.newly_failing.append(change)
        elif change.new.status in _WHOLE and change.old.status not in _WHOLE:
            found.newly_passing.append(change)
        elif _judged(change.old) and not _judged(change.new):
            found.no_longer_judged.append(change)
    return found


def _bad(result: Result) -> bool:
    return result.status in _BROKEN


def _judged(result: Result) -> bool:
    return result.status in _WHOLE or _bad(result)


def as_text(found: Difference) -> str:
    """For the terminal: a heading and a line a change."""
    lines = [
        f"the {name} report is incomplete; finish it with run --resume" for name in found.incomplete
    ]
    for name, changes in found.sections():
        lines += [f"{name} ({len(changes)})", *(f"  {each}" for each in changes)]
    return "\n".join(lines or ["no difference"])


_SHOWN = 50  # rows of a section: a comment on a pull request has a limit


def as_markdown(found: Difference) -> str:
    """For a comment on a pull request; each section can be folded, the worst stands open."""
    lines = ["### Piecewise conformance", ""]
    lines += [f"**The {name} report is incomplete.**\n" for name in found.incomplete]
    sections = list(found.sections())
    if not sections:
        lines.append("No differences.")
    for name, changes in sections:
        unfolded = " open" if "failing" in name else ""
        lines += [f"<details{unfolded}><summary>{name}: {len(changes)}</summary>", ""]
        lines += ["| requirement | case | before | now |", "|---|---|---|---|"]
        for each in changes[:_SHOWN]:
            states = [r.status.value if r else "–" for r in (each.old, each.new)]
            lines.append(f"| {each.now.id} | {_cell(each.now.case)} | {' | '.join(states)} |")
        if len(changes) > _SHOWN:
            lines.append(f"\n{len(changes) - _SHOWN} more.")
        lines += ["", "</details>", ""]
    return "\n".join(lines).rstrip()


def _cell(text: str) -> str:
    """``text`` as code in a table, where a bar or a backtick would end it."""
    return "`" + text.replace("|", "\\|").replace("`", "'").replace("\n", " ") + "`"

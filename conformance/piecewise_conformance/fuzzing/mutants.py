"""How soon the search finds a fault: ``python -m piecewise_conformance.fuzzing.mutants``.

For each *program-shaped* mutant, one that declares to fail a requirement which some property asks
of any program, programs are drawn from an empty corpus until a property fails on the mutant and
holds on the reference. What was found is then shortened. The table is of a search with two minutes
for each mutant and no other.

It is made in one process, where each program is drawn, built and run once and judged against all
mutants that are still sought. A mutant's seconds are what it took to draw, to build and to run the
programs so far and to judge them on that mutant, in processor time, so that other load does not
count. Mutants that graphs can show are sought by graphs, the others by way of Dynamo. Those that
declare to lie beyond what programs show are listed with the reason, and not sought.

Exit status: 0 all found, 1 some not.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piecewise_fixtures.generated import Program, Space, printing, seeded

from ..mutation.catalogue import Mutant, catalogue
from ..mutation.subjects import load
from ..subject.loading import load_subject
from ..subject.subject import Subject
from ..testkit.generated.programs import Drawn
from .judging import judge, prepare, quicken, shortest
from .properties import DIRECT, DYNAMO, Property, chosen

_SHARED = 2000  # programs a space
_TRIES = {DIRECT: 400, DYNAMO: 120}  # candidates while shortening


@dataclass
class Hunt:
    """The search for one mutant."""

    mutant: Mutant
    capture: str
    subject: Subject
    programs: int = 0
    seconds: float = 0.0
    found: Property | None = None
    number: int = 0  # of the program that showed it
    shortest: Program | None = None
    message: str = ""

    def look(self, drawn: Drawn, reference: Subject, since: float) -> bool:
        """Whether ``drawn`` shows the fault; it was begun at ``since``."""
        self.programs += 1
        began = time.process_time()
        shown = None
        for asked in chosen(self.capture):
            if not asked.is_of_programs:
                continue
            if self.programs % asked.every and asked.requirement not in self.mutant.fails:
                continue
            (judged,) = judge(self.subject, drawn, [asked])
            if judged.failed:
                shown = asked
                break
        self.seconds += time.process_time() - began + since
        if shown is None or judge(reference, drawn, [shown])[0].failed:
            return False
        self.found = shown
        return True

    def shorten(self, program: Program) -> None:
        """Make the program that shows it short."""
        assert self.found is not None
        self.shortest, came = shortest(self.subject, program, self.found, _TRIES[self.capture])
        self.message = came.message

    def row(self) -> dict[str, Any]:
        """What came of it, for the table and for JSON."""
        short = self.shortest
        return {
            "mutant": self.mutant.name,
            "capture": self.capture,
            "found": self.found is not None,
            "programs": self.programs,
            "seconds": round(self.seconds, 1),
            "requirement": self.found.requirement if self.found else "",
            "case": self.found.case if self.found else "",
            "statements": len(short.statements) if short else None,
            "program": short.to_json() if short else "",
            "forward": printing.body(short) if short else [],
            "message": self.message,
        }


def program_shaped() -> Iterator[tuple[Mutant, str]]:
    """The mutants that a program may show, and by which way."""
    asked = {
        way: {each.requirement for each in chosen(way) if each.is_of_programs}
        for way in (DIRECT, DYNAMO)
    }
    for mutant in catalogue().values():
        way = next((way for way in asked if mutant.fails & asked[way]), None)
        if way is not None and not mutant.slow:
            yield mutant, way


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m piecewise_conformance.fuzzing.mutants")
    parser.add_argument(
        "--only", metavar="REGEX", default="", help="only mutants whose name matches"
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="time limit for each mutant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to FILE")
    options = parser.parse_args(arguments)
    quicken()
    reference = load_subject("reference")
    hunts = [
        Hunt(mutant, way, load(mutant.name))
        for mutant, way in program_shaped()
        if re.search(options.only, mutant.name) and not mutant.beyond_programs
    ]
    for way in (DIRECT, DYNAMO):
        mine = [each for each in hunts if each.capture == way]
        _hunt(mine, way, reference, options.seed, 60 * options.minutes, _tell)
    rows = [each.row() for each in hunts]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(_summary(rows)))
    return 0 if all(row["found"] for row in rows) else 1


def _hunt(
    hunts: list[Hunt],
    way: str,
    reference: Subject,
    seed: int,
    seconds: float,
    tell: Callable[[Hunt], None],
) -> None:
    """Draw programs until every mutant is found or its time is up."""
    sought, number, space = list(hunts), 0, Space()
    while sought:
        if number % _SHARED == _SHARED - 1 or space.spoiled:
            space = Space()
        began = time.process_time()
        drawn = Drawn(seeded(f"{seed}:{number}"), space)
        number += 1
        if prepare(drawn, way):
            continue
        took = time.process_time() - began
        for each in list(sought):
            if each.look(drawn, reference, took):
                each.number = number - 1
                each.shorten(drawn.program)
            if each.found or each.seconds > seconds:
                sought.remove(each)
                tell(each)
        drawn.forget()


def _tell(hunt: Hunt) -> None:
    print(_line(hunt.row()), flush=True)


def _line(row: dict[str, Any]) -> str:
    if not row["found"]:
        return f"{row['mutant']:<44}not found  {row['programs']:>6} {row['seconds']:>8.1f}"
    return (
        f"{row['mutant']:<44}{row['requirement']:<10} {row['programs']:>6} {row['seconds']:>8.1f} "
        f"{row['statements']:>6}"
    )


def _summary(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"\n{'mutant':<44}{'found by':<10} {'drawn':>6} {'seconds':>8} {'statements':>6}"
    for row in sorted(rows, key=lambda row: (not row["found"], row["mutant"])):
        yield _line(row)
    found = [row for row in rows if row["found"]]
    yield f"\n{len(found)} of {len(rows)} found"
    if found:
        for what in ("programs", "seconds", "statements"):
            values = [row[what] for row in found]
            yield f"{what}: median {statistics.median(values):g}, most {max(values):g}"
    beyond = [mutant for mutant, _ in program_shaped() if mutant.beyond_programs]
    yield f"{len(beyond)} not sought:"
    for mutant in beyond:
        yield f"  {mutant.name}: {mutant.beyond_programs}"


if __name__ == "__main__":
    raise SystemExit(main())

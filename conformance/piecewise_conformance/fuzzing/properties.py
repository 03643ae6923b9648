"""What must hold for every program.

For a graph these are the tests of the suite that take any graph there is; for a program that Dynamo
captures, the compiled model beside the model, in a drawn order of calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..subject.subject import Subject
from ..suite import test_split
from ..testkit.generated import checks
from ..testkit.graph_capture import all_names

DIRECT, DYNAMO = "direct", "dynamo"

# To copy, compile and print all pieces once more takes as long as all the other tests.
_RARELY = {"can_be_copied_and_printed": 4}


@dataclass(frozen=True)
class Property:
    """A requirement as a check: of (subject, name of a graph), or of (subject, module).

    One program of ``every`` is asked: for what is costly, and breaks in few ways.
    """

    requirement: str
    case: str
    capture: str
    check: Callable[[Subject, Any], None]
    compiler: str = ""  # of the pieces; the cheapest that the subject has, unless it is named
    every: int = 1
    is_of_programs: bool = True  # or of what a program's name decides

    @property
    def key(self) -> str:
        """What names the property in a report and in a script."""
        return f"{self.requirement}:{self.case}"


@cache
def properties() -> dict[str, Property]:
    """Every property by its key."""
    found = [*_of_graphs(), *_of_programs()]
    return {each.key: each for each in found}


def _of_graphs() -> list[Property]:
    """The tests of the suite that run on every graph there is."""
    everything = all_names()
    found = []
    for name, function in vars(test_split).items():
        marks = getattr(function, "pytestmark", ())
        cited = [mark.args[0] for mark in marks if mark.name == "requirement"]
        takes_any = any(
            mark.name == "parametrize" and mark.args == ("name", everything) for mark in marks
        )
        if cited and takes_any:
            case = name.removeprefix("test_")
            every = _RARELY.get(case, 1)
            found.append(Property(cited[0], case, DIRECT, function, every=every))
    return found


def _of_programs() -> list[Property]:
    return [
        Property("STITCH-001", "drawn_calls", DYNAMO, checks.drawn_calls),
        Property("STITCH-002", "copied_inputs", DYNAMO, checks.copied_inputs),
        Property("RANGE-005", "drawn_ranges", DYNAMO, checks.drawn_ranges),
        Property("SERIAL-002", "drawn_bytes", DYNAMO, checks.drawn_bytes),
        Property(
            "CACHE-020", "drawn_steps", DYNAMO, checks.drawn_steps, every=3, is_of_programs=False
        ),
        Property(
            "STITCH-001", "compiled_by_inductor", DYNAMO, checks.compiled_by_inductor, "inductor"
        ),
    ]


def chosen(capture: str, compiler: str = "") -> list[Property]:
    """The properties to ask of a program that is captured so."""
    return [
        each
        for each in properties().values()
        if (each.capture, each.compiler) == (capture, compiler)
    ]

"""What must hold for every program.

For a graph these are the tests of the suite that take any graph there is; for a program that Dynamo
captures, the compiled model beside the model, in a drawn order of calls.
"""

from __future__ import annotations

import importlib
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from piecewise_fixtures.generated import SIZES, Program, as_program, forget
from piecewise_fixtures.generated.build import Generated

from ..boundary import may_refuse
from ..cache_histories import check as check_cache
from ..capture import all_names
from ..drive import Driven, options_for
from ..recorded import settle
from ..serial import Keeping, from_bytes, to_bytes
from ..subject import Subject
from ..verdict import Violation

DIRECT, DYNAMO = "direct", "dynamo"

# The modules of the suite with tests that take any graph.
_SUITES = ("test_split",)


@dataclass(frozen=True)
class Property:
    """A requirement as a check: of (subject, name of a graph), or of (subject, program)."""

    requirement: str
    case: str
    capture: str
    check: Callable[[Subject, Any], None]

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
    everything = all_names()
    found = []
    for suite in _SUITES:
        module = importlib.import_module(f"piecewise_conformance.suite.{suite}")
        for name, function in vars(module).items():
            marks = getattr(function, "pytestmark", ())
            cited = [mark.args[0] for mark in marks if mark.name == "requirement"]
            takes_any = any(
                mark.name == "parametrize" and mark.args == ("name", everything) for mark in marks
            )
            if cited and takes_any:
                found.append(Property(cited[0], name.removeprefix("test_"), DIRECT, function))
    return found


def _of_programs() -> list[Property]:
    return [
        Property("STITCH-001", "drawn_calls", DYNAMO, _calls),
        Property("STITCH-002", "copied_inputs", DYNAMO, _copied),
        Property("RANGE-005", "drawn_ranges", DYNAMO, _ranges),
        Property("SERIAL-002", "drawn_bytes", DYNAMO, _bytes),
        Property("CACHE-020", "drawn_steps", DYNAMO, _steps),
    ]


def order(program: Program) -> list[int]:
    """Sizes to call ``program`` with: in an order of its own, some of them twice."""
    decide = random.Random(program.to_json())
    sizes = [*SIZES, *decide.sample(SIZES, 2)]
    decide.shuffle(sizes)
    return sizes


def _driven(subject: Subject, program: Generated, **changes: Any) -> Driven:
    settle()
    return Driven(subject, program, options_for(subject, program, **changes))


def _calls(subject: Subject, program: Program) -> None:
    """Every size, in any order, from any first call."""
    built = as_program(program)
    try:
        driven = _driven(subject, built)
        for size in order(program):
            driven.check(size)
    finally:
        forget(built.module)


def _copied(subject: Subject, program: Program) -> None:
    """With copied inputs: the same, or a refusal that says why."""
    built = as_program(program)
    try:
        driven = _driven(subject, built, copy_inputs=True)
        for size in order(program):
            with may_refuse(True):
                driven.check(size)
    finally:
        forget(built.module)


def _ranges(subject: Subject, program: Program) -> None:
    """Both ends of each range and its inside, and single sizes."""
    decide = random.Random(program.to_json())
    endpoints = tuple(sorted(decide.sample(range(2, 12), 2)))
    single = (decide.choice(SIZES[:3]),)
    built = as_program(program)
    try:
        driven = _driven(subject, built, compile_ranges_endpoints=endpoints, compile_sizes=single)
        sizes = [*endpoints, *(each + 1 for each in endpoints), *single, 1]
        decide.shuffle(sizes)
        for size in sizes:
            driven.check(size)
    finally:
        forget(built.module)


def _bytes(subject: Subject, program: Program) -> None:
    """The function that went through bytes does what the program does."""
    subject.get("serialize")
    built = as_program(program)
    try:
        asked = options_for(subject, built)
        keeping = Keeping(subject.backend(asked))
        settle()
        sizes = [size for size in order(program) if size > 1]  # one token is a graph of its own
        Driven(subject, built, asked, keeping).check(sizes[0])
        with may_refuse(True):  # what cannot be kept is said to be so
            data = to_bytes(subject, keeping.function, asked)
        loaded = from_bytes(subject, data, asked)
        settle()
        again = Driven(subject, built, asked, lambda graph, example_inputs: loaded)
        for size in sizes:
            again.check(size)
    finally:
        forget(built.module)


def _steps(subject: Subject, program: Program) -> None:
    """A history of a cache that the text of the program chooses; the steps are told."""
    number = random.Random(program.to_json()).randrange(2**32)
    with tempfile.TemporaryDirectory() as folder:
        try:
            check_cache(subject, Path(folder), examples=8, steps=30, numbers=number)
        except Violation as error:
            got = f"{error.got}\n\nafter these steps:\n\n{error.program}"
            raise Violation(error.message, expected=error.expected, got=got) from None

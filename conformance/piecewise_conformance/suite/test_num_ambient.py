"""NUM: what the caller has set around the call: the random state, and autocast."""

from __future__ import annotations

import dataclasses

import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.capture_cache import settle, with_own_code
from piecewise_conformance.testkit.drive import Driven, drive, options_for
from piecewise_conformance.testkit.oracle import EXACT, check
from piecewise_fixtures.programs import Program, program


def _program(name: str, module: type[torch.nn.Module]) -> Program:
    return dataclasses.replace(program("linear-chain"), name=name, about="", module=module)


class _Random(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.ops.piecewise.scaled(x + torch.rand_like(x))
        return torch.nn.functional.dropout(y, 0.5, training=True), torch.rand_like(x)


@requirement("NUM-008")
def test_random_numbers(subject: Subject) -> None:
    """Two calls after the same seed, by random ops on both sides of a splitting op; and the state
    of the generator after them.
    """
    driven = drive(subject, _program("random-numbers", _Random), compiler="eager")
    with torch.random.fork_rng(devices=[]):
        for size in (6, 4, 6):
            args = driven.program.inputs(size)
            driven.got(args)  # whatever a first call does
            runs = []
            for run in (driven.expected, driven.got):
                torch.manual_seed(size)
                runs.append(([run(args), run(args)], torch.get_rng_state()))
            (expected, state), (got, state_after) = runs
            for each in (0, 1):
                where = f"for {size} tokens, call {each + 1} after a seed"
                check(expected[each], got[each], EXACT, program=driven.program.source, where=where)
            if not torch.equal(state, state_after):
                raise Violation(
                    "the state of the generator after two calls",
                    expected="that after two calls of the model",
                    got="another",
                )


class _Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.ops.piecewise.scaled(self.linear(x)).relu())


def _check_in_autocast(subject: Subject, compiler: str) -> None:
    settle()
    chosen = with_own_code(_program("linear", _Linear))
    endpoints = (5,) if subject.can("compile-ranges") else ()
    options = options_for(subject, chosen, compiler=compiler, compile_ranges_endpoints=endpoints)
    subject.check_offers(options)
    driven = Driven(subject, chosen, options, live=True)
    with torch.autocast("cpu", torch.bfloat16):
        for size in (6, 4, 6):
            driven.check(size)


@requirement("NUM-009")
def test_autocast(subject: Subject) -> None:
    """Linear layers on both sides of a splitting op compute in bfloat16, in every range."""
    _check_in_autocast(subject, "eager")


@requirement("NUM-009")
@slow
@needs("inductor")
def test_autocast_with_inductor(subject: Subject) -> None:
    """So too where Inductor compiles them, also for a range that comes into use later."""
    _check_in_autocast(subject, "inductor")

"""INTERP: models with a backend each that are first called by several threads at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.drive import Driven, drive
from piecewise_conformance.testkit.oracle import check
from piecewise_conformance.testkit.together import together
from piecewise_fixtures.programs import Program, program


@cache
def _model(factor: float) -> Program:
    class Scaling(torch.nn.Module):
        factor: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", torch.tensor(factor))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.ops.piecewise.scaled(torch.sin(x) * self.factor)
            return torch.ops.piecewise.scaled(y.cos() + self.factor).sum(1) * self.factor

    base = program("linear-chain")
    name = f"started-together-{factor}"
    return Program(
        name, "", Scaling, base.inputs, base.splitting_ops, base.sizes, base.dynamic, frozenset()
    )


def _start_together(models: Sequence[Driven], sizes: Sequence[int]) -> None:
    """For each size a batch of every model, each in a separate thread, all at once."""
    for size in sizes:
        calls = [partial(model.got, model.program.inputs(size)) for model in models]
        for number, got in enumerate(together(calls, "models that start in threads at once")):
            model, where = models[number], f"of model {number}, for {size} tokens"
            args = model.program.inputs(size)
            check(model.expected(args), got, model.rule(args), where=where)


@requirement("INTERP-011")
@pytest.mark.parametrize("cached", [False, True], ids=["no-cache", "one-cache"])
def test_models_start_together(subject: Subject, tmp_path: Any, cached: bool) -> None:
    """Three models, each with a backend and ranges of its own; also with one cache root."""
    root = {"cache_root": str(tmp_path)} if cached else {}
    for turn in range(2):
        with spy.spying():
            models = [
                drive(
                    subject,
                    _model(1.5 + number),
                    compiler=spy.NAME,
                    compile_ranges_endpoints=(5,),
                    prefix=f"model{number}",
                    **root,
                )
                for number in range(3)
            ]
            _start_together(models, (6, 4) if turn else (4, 6, 9))


@requirement("INTERP-011")
@slow
@needs("inductor")
def test_models_start_together_with_inductor(subject: Subject) -> None:
    """Pairs of models that Inductor compiles; afterwards the process still compiles others."""
    for turn in range(3):
        pair = [
            drive(
                subject,
                _model(2.25 + 2 * turn + number),
                compiler="inductor",
                compile_ranges_endpoints=(5,),
            )
            for number in range(2)
        ]
        _start_together(pair, (6, 4))
    drive(subject, _model(9.5), compiler="inductor").check(6)

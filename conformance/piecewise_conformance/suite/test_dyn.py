"""DYN: one compiled model for all batch sizes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo.config
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.capture_cache import settle, with_own_code
from piecewise_conformance.testkit.drive import Driven, drive, options_for, other_values
from piecewise_fixtures.programs import Program, program


@requirement("DYN-001")
@pytest.mark.parametrize("order", [(6, 2, 33, 64, 3), (2, 3, 4), (64, 2), (5, 1, 5, 64, 1)])
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "lone-empty"])
def test_any_size_in_any_order(subject: Subject, name: str, order: tuple[int, ...]) -> None:
    """Sizes rise, fall, repeat and reach the maximum."""
    driven = drive(subject, program(name), max_num_batched_tokens=64)
    for size in order:
        driven.check(size)


@requirement("DYN-001")
@pytest.mark.parametrize("order", [(6, 4, 9, 4), (2, 9, 8, 5)])
def test_ranges_in_any_order(subject: Subject, order: tuple[int, ...]) -> None:
    """So too with ranges and single sizes of their own artifacts."""
    driven = drive(
        subject,
        program("two-layers"),
        max_num_batched_tokens=16,
        compile_ranges_endpoints=(4, 8),
        compile_sizes=(4, 9),
    )
    for size in order:
        driven.check(size)


@requirement("DYN-001")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "lone-empty"])
@pytest.mark.parametrize("sizes", [(), (6,)], ids=["range", "single-size"])
def test_other_values_of_a_size(subject: Subject, name: str, sizes: tuple[int, ...]) -> None:
    """Two batches of one size with other numbers, in turn: each gets its own result."""
    chosen = program(name)
    driven = drive(subject, chosen, compile_sizes=sizes)
    for size in (6, 4):
        args = chosen.inputs(size)
        for values in (args, other_values(args), args):
            driven.check_with(values, f"for {size} tokens")


@requirement("DYN-002")
@pytest.mark.parametrize(
    "name",
    [
        "two-symbols",
        "second-symbol-only",
        "derived-size-across-op",
        "derived-before-batch",
        "tokens-at-dim-one",
        "size-across-op",
        "size-only-piece",
        "view-of-input-as-input",
        "model-inputs",
    ],
)
def test_shapes(subject: Subject, name: str) -> None:
    """Each kind of dynamic shape, at all its sizes."""
    driven = drive(subject, program(name))
    for size in program(name).sizes:
        driven.check(size)


class _Counted(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        count = (x > 0).sum().item()
        largest = x.max().item()
        y = torch.ops.piecewise.scaled(x + count)
        return y * largest + count, count, largest


@requirement("DYN-007")
@pytest.mark.parametrize("sizes", [(), (6,)], ids=["range", "single-size"])
def test_numbers_from_data(subject: Subject, sizes: tuple[int, ...]) -> None:
    """Numbers that are read off a tensor before a splitting op are used after it, and returned."""
    base = program("linear-chain")
    counted = Program(
        "numbers-from-data",
        "",
        _Counted,
        base.inputs,
        base.splitting_ops,
        base.sizes,
        base.dynamic,
        frozenset(),
    )
    with torch._dynamo.config.patch(capture_scalar_outputs=True):
        driven = drive(subject, counted, compile_sizes=sizes)
        for size in (6, 4, 6):
            args = counted.inputs(size)
            for values in (args, other_values(args), args):
                driven.check_with(values, f"for {size} tokens")


@requirement("DYN-003")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "two-symbols"])
def test_one_token_first(subject: Subject, name: str) -> None:
    """The first call has one token, later ones more."""
    driven = drive(subject, program(name))
    for size in (1, 6, 1, 4):
        driven.check(size)


@requirement("DYN-003")
@pytest.mark.parametrize("name", ["static", "view-of-input-updated"])
def test_static_model(subject: Subject, name: str) -> None:
    """A model without a dynamic dimension."""
    driven = drive(subject, program(name))
    driven.check(program(name).sizes[0])
    driven.check(program(name).sizes[0])


@requirement("DYN-004")
@pytest.mark.parametrize(
    "name", ["linear-chain", "two-layers", "tokens-at-dim-one", "thirteen-ops"]
)
def test_no_recompile(subject: Subject, name: str) -> None:
    """Sizes small and large, odd and a multiple of 8, up to the maximum: one graph."""
    settle()
    chosen = with_own_code(program(name))
    endpoints = (5,) if subject.can("compile-ranges") else ()
    options = options_for(subject, chosen, compile_ranges_endpoints=endpoints)
    driven = Driven(subject, chosen, options, live=True)
    for size in (6, 2, 9, 17, 8, 4, 64, 33):
        driven.check(size)
    if driven.graphs != 1:
        raise Violation(
            "graphs that Dynamo made for eight sizes", expected="1", got=str(driven.graphs)
        )


@requirement("DYN-005")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "thirteen-ops"])
def test_guards_on_one_token(subject: Subject, name: str) -> None:
    """Guards kept, six tokens and then one: one graph, both right."""
    settle()
    chosen = with_own_code(program(name))
    driven = Driven(subject, chosen, options_for(subject, chosen, evaluate_guards=True), live=True)
    for size in (6, 1, 4, 1):
        driven.check(size)
    if driven.graphs != 1:
        raise Violation("graphs for six tokens and one", expected="1", got=str(driven.graphs))


@requirement("DYN-006")
@pytest.mark.parametrize("kind", ["UNBACKED", "BACKED_SIZE_OBLIVIOUS"])
@pytest.mark.parametrize("name", ["linear-chain", "two-layers"])
def test_traced_otherwise(subject: Subject, tmp_path: Path, name: str, kind: str) -> None:
    """Each size is right, and runs in the artifact of its range."""
    settle()
    chosen = with_own_code(program(name))
    options = options_for(
        subject,
        chosen,
        compiler=spy.NAME,
        compile_ranges_endpoints=(5,),
        cache_root=str(tmp_path),
        dynamic_shapes=kind,
    )
    subject.check_offers(options)
    driven = Driven(subject, chosen, options, live=True)
    for size, expected in ((6, (6, 64)), (1, (1, 5)), (4, (1, 5)), (9, (6, 64))):
        with spy.spying() as log:
            driven.check(size)
        if set(log.runs) != {expected}:
            raise Violation(
                f"artifacts that ran for {size} tokens", expected=str(expected), got=str(log.runs)
            )


_factor = [2.0]  # of the model that is built next


class _WithAFloat(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = _factor[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.ops.piecewise.scaled(torch.sin(x) * self.factor)
        return torch.ops.piecewise.scaled(y.cos() + self.factor) * self.factor


@requirement("DYN-008")
@pytest.mark.parametrize(
    "compiler", ["eager", pytest.param("inductor", marks=[slow, needs("inductor")])]
)
def test_models_that_differ_in_a_float(subject: Subject, compiler: str) -> None:
    """Three models of one class, each with another float as an attribute, which Dynamo traces as an
    input from the second on; then the attribute of the last is changed.
    """
    subject.need(compiler)
    settle()
    base = program("linear-chain")
    own = with_own_code(dataclasses.replace(base, name="with-a-float", module=_WithAFloat))
    for factor in (2.0, 3.5, 4.25):
        _factor[:] = [factor]
        options = options_for(subject, own, compiler=compiler)
        subject.check_offers(options)
        driven = Driven(subject, own, options, live=True)
        for size in (6, 4):
            driven.check(size)
    for module in (driven.plain, driven.module):
        setattr(module, "factor", -1.75)  # noqa: B010  (mypy knows no attributes of modules)
    driven.check(6)

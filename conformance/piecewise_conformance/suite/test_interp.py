"""INTERP: what the compiler is given, and which artifact runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import graphs, spy
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.drive import Driven, drive, options_for
from piecewise_fixtures.programs import program
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

PROGRAMS = [
    "linear-chain",
    "two-outputs",
    "ops-back-to-back",
    "thirteen-ops",
    "two-symbols",
    "piece-without-symbol",
    "input-updated-around-op",
    "nothing-to-split",
    "tokens-at-dim-one",
    "static",
]


def spied(subject: Subject, name: str, **changes: Any) -> Driven:
    """The program ``name`` with the spy for a compiler."""
    return drive(subject, program(name), compiler=spy.NAME, **changes)


def compiled_by_spy(subject: Subject, name: str, *sizes: int, **changes: Any) -> spy.Log:
    """What the spy saw while ``name`` ran for ``sizes``, results checked."""
    with spy.spying() as log:
        driven = spied(subject, name, **changes)
        for size in sizes or program(name).sizes[:1]:
            driven.check(size)
    return log


class _OutsideArtifacts(TorchDispatchMode):
    """Notes the ops that run while no artifact of the spy does, from when it is told to."""

    def __init__(self, log: spy.Log) -> None:
        super().__init__()
        self.log = log
        self.noting = False
        self.seen: list[Any] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not self.log.running:
            self.seen.append(func)
        return func(*args, **(kwargs or {}))

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, watched."""

        def call(*args: Any) -> Any:
            with self if self.noting else nullcontext():
                return function(*args)

        return call


@requirement("INTERP-001")
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_compiled(subject: Subject, name: str) -> None:
    """No splitting op reaches the compiler, and nothing else that computes runs uncompiled."""
    chosen = program(name)
    ops = chosen.splitting_ops
    options = options_for(subject, chosen, compiler=spy.NAME)
    subject.check_offers(options)
    settle()
    with spy.spying() as log:
        outside = _OutsideArtifacts(log)

        def backend(graph: Any, example_inputs: Any) -> Any:
            return outside.around(subject.backend(options)(graph, example_inputs))

        driven = Driven(subject, chosen, options, backend)
        driven.check(chosen.sizes[0])  # which may also compile
        outside.noting = True
        driven.check(chosen.sizes[0])
    for node in (node for call in log.compiles for node in call.graph.graph.nodes):
        if graphs.matches(node, ops):
            raise Violation(
                f"the compiler was given the splitting op {node.target}", program=chosen.source()
            )
    # by what runs, not by the compiler's graphs: they may be lowered, or one artifact serve several
    if uncompiled := [op for op in outside.seen if not _may_run_uncompiled(op, ops)]:
        raise Violation(
            "ops that ran in no artifact",
            expected="splitting ops only",
            got=str(uncompiled),
            program=chosen.source(),
        )


def _may_run_uncompiled(op: Any, splitting_ops: Collection[str]) -> bool:
    name = op._schema.name
    return (
        name in splitting_ops
        or f"{name}.{op._overloadname}" in splitting_ops
        or graphs.returns_view(op)
        or name.startswith(("aten::empty", "aten::new_empty", "aten::sym_"))
    )


@requirement("INTERP-002")
@pytest.mark.parametrize("name", ["linear-chain", "piece-without-symbol", "two-symbols", "static"])
def test_compiled_once(subject: Subject, name: str) -> None:
    """Three rounds over the sizes compile no piece twice for a range."""
    sizes = program(name).sizes
    endpoints = (max(sizes) - 1,) if len(sizes) > 1 else ()
    rounds = (*sizes, 5) * 3 if len(sizes) > 1 else sizes * 3  # 5: one range, another size
    log = compiled_by_spy(
        subject, name, *rounds, compile_ranges_endpoints=endpoints, compile_sizes=(4,)
    )
    places = [(call.key, str(call.graph.graph), call.range) for call in log.compiles]
    if len(set(places)) != len(places):
        again = next(place for place in places if places.count(place) > 1)
        raise Violation(
            "a piece was compiled again for the same range",
            expected="once",
            got=f"{places.count(again)} times: range {again[2]}",
        )


@requirement("INTERP-002")
@pytest.mark.parametrize("name", ["linear-chain", "thirteen-ops"])
def test_second_round_compiles_nothing(subject: Subject, name: str) -> None:
    """Sizes that have run before compile nothing."""
    driven = spied(subject, name, compile_ranges_endpoints=(5, 8), compile_sizes=(4,))
    sizes = (*program(name).sizes, 3)
    for size in sizes:
        driven.check(size)
    with spy.spying() as log:
        for size in sizes:
            driven.check(size)
    if log.compiles or log.loads:
        raise Violation(
            "compiles in a second round over the sizes",
            expected="none",
            got=f"{len(log.compiles)} compiles",
        )


@requirement("INTERP-002")
def test_many_sizes(subject: Subject) -> None:
    """Two rounds over forty sizes: the first compiles a piece once a range, the second nothing."""
    driven = spied(subject, "linear-chain", compile_ranges_endpoints=(20,))
    with spy.spying() as log:
        for size in (2, 40):
            driven.check(size)
    known = len(log.compiles)
    with spy.spying() as log:
        for size in (*range(2, 42), *range(2, 42)):
            driven.check(size)
    if log.compiles or log.loads:
        raise Violation(
            "compiles for forty sizes in two compiled ranges",
            expected="none",
            got=f"{len(log.compiles)} compiles, after {known} before",
        )


@requirement("INTERP-003")
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("linear-chain", (1, 6, 1)),
        ("two-layers", (1, 4)),
        ("piece-without-symbol", (6, 4, 9)),
        ("static-input-piece", (6, 4)),
        ("static", ()),
        ("constant-output", (6, 4)),
    ],
)
def test_without_a_symbol(subject: Subject, name: str, sizes: tuple[int, ...]) -> None:
    """One token first, no symbol in a piece, no symbol at all: all run and are right."""
    driven = drive(subject, program(name), compiler=spy.NAME)
    for size in sizes or program(name).sizes:
        driven.check(size)


@requirement("INTERP-004")
@pytest.mark.parametrize(
    "name", ["linear-chain", "two-symbols", "model-inputs", "tokens-at-dim-one"]
)
def test_no_new_symbols(subject: Subject, name: str) -> None:
    """After a run there are the symbols that Dynamo made, and static dimensions stay static."""
    chosen = program(name)
    options = options_for(subject, chosen, compiler=spy.NAME)
    known: list[set[str]] = []
    checked: list[set[str]] = []

    def backend(gm: Any, example_inputs: Any) -> Any:
        traced = [graphs.value(node) for node in gm.graph.find_nodes(op="placeholder")]
        mode = torch._guards.detect_fake_mode(traced)
        env: Any = mode.shape_env if mode else None
        known.append({str(symbol) for symbol in env.var_to_range})
        result = subject.backend(options)(gm, example_inputs)

        def run(*args: Any) -> Any:
            output = result(*args)
            checked.append({str(symbol) for symbol in env.var_to_range})
            return output

        return run

    settle()
    driven = Driven(subject, chosen, options, backend)
    with spy.spying() as log:
        for size in chosen.sizes[:2]:
            driven.check(size)
    new = checked[-1] - known[0]
    if new:
        raise Violation("symbols created by the backend", expected="none", got=str(sorted(new)))
    for call in log.compiles:
        for node, value in _paired(call):
            extra = {str(symbol) for symbol in graphs.shape_symbols(value)} - known[0]
            if extra:
                raise Violation(
                    f"example input {node.name} has a new symbol",
                    expected=str(sorted(known[0])),
                    got=str(sorted(extra)),
                )


@requirement("INTERP-005")
@pytest.mark.parametrize("name", PROGRAMS)
def test_example_inputs(subject: Subject, name: str) -> None:
    """One example input a placeholder, of its kind, shape rank and dtype, of one fake mode."""
    _check_inputs(compiled_by_spy(subject, name))


@requirement("INTERP-005")
def test_example_inputs_beside_another_model(subject: Subject) -> None:
    """So too for a range that comes into use once another model has been compiled."""
    with spy.spying() as log:
        models = [
            spied(subject, name, compile_ranges_endpoints=(5,))
            for name in ("linear-chain", "two-symbols")
        ]
        for size in (6, 4):
            for each in models:
                each.check(size)
    _check_inputs(log)


def _check_inputs(log: spy.Log) -> None:
    for call in log.compiles:
        given = [value.fake_mode for _, value in _paired(call) if isinstance(value, FakeTensor)]
        if (modes := len({id(mode) for mode in given})) > 1:
            raise Violation("fake modes among the example inputs", expected="one", got=str(modes))
        # The context may have a mode of its own, as Dynamo's has, but only over the same symbols.
        symbolic = any(graphs.shape_symbols(value) for _, value in _paired(call))
        around = call.context_mode if symbolic and given else None
        if around is not None and around.shape_env is not given[0].shape_env:
            raise Violation(
                "the symbols of the tracing context that a piece is compiled in",
                expected="those of its example inputs",
                got="others",
            )
        for node, value in _paired(call):
            if (traced := graphs.value(node)) is None:
                continue
            wanted, got = _kind(traced), _kind(value)
            if wanted != got:
                raise Violation(f"example input {node.name}", expected=str(wanted), got=str(got))


def _paired(call: spy.Call) -> list[tuple[Any, Any]]:
    """Each placeholder of a piece with its example input."""
    placeholders = call.graph.graph.find_nodes(op="placeholder")
    if len(placeholders) != len(call.inputs):
        raise Violation(
            "example inputs", expected=str(len(placeholders)), got=str(len(call.inputs))
        )
    return list(zip(placeholders, call.inputs, strict=True))


def _kind(value: Any) -> tuple[Any, ...]:
    if isinstance(value, torch.Tensor):
        static = tuple(size if type(size) is int else None for size in value.shape)
        return ("tensor", value.dtype, value.device.type, len(static))
    return ("number",) if isinstance(value, (int, torch.SymInt)) else (type(value).__name__,)


@requirement("INTERP-006")
@pytest.mark.parametrize("name", ["derived-size-across-op", "derived-before-batch", "two-symbols"])
def test_dispatch_by_batch_size(subject: Subject, name: str) -> None:
    """With sizes derived from the batch, and others, around: the range holds the batch size."""
    top = 3 * max(program(name).sizes)
    endpoints = tuple(sorted(set(program(name).sizes) - {top}))
    driven = spied(subject, name, max_num_batched_tokens=top, compile_ranges_endpoints=endpoints)
    for size in (*program(name).sizes, *program(name).sizes):
        with spy.spying() as log:
            driven.check(size)
        for start, end in log.runs:
            if not start <= size <= end:
                raise Violation(
                    f"a batch of {size} tokens was served by the artifact of ({start}, {end})",
                    program=program(name).source(),
                )


@requirement("INTERP-006")
@pytest.mark.parametrize("name", ["derived-size-across-op", "derived-before-batch"])
def test_largest_batch(subject: Subject, name: str) -> None:
    """A batch of the maximum size runs, though sizes derived from it are larger."""
    top = max(program(name).sizes)
    spied(subject, name, max_num_batched_tokens=top).check(top)


@requirement("INTERP-007")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers", "size-across-op"])
def test_range_is_symbolic(subject: Subject, name: str) -> None:
    """For a range, sizes are symbols, and tensors that vary with the batch have one in a shape."""
    log = compiled_by_spy(subject, name)
    for call in log.compiles:
        if call.range[0] == call.range[1]:
            continue
        for node, value in _paired(call):
            traced = graphs.value(node)
            if isinstance(traced, torch.SymInt) and not isinstance(value, torch.SymInt):
                raise Violation(
                    f"example input {node.name} for the range {call.range}",
                    expected=f"a symbol, as {traced}",
                    got=repr(value)[:200],
                )
            if graphs.shape_symbols(traced) and not graphs.shape_symbols(value):
                raise Violation(
                    f"example input {node.name} for the range {call.range}",
                    expected=f"a symbol, as {list(traced.shape)}",
                    got=str(list(value.shape)) if isinstance(value, torch.Tensor) else repr(value),
                )


@requirement("INTERP-008")
@pytest.mark.parametrize(
    "name", ["pitched-input", "strided-input", "two-symbols", "tokens-at-dim-one"]
)
def test_layout_of_a_single_size(subject: Subject, name: str) -> None:
    """What the compiler takes for constant in its inputs is so in those that its code runs on."""
    size = program(name).sizes[1]
    log = compiled_by_spy(subject, name, size, compile_sizes=(size,))
    for call in log.compiles:
        if call.range != (size, size) or call.arguments is None:
            continue
        for position, (given, came) in enumerate(zip(call.inputs, call.arguments, strict=True)):
            pairs = zip(_layout(given, came), _layout(came, came), strict=False)
            if any(type(known) is int and known != seen for known, seen in pairs):
                raise Violation(
                    f"example input {position} for the single size {size}",
                    expected=str(_layout(came, came)),
                    got=str(_layout(given, came)),
                    program=program(name).source(),
                )


def _layout(value: Any, came: Any) -> list[Any]:
    """Sizes, strides and offset of ``value``; strides where ``came`` has more than one element."""
    if not (isinstance(came, torch.Tensor) and isinstance(value, torch.Tensor)):
        return [value]
    if came.numel() == 0:
        return list(value.shape)
    strides = [stride for stride, n in zip(value.stride(), came.shape, strict=True) if n > 1]
    return [*value.shape, *strides, value.storage_offset()]

"""CACHE: a graph is another one where what it calls is another under the same name or number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.edited_source import module_of
from piecewise_conformance.testkit.caches.managers import RANGE, expect_work, manager
from piecewise_conformance.testkit.pieces import PieceCase, piece
from torch import fx

_libraries: list[Any] = []


def _registered(schema: str, *tags: torch.Tag) -> Callable[[], Any]:
    """An op of one name, registered anew with another schema, as by a process that starts later."""

    def register() -> Any:
        while _libraries:
            _libraries.pop()._destroy()
        _libraries.append(library := torch.library.Library("conformance_registered", "DEF"))
        library.define(f"scale{schema}", tags=tags)
        library.impl("scale", lambda x: x * 2, "CompositeExplicitAutograd")
        return torch.ops.conformance_registered.scale.default

    return register


def _packet(schema: str) -> Callable[[], Any]:
    register = _registered(schema)

    def packet() -> Any:
        register()
        return torch.ops.conformance_registered.scale

    return packet


def _written(source: str) -> Callable[[], Any]:
    """The function ``scale`` of one file, whose file is edited."""
    return lambda: module_of(source).scale


_SCALE = "def scale(x):\n    return {}\n"
_HELPED = "def helper(x):\n    return {}\n\n\ndef scale(x):\n    return helper(x)\n"

# The two files differ in length: Python knows by that, too, that a file was edited.
CHANGES = {
    "schema": (_registered("(Tensor x) -> Tensor"), _registered("(Tensor(a!) x) -> Tensor")),
    "schema-of-a-packet": (_packet("(Tensor x) -> Tensor"), _packet("(Tensor(a!) x) -> Tensor")),
    "tag": (
        _registered("(Tensor x) -> Tensor"),
        _registered("(Tensor x) -> Tensor", torch.Tag.needs_fixed_stride_order),
    ),
    "function": (_written(_SCALE.format("x * 2")), _written(_SCALE.format("x * 2 + 1"))),
    "what-it-calls": (_written(_HELPED.format("x * 2")), _written(_HELPED.format("x * 2 + 1"))),
}


def _calls(made: Callable[[], Any]) -> PieceCase:
    called = made()
    return piece(lambda g, s, x: (g.call_function(called, (x,)),))


@requirement("CACHE-009")
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("way", ["forth", "back"])
def test_other_callee_of_one_name(subject: Subject, tmp_path: Path, name: str, way: str) -> None:
    """An op that was registered otherwise, or a function that was edited, or what it calls in its
    file, is compiled again.
    """
    first, second = CHANGES[name] if way == "forth" else reversed(CHANGES[name])
    for made in (first, second):
        case = _calls(made)
        with spy.spying() as log:
            opened = manager(subject, tmp_path)
            opened.compile(case.gm, case.traced, RANGE)
            opened.save()
        expect_work(log, loads=0, compiles=1, what=f"the {name} changed")


@contextmanager
def _fresh_kernels() -> Iterator[Any]:
    """The table of Triton kernels as it is in a process that starts."""
    from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table as table

    before = table.id_to_kernel, table.kernel_to_id, table.constant_args
    table.reset_table()
    try:
        yield table
    finally:
        table.id_to_kernel, table.kernel_to_id, table.constant_args = before


def _launches(table: Any, kernel: Any, constant: int) -> PieceCase:
    from torch._higher_order_ops.triton_kernel_wrap import triton_kernel_wrapper_mutation

    numbers = {
        "kernel_idx": table.add_kernel(kernel),
        "constant_args_idx": table.add_constant_args({"BLOCK": constant}),
    }

    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        return (graph.call_function(torch.neg, (x,)),)

    case = piece(body)
    (neg,) = case.gm.graph.find_nodes(op="call_function", target=torch.neg)
    with case.gm.graph.inserting_after(neg):
        launch = case.gm.graph.call_function(
            triton_kernel_wrapper_mutation,
            kwargs={
                **numbers,
                "grid": [(1, 1, 1)],
                "tma_descriptor_metadata": {},
                "kwargs": {"pointer": neg},
            },
        )
    launch.meta["example_value"] = None
    case.gm.recompile()
    return case


@requirement("CACHE-009")
@needs("triton")
@pytest.mark.parametrize("what", ["kernel", "constant"])
def test_other_kernel_of_one_number(subject: Subject, tmp_path: Path, what: str) -> None:
    """A graph knows a Triton kernel by its number in a table of the process: another one there is
    another graph.
    """
    import triton
    import triton.language as tl

    def add_one(pointer, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        at = pointer + tl.arange(0, BLOCK)
        tl.store(at, tl.load(at) + 1)

    def add_two(pointer, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
        at = pointer + tl.arange(0, BLOCK)
        tl.store(at, tl.load(at) + 2)

    first = (triton.jit(add_one), 4)
    second = (triton.jit(add_two), 4) if what == "kernel" else (first[0], 8)
    for launched in (first, second):
        with _fresh_kernels() as table, spy.spying() as log:
            case = _launches(table, *launched)
            opened = manager(subject, tmp_path)
            opened.compile(case.gm, case.traced, RANGE)
            opened.save()
        expect_work(log, loads=0, compiles=1, what=f"another {what}")

"""CACHE: pieces that are equal may share an artifact, and pieces that look alike may not."""

from __future__ import annotations

import copy
import operator
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import sharing_compiler, spy
from piecewise_conformance.testkit.caches.managers import RANGE, manager
from piecewise_conformance.testkit.caches.warm_start import expect_warm
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.pieces import piece, times
from piecewise_fixtures.programs.base import Program
from torch import Tensor, fx, nn


class _Equal(nn.Module):
    """Three layers that do the same."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = torch.ops.piecewise.scaled(torch.sin(x) * 2)
        return x


class _OtherConstant(nn.Module):
    """Layers alike but for a number."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.piecewise.scaled(x * 2) * 3


class _OtherDtype(nn.Module):
    """Layers of one code, the second in double precision."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        other = x.double()
        first = torch.ops.piecewise.scaled(x) * 2
        return first, torch.ops.piecewise.scaled(other) * 2


class _OtherStrides(nn.Module):
    """Layers of one code, the second on every other column of a tensor."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        other = torch.cat([x, x], 1)[:, ::2]
        first = torch.ops.piecewise.scaled(x) * 2
        y = torch.ops.piecewise.scaled(x)
        return first, other * 2, y


class _OtherMemory(nn.Module):
    """Layers that write one tensor and read another; the second layer's are one memory."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b, c = x * 2, x * 3, x * 5
        d = c[:]
        y = torch.ops.piecewise.scaled(x)
        a.add_(1)
        first = torch.cat([a, b])
        z = torch.ops.piecewise.scaled(x)
        c.add_(1)
        return first, torch.cat([c, d]), y, z


def _tokens(size: int) -> tuple[Tensor]:
    return (torch.randn(size, 8, generator=torch.Generator().manual_seed(size)),)


PROGRAMS = {
    name: Program(f"layers-{name}", "", module, _tokens, ("piecewise::scaled",), (6, 4, 9))
    for name, module in {
        "equal": _Equal,
        "constant": _OtherConstant,
        "dtype": _OtherDtype,
        "strides": _OtherStrides,
        "shared-memory": _OtherMemory,
    }.items()
}


def _start(subject: Subject, root: Path, name: str, **spied: bool) -> spy.Log:
    with spy.spying() as log:
        for setting, value in spied.items():
            setattr(log, setting, value)
        driven = drive(
            subject,
            PROGRAMS[name],
            compiler=sharing_compiler.NAME,
            cache_root=str(root),
            compile_ranges_endpoints=(5,),
        )
        for size in PROGRAMS[name].sizes:
            driven.check(size)
    return log


@requirement("CACHE-021")
@pytest.mark.parametrize("name", PROGRAMS)
def test_layers_alike(subject: Subject, tmp_path: Path, name: str) -> None:
    """Layers that look alike each do what they do, in both ranges and also at the next start,
    which finds them all.
    """
    _start(subject, tmp_path, name)
    expect_warm(_start(subject, tmp_path, name), f"a second start of {name}")


@requirement("CACHE-011")
@pytest.mark.parametrize("how", ["fail_load", "load_nothing"])
def test_artifact_of_an_equal_layer_is_gone(subject: Subject, tmp_path: Path, how: str) -> None:
    """A layer is compiled if the artifact of an equal one cannot be loaded, and the next start
    loads it.
    """
    _start(subject, tmp_path, "equal", **{how: True})
    expect_warm(_start(subject, tmp_path, "equal"), "the start after it")


@requirement("CACHE-021")
def test_other_ranges(subject: Subject, tmp_path: Path) -> None:
    """One piece for two ranges is two artifacts, each for its own sizes."""
    case = times(2)
    with spy.spying():
        only = manager(subject, tmp_path, compiler=sharing_compiler.NAME)
        for ends, rows in (((1, 5), 4), ((6, 8), 6), ((1, 5), 3)):
            case.check(only.compile(case.gm, case.traced, ends), rows)


def _adds() -> tuple[fx.GraphModule, fx.GraphModule, list[Any]]:
    """Two pieces of one tracing that add buffers of their own, with equal content."""
    roots = [nn.Module(), nn.Module()]
    for root in roots:
        root.register_buffer("state", torch.zeros(8))
    case = piece(
        lambda g, s, x: (g.call_function(operator.add, (x, g.get_attr("state"))),), root=roots[0]
    )
    return case.gm, fx.GraphModule(roots[1], copy.deepcopy(case.gm.graph)), case.traced


@requirement("CACHE-021")
def test_buffers_of_their_own(subject: Subject, tmp_path: Path) -> None:
    """Two pieces with buffers of equal content read each its own, also after it was written."""
    first, second, traced = _adds()
    with spy.spying():
        only = manager(subject, tmp_path, compiler=sharing_compiler.NAME)
        only.compile(first, traced, RANGE, 0, 2)
        runnable = only.compile(second, traced, RANGE, 1, 2)
        second.get_buffer("state").add_(1)
        (got,) = runnable(6, torch.zeros(6, 8))
    if not bool((got == 1).all()):
        raise Violation(
            "a piece read the buffer of another piece", expected="1", got=str(got[0, 0])
        )

"""Which pieces the reference compiles once for all: more is known of them than a suite can ask."""

from __future__ import annotations

import copy
import operator
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.testkit import sharing_compiler, spy
from piecewise_conformance.testkit.pieces import PieceCase, times
from piecewise_fixtures.fx_graphs import annotate
from piecewise_reference import CompilationConfig, CompilerManager, Range, record_events
from torch import fx, nn

RANGE = Range(1, 8)


def _manager(
    folder: Path, compiler: str = sharing_compiler.NAME, disable: bool = False
) -> CompilerManager:
    manager = CompilerManager(CompilationConfig(backend=compiler))
    manager.initialize_cache(str(folder), disable)
    return manager


def _compile(manager: CompilerManager, case: PieceCase, index: int) -> Any:
    gm = fx.GraphModule(case.gm, copy.deepcopy(case.gm.graph))  # a piece of its own
    config = manager.compilation_config
    return manager.compile(gm, list(case.traced), {}, config, RANGE, index, 8)


def test_equal_pieces_compile_once(tmp_path: Path) -> None:
    """Eight layers are one compile and seven hits, each with a callable of its own."""
    case, manager = times(2), _manager(tmp_path)
    with spy.spying() as log, record_events() as events:
        made = [_compile(manager, case, index) for index in range(8)]
    assert (len(log.compiles), len(log.loads)) == (1, 7)
    assert [type(each).__name__ for each in events] == ["Compile"] + ["CacheHit"] * 7
    assert len(set(map(id, made))) == 8
    assert len(manager.cache) == 8
    for runnable in made:
        case.check(runnable)


@pytest.mark.parametrize("how", ["compiler", "cache"])
def test_only_where_it_may(tmp_path: Path, how: str) -> None:
    """Not for a compiler that does not say so, nor with the cache off, which is for doubts."""
    disable = how == "cache"
    manager = _manager(tmp_path, sharing_compiler.NAME if disable else spy.NAME, disable)
    with spy.spying() as log:
        for index in range(3):
            _compile(manager, times(2), index)
    assert (len(log.compiles), len(log.loads)) == (3, 0)


def test_lost_artifact(tmp_path: Path) -> None:
    """An artifact that is gone is compiled again, and leaves no entry if that fails."""
    case, manager = times(2), _manager(tmp_path)
    with spy.spying() as log:
        _compile(manager, case, 0)
        log.fail_load = log.fail = True
        with pytest.raises(RuntimeError, match="told to fail"):
            _compile(manager, case, 1)
        assert [index for _, index, _ in manager.cache] == [0]
        log.fail = False
        case.check(_compile(manager, case, 1))
        log.fail_load = False
        case.check(_compile(manager, case, 2))
    assert (len(log.compiles), len(log.loads)) == (3, 1)


def test_another_folder(tmp_path: Path) -> None:
    """Handles lead into the folder that they were made for."""
    case, manager = times(2), _manager(tmp_path)
    with spy.spying() as log:
        _compile(manager, case, 0)
        manager.initialize_cache(str(tmp_path / "other"))
        _compile(manager, case, 1)
    assert len(log.compiles) == 2


def _two_sizes() -> tuple[PieceCase, PieceCase]:
    """Of one tracing: x * 2 for a tensor of s0 rows, and for one of s1."""
    graph = fx.Graph()
    x, y = [graph.placeholder(name) for name in ("s0", "s1", "x", "y")][2:]
    graph.output((graph.call_function(operator.add, (x, 1)), y))
    gm = fx.GraphModule(nn.Module(), graph)
    annotate(gm, (6, 7, torch.zeros(6, 8), torch.zeros(7, 8)), ((2, 0), (3, 0)))
    s0, s1, first, second = [n.meta["example_value"] for n in graph.find_nodes(op="placeholder")]
    cases = []
    for size, value in ((s0, first), (s1, second)):
        case = times(2)
        nodes = list(case.gm.graph.nodes)
        for node, known in zip(nodes[:3], (size, value, value), strict=True):
            node.meta["example_value"] = known
        cases.append(PieceCase(case.gm, [size, value]))
    return cases[0], cases[1]


def test_another_symbol(tmp_path: Path) -> None:
    """A symbol in the same part is another, of which a compiler may know other bounds."""
    first, second = _two_sizes()
    manager = _manager(tmp_path)
    with spy.spying() as log:
        for index, case in enumerate((first, second, first, second)):
            _compile(manager, case, index)
    assert (len(log.compiles), len(log.loads)) == (2, 2)


def test_another_tracing(tmp_path: Path) -> None:
    """So is one of equal name that another graph was traced with."""
    manager = _manager(tmp_path)
    with spy.spying() as log:
        for index in range(2):
            _compile(manager, times(2), index)
    assert len(log.compiles) == 2


def test_another_state_of_torch(tmp_path: Path) -> None:
    """What is global to torch may be compiled in."""
    case, manager = times(2), _manager(tmp_path)
    with spy.spying() as log:
        _compile(manager, case, 0)
        with torch.no_grad():
            _compile(manager, case, 1)
        with torch.autocast("cpu", torch.bfloat16):
            _compile(manager, case, 2)
        _compile(manager, case, 3)
    assert (len(log.compiles), len(log.loads)) == (3, 1)

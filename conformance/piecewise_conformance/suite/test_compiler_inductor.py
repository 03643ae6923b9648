"""COMPILER: what Inductor makes of a piece, by each way of keeping it."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import whose
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.facets import Compiler
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import compiling
from piecewise_conformance.testkit.compiling import BODIES, RANGE, pair, rule_for
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.passes import make_pass
from piecewise_conformance.testkit.pieces import ROWS, piece, tracing
from piecewise_fixtures.programs import program

# Inductor's standalone compile, with artifacts as files and as folders, and its compile_fx.
WAYS: dict[str, dict[str, Any]] = {
    "binary": {},
    "unpacked": {"save_format": "unpacked"},
    "compile-fx": {"standalone": False},
}
ways = pytest.mark.parametrize("way", WAYS)


def compiler(subject: Subject, folder: Path, way: str = "binary") -> Compiler:
    """A fresh Inductor with its artifacts in ``folder``."""
    return compiling.compiler(subject, folder, "inductor", **WAYS[way])


def _expect_handle(handle: Any, way: str) -> None:
    if handle is None and way == "compile-fx":
        # Inductor has a cache of its own there, and a compiler may leave it to that
        raise Unsupported("the subject's compile_fx returns no handle")
    if handle is None:
        raise Violation("Inductor returned no handle", expected="a handle", got="None")


@requirement("COMPILER-008")
@needs("inductor")
@pytest.mark.parametrize("name", ["bare", "one-of-several-rows", "three", "updates-input"])
@ways
def test_loaded_equals_fresh(subject: Subject, tmp_path: Path, name: str, way: str) -> None:
    """Another compiler object on the same folder loads the handle, with the same results."""
    case = piece(BODIES[name])
    with torch.no_grad(), tracing(case):
        fresh, handle = compiler(subject, tmp_path, way).compile(case.gm, case.traced, RANGE)
        _expect_handle(handle, way)
        loaded = compiler(subject, tmp_path, way).load(handle, case.gm, case.traced, RANGE)
    for rows in (ROWS, 2):
        case.check(loaded, rows, rule_for(case, "inductor", rows))
    packed = [isinstance(each(*case.args(ROWS)), torch.Tensor) for each in (fresh, loaded)]
    if packed[0] != packed[1]:
        raise Violation(
            "the output structures of the fresh and of the loaded callable",
            expected="alike",
            got=" and ".join("a bare tensor" if bare else "a sequence" for bare in packed),
        )


@requirement("COMPILER-008")
@needs("inductor")
@pytest.mark.parametrize("name", ["one", "one-of-several-rows", "three", "updates-input"])
def test_own_loaded_equals_fresh(subject: Subject, tmp_path: Path, name: str) -> None:
    """So does what is loaded from a handle of the subject's own compiler, if it gives one."""
    case = piece(BODIES[name])
    with torch.no_grad(), tracing(case):
        try:
            made = compiling.compiler(subject, tmp_path, "own")
        except Exception as error:
            if whose(error) is None:
                raise
            raise Unsupported("the subject has no compiler of its own") from None
        _, handle = made.compile(case.gm, case.traced, RANGE)
        if handle is None:
            raise Unsupported("the subject's own compiler returns no handle")
        again = compiling.compiler(subject, tmp_path, "own")
        loaded = again.load(handle, case.gm, case.traced, RANGE)
    for rows in (ROWS, 2):
        case.check(loaded, rows, rule_for(case, "own", rows))


@requirement("COMPILER-009")
@needs("inductor")
@ways
def test_range_is_not_specialised(subject: Subject, tmp_path: Path, way: str) -> None:
    """One artifact is right at one token, at two, inside the range and at its end."""

    def body(g: Any, s: Any, x: Any) -> Any:
        steps = g.call_function(torch.arange, (s,))
        column = g.call_method("unsqueeze", (steps, 1))
        scaled = g.call_function(operator.mul, (x, column))
        return (scaled, g.call_method("sum", (scaled,), {"dim": 0}), s)

    case = piece(body)
    with torch.no_grad(), tracing(case):
        runnable, _ = compiler(subject, tmp_path, way).compile(case.gm, case.traced, (1, 64))
    for rows in (1, 2, 3, 33, 63, 64):
        case.check(runnable, rows, rule_for(case, "inductor", rows))


def _exchange(path: Path, content: bytes) -> None:
    """Another file in its place: what is mapped of the old one, as code is, stays as it was."""
    path.unlink()
    path.write_bytes(content)


@requirement("COMPILER-010")
@needs("inductor")
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "missing", "foreign"])
@ways
def test_damaged_artifact(subject: Subject, tmp_path: Path, damage: str, way: str) -> None:
    """Loading a damaged artifact raises or is right; it never gives a wrong result."""
    case = piece(pair)
    with torch.no_grad(), tracing(case):
        _, handle = compiler(subject, tmp_path, way).compile(case.gm, case.traced, RANGE)
        _expect_handle(handle, way)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        _expect_files(files)
        for path in files:
            if not (content := path.read_bytes()):
                continue
            middle = len(content) // 2
            if damage == "missing":
                path.unlink()
                continue
            _exchange(
                path,
                {
                    "cut": content[:middle],
                    "empty": b"",
                    "flipped": content[:middle]
                    + bytes([content[middle] ^ 0xFF])
                    + content[middle + 1 :],
                    "foreign": b"not an artifact",
                }[damage],
            )
        try:
            loaded = compiler(subject, tmp_path, way).load(handle, case.gm, case.traced, RANGE)
        except Violation:
            raise
        except Exception:
            return
    case.check(loaded, ROWS, rule_for(case, "inductor"))


@requirement("COMPILER-015")
@needs("inductor")
@ways
def test_damaged_artifact_is_replaced(subject: Subject, tmp_path: Path, way: str) -> None:
    """Compiled, damaged, and compiled again: the second handle loads."""
    case = piece(pair)
    folder, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    with torch.no_grad(), tracing(case):
        # Inductor's first artifact in a process has often other bytes than all that follow
        for each in (elsewhere, folder):
            each.mkdir()
            compiler(subject, each, way).compile(case.gm, case.traced, RANGE)
        for path in (each for each in folder.rglob("*") if each.is_file()):
            _exchange(path, path.read_bytes()[:-1])
        _, handle = compiler(subject, folder, way).compile(case.gm, case.traced, RANGE)
        _expect_handle(handle, way)
        loaded = compiler(subject, folder, way).load(handle, case.gm, case.traced, RANGE)
    case.check(loaded, ROWS, rule_for(case, "inductor"))


def _expect_files(files: Sequence[Any]) -> None:
    """Unsupported for a compiler that hands its artifacts to a manager, which saves them later."""
    if not files:
        raise Unsupported("the compiler writes no file itself; CACHE covers its cache")


def _files_by_kind(folder: Path) -> dict[tuple[int, str], list[Path]]:
    """What lies in ``folder``, by depth and by the ending of the name."""
    found: dict[tuple[int, str], list[Path]] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        kind = len(path.relative_to(folder).parts), path.suffix
        found.setdefault(kind, []).append(path)
    return found


@requirement("COMPILER-010")
@needs("inductor")
def test_exchanged_artifact(subject: Subject, tmp_path: Path) -> None:
    """An artifact file that was replaced by another graph's is not used for this one."""
    first, second = tmp_path / "first", tmp_path / "second"
    cases = {first: piece(pair), second: piece(lambda g, s, x: tuple(reversed(pair(g, s, x))))}
    handles: dict[Path, Any] = {}
    for folder, case in cases.items():
        folder.mkdir()
        with torch.no_grad(), tracing(case):
            _, handles[folder] = compiler(subject, folder).compile(case.gm, case.traced, RANGE)
    ours, theirs = (_files_by_kind(folder) for folder in (first, second))
    _expect_files([*ours, *theirs])
    for kind, mine in ours.items():
        others = theirs.get(kind) or next(iter(theirs.values()))
        for path, other in zip(mine, itertools.cycle(others), strict=False):
            _exchange(path, other.read_bytes())
    case = cases[first]
    with torch.no_grad(), tracing(case):
        try:
            loaded = compiler(subject, first).load(handles[first], case.gm, case.traced, RANGE)
        except Violation:
            raise
        except Exception:
            return
    case.check(loaded, ROWS, rule_for(case, "inductor"))


@requirement("COMPILER-008")
@needs("inductor")
@ways
def test_single_size_loaded(subject: Subject, tmp_path: Path, way: str) -> None:
    """An artifact for a single size, compiled for the inputs at hand, loads likewise."""
    case = piece(pair)
    inputs, ends = case.args(ROWS), (ROWS, ROWS)
    with torch.no_grad(), tracing(case):
        fresh, handle = compiler(subject, tmp_path, way).compile(case.gm, inputs, ends)
        _expect_handle(handle, way)
        loaded = compiler(subject, tmp_path, way).load(handle, case.gm, inputs, ends)
    for runnable in (fresh, loaded):
        case.check(runnable, ROWS, rule_for(case, "inductor"))


@requirement("COMPILER-012")
@slow
@needs("inductor")
def test_partition_rules(subject: Subject) -> None:
    """The whole graph is compiled, under rules that name the splitting ops, at every size right."""
    import torch._inductor.config as config

    subject.need("inductor", "inductor-partition")
    seen: list[set[str]] = []
    texts: list[str] = []

    def look(graph: Any) -> None:
        seen.append(set(config.custom_should_partition_ops))
        texts.append(str(graph))

    chosen = program("two-layers")
    before = list(config.custom_should_partition_ops)
    driven = drive(
        subject,
        chosen,
        compiler="inductor",
        partition_in_inductor=True,
        compiler_config={subject.get("pass_key"): make_pass(subject, None, look)},
    )
    for size in chosen.sizes:
        driven.check(size)
    if seen != [set(chosen.splitting_ops)]:
        raise Violation(
            "the ops of the partition rules",
            expected=f"{sorted(chosen.splitting_ops)}, in one compile",
            got=str(seen),
        )
    missing = [op for op in chosen.splitting_ops if op.replace("::", ".") not in texts[0]]
    if missing:
        raise Violation("ops that are not in the graph that Inductor compiles", got=str(missing))
    if list(config.custom_should_partition_ops) != before:
        raise Violation("the partition rules stay in force after the compile", expected=str(before))


@requirement("COMPILER-016")
def test_partition_rules_end(subject: Subject) -> None:
    """The rules hold inside the manager's compile context alone, also past an exception."""
    import torch._inductor.config as config

    subject.need("inductor", "inductor-partition")
    options = Options(
        compiler="inductor", splitting_ops=("piecewise::scaled",), partition_in_inductor=True
    )
    manager = subject.manager(options)
    compile_range = subject.range(1, 8)
    before = ["somebody::elses"], False

    class Stop(Exception):
        pass

    for raising in (False, True):
        with config.patch(custom_should_partition_ops=before[0], graph_partition=before[1]):
            try:
                with manager.inner.compile_context(compile_range):
                    inside = list(config.custom_should_partition_ops)
                    if raising:
                        raise Stop
            except Stop:
                pass
            after = list(config.custom_should_partition_ops), config.graph_partition
        if inside != ["piecewise::scaled"] or after != before:
            raise Violation(
                "the partition rules inside and after the compile context",
                expected=f"['piecewise::scaled'], then {before}",
                got=f"{inside}, then {after}",
            )

"""COMPILER: graph and example inputs in, callable and handle out."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance import globals_watch, spy
from piecewise_conformance.boundary import expect_refusal
from piecewise_conformance.facets import Compiler
from piecewise_conformance.marks import needs, requirement
from piecewise_conformance.options import Options
from piecewise_conformance.oracle import EXACT, Near, Rule, observe
from piecewise_conformance.pieces import ROWS, PieceCase, piece, times, tracing
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation

RANGE = (1, 64)


def _pair(g: Any, s: Any, x: Any) -> Any:
    return (g.call_function(torch.sin, (x,)), g.call_function(torch.cos, (x,)))


def _updates(g: Any, s: Any, x: Any) -> Any:
    g.call_method("add_", (x, 1))
    return (g.call_function(operator.mul, (x, 2)),)


def _effect_only(g: Any, s: Any, x: Any) -> Any:
    g.call_method("mul_", (x, 3))
    return ()


BODIES: dict[str, Callable[..., Any]] = {
    "bare": lambda g, s, x: g.call_function(operator.mul, (x, 2)),
    "one": lambda g, s, x: (g.call_function(operator.mul, (x, 2)),),
    "one-of-several-rows": lambda g, s, x: (g.call_method("sum", (x,), {"dim": 1}),),
    "pair": _pair,
    "three": lambda g, s, x: (*_pair(g, s, x), g.call_function(torch.neg, (x,))),
    "with-none": lambda g, s, x: (None, g.call_function(torch.neg, (x,)), None),
    "with-size": lambda g, s, x: (g.call_function(torch.neg, (x,)), s),
    "same-twice": lambda g, s, x: (n := g.call_function(torch.neg, (x,)), n),
    "updates-input": _updates,
    "effect-only": _effect_only,
    "view": lambda g, s, x: (g.call_method("t", (g.call_function(torch.neg, (x,)),)),),
}


def compilers(subject: Subject) -> list[str]:
    """The compilers that a test without a C++ compiler can ask for."""
    return ["eager"] if subject.can("eager") else ["own"]


def compiler(subject: Subject, folder: Path, kind: str = "") -> Compiler:
    """A fresh compiler with its artifacts in ``folder``."""
    return subject.compiler(Options(compiler=kind or compilers(subject)[0])).open(folder)


def rule_for(case: PieceCase, kind: str, rows: int = ROWS) -> Rule:
    """Exact for what runs op by op, else near a float64 run."""
    if kind == "eager":
        return EXACT
    double = [each.double() if isinstance(each, torch.Tensor) else each for each in case.args(rows)]
    with torch.no_grad():
        return Near(observe(case.gm, double))


def compile_and_check(subject: Subject, folder: Path, name: str, kind: str) -> None:
    """Compile the piece ``name`` for a range and check it at three sizes."""
    case = piece(BODIES[name])
    with torch.no_grad(), tracing(case):
        runnable, _ = compiler(subject, folder, kind).compile(case.gm, case.traced, RANGE)
    for rows in (ROWS, 2, 31):
        case.check(runnable, rows, rule_for(case, kind, rows))


@requirement("COMPILER-001")
@pytest.mark.parametrize(
    "name", ["one", "pair", "updates-input", "effect-only", "view", "with-size"]
)
def test_does_what_the_graph_does(subject: Subject, tmp_path: Path, name: str) -> None:
    """The cheapest compiler's callable is the graph's equal, writes to inputs included."""
    compile_and_check(subject, tmp_path, name, compilers(subject)[0])


@requirement("COMPILER-011")
@needs("inductor")
@pytest.mark.parametrize("name", ["pair", "updates-input"])
def test_inductor_does_what_the_graph_does(subject: Subject, tmp_path: Path, name: str) -> None:
    """Inductor's callable is the graph's equal, writes to inputs included."""
    compile_and_check(subject, tmp_path, name, "inductor")


STRUCTURES = [
    "bare",
    "one",
    "one-of-several-rows",
    "three",
    "with-none",
    "same-twice",
    "effect-only",
]


@requirement("COMPILER-002")
@pytest.mark.parametrize("name", STRUCTURES)
def test_structure(subject: Subject, tmp_path: Path, name: str) -> None:
    """The cheapest compiler's callable returns what the graph returns."""
    compile_and_check(subject, tmp_path, name, compilers(subject)[0])


@requirement("COMPILER-002")
@needs("inductor")
@pytest.mark.parametrize(
    "name", ["bare", "one-of-several-rows", "with-none", "same-twice", "with-size"]
)
def test_inductor_structure(subject: Subject, tmp_path: Path, name: str) -> None:
    """Inductor's callable returns what the graph returns."""
    compile_and_check(subject, tmp_path, name, "inductor")


@requirement("COMPILER-003")
@pytest.mark.parametrize("kind", ["eager", pytest.param("inductor", marks=needs("inductor"))])
def test_graph_is_left(subject: Subject, tmp_path: Path, kind: str) -> None:
    """After compiling for a range the graph reads and does the same, and compiles again."""
    case = piece(_updates)
    text = case.gm.print_readable(print_output=False)
    with torch.no_grad(), tracing(case):
        made = compiler(subject, tmp_path, kind)
        made.compile(case.gm, case.traced, (1, 8), "first")
        if case.gm.print_readable(print_output=False) != text:
            raise Violation(
                "the graph after it was compiled",
                expected=text,
                got=case.gm.print_readable(print_output=False),
            )
        runnable, _ = made.compile(case.gm, case.traced, (9, 64), "second")
    case.check(runnable, 12, rule_for(case, kind, 12))


@requirement("COMPILER-004")
@pytest.mark.parametrize("kind", ["eager", pytest.param("inductor", marks=needs("inductor"))])
def test_handle_is_a_literal(subject: Subject, tmp_path: Path, kind: str) -> None:
    """The handle is None, or reads back equal from its print."""
    case = times(2)
    with torch.no_grad(), tracing(case):
        _, handle = compiler(subject, tmp_path, kind).compile(case.gm, case.traced, RANGE)
    try:
        again = ast.literal_eval(repr(handle))
    except (ValueError, SyntaxError) as error:
        raise Violation("a handle that is no literal", got=f"{handle!r}: {error}") from None
    if again != handle:
        raise Violation(
            "a handle that reads back as another", expected=repr(handle), got=repr(again)
        )


@requirement("COMPILER-005")
def test_named_compiler_compiles(subject: Subject, tmp_path: Path) -> None:
    """``make_compiler`` gives the compiler of the name that was asked for."""
    case = times(2)
    with spy.spying() as log, tracing(case):
        compiler(subject, tmp_path, spy.NAME).compile(case.gm, case.traced, RANGE)
    if len(log.compiles) != 1:
        raise Violation("compiles by the named compiler", expected="1", got=str(len(log.compiles)))
    with spy.spying() as log, tracing(case):
        compiler(subject, tmp_path).compile(case.gm, case.traced, RANGE)
    if log.compiles:
        raise Violation("a compiler compiled that was not named")


@requirement("COMPILER-006")
@pytest.mark.parametrize(
    "name", ["inductorr", "no_such_package.Compiler", "piecewise_conformance.spy.NoSuchCompiler"]
)
def test_unknown_compiler(subject: Subject, name: str) -> None:
    """A compiler that does not exist is an error with its name."""
    with expect_refusal(f"the compiler {name!r}", name.rpartition(".")[2]):
        subject.compiler(Options(compiler=name))


@requirement("COMPILER-007")
@pytest.mark.parametrize("kind", ["eager", pytest.param("inductor", marks=needs("inductor"))])
def test_global_state(subject: Subject, tmp_path: Path, kind: str) -> None:
    """Compiling, and calling what was compiled, changes nothing global."""
    case = piece(_pair)
    with torch.no_grad(), globals_watch.unchanged(), tracing(case):
        runnable, _ = compiler(subject, tmp_path, kind).compile(case.gm, case.traced, RANGE)
        runnable(*case.args(ROWS))


@requirement("COMPILER-008")
@needs("inductor")
@pytest.mark.parametrize(
    "name", ["bare", "one-of-several-rows", "three", "with-none", "updates-input"]
)
def test_loaded_equals_fresh(subject: Subject, tmp_path: Path, name: str) -> None:
    """Another compiler object on the same folder loads the handle, with the same results."""
    case = piece(BODIES[name])
    with torch.no_grad(), tracing(case):
        _, handle = compiler(subject, tmp_path, "inductor").compile(case.gm, case.traced, RANGE)
        if handle is None:
            raise Violation("Inductor gave no handle", expected="a handle", got="None")
        loaded = compiler(subject, tmp_path, "inductor").load(handle, case.gm, case.traced, RANGE)
    for rows in (ROWS, 2):
        case.check(loaded, rows, rule_for(case, "inductor", rows))


@requirement("COMPILER-009")
@needs("inductor")
def test_range_is_not_specialised(subject: Subject, tmp_path: Path) -> None:
    """One artifact is right at one token, at two, inside the range and at its end."""

    def body(g: Any, s: Any, x: Any) -> Any:
        steps = g.call_function(torch.arange, (s,))
        column = g.call_method("unsqueeze", (steps, 1))
        scaled = g.call_function(operator.mul, (x, column))
        return (scaled, g.call_method("sum", (scaled,), {"dim": 0}), s)

    case = piece(body)
    with torch.no_grad(), tracing(case):
        runnable, _ = compiler(subject, tmp_path, "inductor").compile(case.gm, case.traced, (1, 64))
    for rows in (1, 2, 3, 33, 63, 64):
        case.check(runnable, rows, rule_for(case, "inductor", rows))


@requirement("COMPILER-010")
@needs("inductor")
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "missing", "foreign"])
def test_damaged_artifact(subject: Subject, tmp_path: Path, damage: str) -> None:
    """Loading a damaged artifact raises or is right; it never gives a wrong result."""
    case = piece(_pair)
    with torch.no_grad(), tracing(case):
        _, handle = compiler(subject, tmp_path, "inductor").compile(case.gm, case.traced, RANGE)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        if not files:
            raise Violation("Inductor's artifact left no file in the cache folder")
        for path in files:
            content = path.read_bytes()
            middle = len(content) // 2
            if damage == "missing":
                path.unlink()
                continue
            path.write_bytes(
                {
                    "cut": content[:middle],
                    "empty": b"",
                    "flipped": content[:middle]
                    + bytes([content[middle] ^ 0xFF])
                    + content[middle + 1 :],
                    "foreign": b"not an artifact",
                }[damage]
            )
        try:
            loaded = compiler(subject, tmp_path, "inductor").load(
                handle, case.gm, case.traced, RANGE
            )
        except Violation:
            raise
        except Exception:
            return
    case.check(loaded, ROWS, rule_for(case, "inductor"))


@requirement("COMPILER-010")
@needs("inductor")
def test_exchanged_artifact(subject: Subject, tmp_path: Path) -> None:
    """An artifact file that was replaced by another graph's is not used for this one."""
    first, second = tmp_path / "first", tmp_path / "second"
    cases = {first: piece(_pair), second: piece(lambda g, s, x: tuple(reversed(_pair(g, s, x))))}
    handles: dict[Path, Any] = {}
    for folder, case in cases.items():
        folder.mkdir()
        with torch.no_grad(), tracing(case):
            _, handles[folder] = compiler(subject, folder, "inductor").compile(
                case.gm, case.traced, RANGE
            )
    ours, theirs = (sorted(p for p in f.rglob("*") if p.is_file()) for f in (first, second))
    if len(ours) != len(theirs):
        raise Violation("two graphs of one kind left different numbers of files")
    for mine, other in zip(ours, theirs, strict=True):
        mine.write_bytes(other.read_bytes())
    case = cases[first]
    with torch.no_grad(), tracing(case):
        try:
            loaded = compiler(subject, first, "inductor").load(
                handles[first], case.gm, case.traced, RANGE
            )
        except Violation:
            raise
        except Exception:
            return
    case.check(loaded, ROWS, rule_for(case, "inductor"))

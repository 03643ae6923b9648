"""COMPILER: graph and example inputs in, callable and handle out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from piecewise_conformance import globals_watch, spy
from piecewise_conformance.boundary import expect_refusal
from piecewise_conformance.compiling import (
    BODIES,
    RANGE,
    compile_and_check,
    compiler,
    compilers,
    pair,
    rule_for,
)
from piecewise_conformance.marks import needs, requirement
from piecewise_conformance.options import Options
from piecewise_conformance.pieces import ROWS, piece, times, tracing
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation


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
@pytest.mark.parametrize("name", ["bare", "one-of-several-rows", "same-twice", "with-size"])
def test_inductor_structure(subject: Subject, tmp_path: Path, name: str) -> None:
    """Inductor's callable returns what the graph returns."""
    compile_and_check(subject, tmp_path, name, "inductor")


@requirement("COMPILER-003")
@pytest.mark.parametrize("kind", ["eager", pytest.param("inductor", marks=needs("inductor"))])
def test_graph_is_left(subject: Subject, tmp_path: Path, kind: str) -> None:
    """After compiling for a range the graph reads and does the same, and compiles again."""
    case = piece(BODIES["updates-input"])
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
    ("name", "missing"),
    [
        ("inductorr", "inductorr"),
        ("no_such_package.Compiler", "no_such_package"),
        ("piecewise_conformance.spy.NoSuchCompiler", "NoSuchCompiler"),
    ],
)
def test_unknown_compiler(subject: Subject, name: str, missing: str) -> None:
    """A compiler that does not exist is an error that names what is missing."""
    with expect_refusal(f"the compiler {name!r}", missing):
        subject.compiler(Options(compiler=name))


@requirement("COMPILER-007")
@pytest.mark.parametrize("kind", ["eager", pytest.param("inductor", marks=needs("inductor"))])
def test_global_state(subject: Subject, tmp_path: Path, kind: str) -> None:
    """Compiling, and calling what was compiled, changes nothing global."""
    case = piece(pair)
    with torch.no_grad(), globals_watch.unchanged(), tracing(case):
        runnable, _ = compiler(subject, tmp_path, kind).compile(case.gm, case.traced, RANGE)
        runnable(*case.args(ROWS))

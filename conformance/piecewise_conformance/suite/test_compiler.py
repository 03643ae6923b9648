"""COMPILER: graph and example inputs in, callable and handle out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from piecewise_conformance.core.boundary import expect_refusal
from piecewise_conformance.core.marks import needs, requirement
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.isolation import global_state
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.compiling import (
    BODIES,
    RANGE,
    compile_and_check,
    compiler,
    compilers,
    pair,
    rule_for,
)
from piecewise_conformance.testkit.pieces import ROWS, piece, times, tracing


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


# The cheapest compiler there is, and Inductor.
kinds = pytest.mark.parametrize(
    "kind", ["", pytest.param("inductor", marks=needs("inductor"))], ids=["cheapest", "inductor"]
)

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
@kinds
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
    case.check(runnable, 12, rule_for(case, kind or compilers(subject)[0], 12))


@requirement("COMPILER-004")
@kinds
def test_handle_is_a_literal(subject: Subject, tmp_path: Path, kind: str) -> None:
    """The handle is None, or reads back equal from its print."""
    case = times(2)
    with torch.no_grad(), tracing(case):
        _, handle = compiler(subject, tmp_path, kind).compile(case.gm, case.traced, RANGE)
    try:
        again = ast.literal_eval(repr(handle))
    except (ValueError, SyntaxError) as error:
        raise Violation(
            "a handle that is not a Python literal", got=f"{handle!r}: {error}"
        ) from None
    if again != handle:
        raise Violation(
            "a handle after it was printed and read again", expected=repr(handle), got=repr(again)
        )


@requirement("COMPILER-005")
def test_named_compiler_compiles(subject: Subject, tmp_path: Path) -> None:
    """``make_compiler`` gives the compiler of the name that was asked for."""
    case = times(2)
    with spy.spying() as log, tracing(case):
        compiler(subject, tmp_path, spy.NAME).compile(case.gm, case.traced, RANGE)
    if len(log.compiles) != 1:
        raise Violation("compiles of the named compiler", expected="1", got=str(len(log.compiles)))
    with spy.spying() as log, tracing(case):
        compiler(subject, tmp_path).compile(case.gm, case.traced, RANGE)
    if log.compiles:
        raise Violation("a compiler other than the named one compiled")


@requirement("COMPILER-006")
@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("inductorr", "inductorr"),
        ("no_such_package.Compiler", "no_such_package"),
        ("piecewise_conformance.testkit.spy.NoSuchCompiler", "NoSuchCompiler"),
    ],
)
def test_unknown_compiler(subject: Subject, name: str, missing: str) -> None:
    """A compiler that does not exist is an error that names what is missing."""
    with expect_refusal(f"the compiler {name!r}", missing):
        subject.compiler(Options(compiler=name))


@requirement("COMPILER-007")
@kinds
def test_global_state(subject: Subject, tmp_path: Path, kind: str) -> None:
    """Compiling, and calling what was compiled, changes nothing global."""
    case = piece(pair)
    if kind == "inductor":
        global_state.first_use_of_inductor()
    with torch.no_grad(), global_state.unchanged(), tracing(case):
        runnable, _ = compiler(subject, tmp_path, kind).compile(case.gm, case.traced, RANGE)
        runnable(*case.args(ROWS))


@requirement("COMPILER-013")
@pytest.mark.parametrize("disable", [False, True], ids=["cache-on", "cache-off"])
def test_told_where_artifacts_go(subject: Subject, tmp_path: Path, disable: bool) -> None:
    """Before it compiles a compiler knows folder and prefix, or that nothing may be kept."""
    with spy.spying() as log:
        opened = subject.manager(Options(compiler=spy.NAME))
        opened.open(tmp_path, disable=disable, prefix="draft")
        told = list(log.opened)
        opened.compile(times(2).gm, times(2).traced, RANGE)
    if disable and any(not off for _, off, _ in [*told, *log.opened]):
        raise Violation("the calls of initialize_cache with the cache disabled", got=str(told))
    if not disable and not any(
        Path(folder).is_relative_to(tmp_path) and not off and prefix == "draft"
        for folder, off, prefix in told
    ):
        raise Violation(
            "the calls of initialize_cache before the first compile",
            expected=f"{(str(tmp_path), False, 'draft')}",
            got=str(told),
        )


@requirement("COMPILER-013")
def test_each_keeps_its_folder(subject: Subject, tmp_path: Path) -> None:
    """Of two managers in one process each compiles into its own folder, in whatever order they
    were opened.
    """
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    opened = [subject.manager(Options(compiler=spy.NAME)).open(folder) for folder in folders]
    for each, folder in [*zip(opened, folders, strict=True)] * 2:
        with spy.spying() as log:
            each.compile(times(2).gm, times(2).traced, RANGE)
        told = [call.folder for call in log.compiles if call.folder]
        if any(not Path(each).is_relative_to(folder) for each in told):
            raise Violation(
                "the folder that the compiler was initialized with",
                expected=str(folder),
                got=str(told),
            )


@requirement("COMPILER-014")
def test_told_what_it_compiles(subject: Subject, tmp_path: Path) -> None:
    """Each piece and range goes under a key of its own, and is loaded by its own index and range.

    A manager may leave the key to the compiler.
    """
    ends_of = {0: [(1, 8), (9, 64)], 1: [(1, 8), (8, 8), (1, 9), (1, 18)], 11: [(1, 8)]}
    places = [(ends, index) for index, each in ends_of.items() for ends in each]
    work = [(ends, index, times(number)) for number, (ends, index) in enumerate(places, 2)]
    with spy.spying() as log:
        writer = subject.manager(Options(compiler=spy.NAME)).open(tmp_path)
        for ends, index, case in work:
            writer.compile(case.gm, case.traced, ends, index, 12)
        writer.save()
    keys = [call.key for call in log.compiles if call.key is not None]
    if [call.range for call in log.compiles] != [ends for ends, _ in places]:
        raise Violation(
            "the ranges that the compiler received",
            expected=str([ends for ends, _ in places]),
            got=str([call.range for call in log.compiles]),
        )
    if len(set(keys)) != len(keys):
        raise Violation("keys of several pieces and ranges", expected="one each", got=str(keys))
    with spy.spying() as log:
        reader = subject.manager(Options(compiler=spy.NAME)).open(tmp_path)
        for ends, index, case in work:
            reader.compile(case.gm, case.traced, ends, index, 12)
    loaded = [(call.range, call.index) for call in log.loads]
    if loaded != places:
        raise Violation(
            "the ranges and pieces in the calls of load", expected=str(places), got=str(loaded)
        )

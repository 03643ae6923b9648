"""SERIAL: bytes that were made for something else than what their reader asks for.

They are refused or missed. Or they hold the captured graph, and are split and compiled again as the
reader asks: that is right as well, if nothing that was compiled for the writer runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import graphs, keeping_compiler, serialized, spy
from piecewise_fixtures.programs import program

NAME = "linear-chain"


def _asked(subject: Subject, **changes: Any) -> Options:
    """Options with a compiler that is watched and whose artifacts are collected, if there may be
    one.
    """
    subject.get("serialize")
    if subject.can("custom-compiler"):
        changes = {"compiler": keeping_compiler.NAME, "collect_artifacts": True, **changes}
    return serialized.options(subject, NAME, **changes)


def _written(subject: Subject, asked: Options) -> bytes:
    changes: dict[str, Any] = {
        name: getattr(asked, name) for name in ("compiler", "collect_artifacts", "traced_files")
    }
    with spy.spying():
        _, function = serialized.compiled(subject, NAME, **changes)
        return serialized.to_bytes(subject, function, asked)


def _expect_missed_or_made_anew(subject: Subject, data: bytes, asked: Options, what: str) -> None:
    """``data`` is refused or missed, or split and compiled as ``asked`` says."""
    with spy.spying() as log:
        try:
            function = subject.call("deserialize", data, asked)
        except Exception:
            return  # whatever the kind of error: no function is made of it
        if function is None:
            return
        serialized.check_function(subject, function, NAME, asked)
    if not subject.can("custom-compiler"):
        return  # its results are right, and nothing else can be seen
    expected = "an error, None, or a function that is split and compiled again as the reader asks"
    if log.loads or not log.compiles:
        got = f"one that loaded {len(log.loads)} artifacts and compiled {len(log.compiles)} pieces"
        raise Violation(
            f"the function that was deserialized with {what}", expected=expected, got=got
        )
    for call in log.compiles:
        if lost := {k: v for k, v in asked.compiler_config.items() if call.config.get(k) != v}:
            raise Violation(
                f"settings missing for the compiler of a function deserialized with {what}",
                got=str(lost),
            )
    inside = [node for call in log.compiles for node in call.graph.graph.nodes]
    for op in program(NAME).splitting_ops:
        if any(graphs.matches(node, [op]) for node in inside) == (op in asked.splitting_ops):
            where = "split out" if op in asked.splitting_ops else "compiled"
            raise Violation(f"{op} in a function deserialized with {what}", expected=where)


@requirement("SERIAL-005")
def test_other_settings(subject: Subject) -> None:
    """With another setting of the compiler, other splitting ops, or none."""
    asked = _asked(subject)
    data = _written(subject, asked)
    others = {
        "another setting": asked.but(compiler_config={"max_autotune": True}),
        "other splitting ops": asked.but(splitting_ops=(*asked.splitting_ops, "aten::relu")),
        "no splitting ops": asked.but(splitting_ops=()),
    }
    for what, other in others.items():
        _expect_missed_or_made_anew(subject, data, other, what)


@requirement("SERIAL-011")
def test_other_code(subject: Subject, tmp_path: Path) -> None:
    """With another text of a traced file the graph itself is another: no function is made."""
    code = tmp_path / "model.py"
    code.write_text("x = 1\n")
    asked = _asked(subject, traced_files=(str(code),))
    data = _written(subject, asked)
    code.write_text("x = 2\n")
    if not serialized.is_missed(subject, data, asked):
        raise Violation("bytes were deserialized although a traced file was edited")
    code.write_text("x = 1\n")
    serialized.from_bytes(subject, data, asked)


@requirement("SERIAL-005")
def test_another_compiler(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled by a compiler that says now that it is another one does not run."""
    subject.need("custom-compiler")
    asked = _asked(subject)
    data = _written(subject, asked)
    serialized.from_bytes(subject, data, asked)
    monkeypatch.setattr(spy.SpyCompiler, "compute_hash", lambda self, config: "a new release")
    _expect_missed_or_made_anew(subject, data, asked, "another release of its compiler")


@requirement("SERIAL-005")
def test_other_variables(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what was compiled under another value of a variable that can change code."""
    subject.get("serialize")
    variables = subject.get("code_variables")
    asked = _asked(subject)
    data = _written(subject, asked)
    reader = asked.but(collect_artifacts=False)  # some values allow no collecting
    for name, value in variables.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            _expect_missed_or_made_anew(subject, data, reader, f"{name}={value}")
    serialized.from_bytes(subject, data, asked)

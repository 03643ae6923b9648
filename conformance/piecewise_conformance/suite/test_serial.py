"""SERIAL: functions and artifacts as bytes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.isolation.child import call_in_child
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import serialized, spy

PROGRAMS = ["linear-chain", "two-symbols", "piece-without-symbol", "nothing-to-split"]
OTHERS = [
    "two-outputs",
    "input-updated-by-op",
    "only-splitting-ops",
    "nested-outputs",
    "derived-size-across-op",
    "condition",
    "constant-output",
    "autocast-region",
    "split-unpacked-late",
    "parameter-returned",
]


@requirement("SERIAL-001")
def test_artifacts(subject: Subject) -> None:
    """What was inserted is found again; equal contents count once."""
    artifacts = subject.call("StandaloneCompiledArtifacts")
    kept = {
        ("submod_0", "(1, 8)"): b"first" * 100,
        ("submod_0", "(9, 64)"): b"second",
        ("submod_2", "(1, 8)"): b"first" * 100,
        ("submod_4", "(1, 8)"): b"",
        ("submod_6", "(1, 8)"): b"as long",
        ("submod_8", "(1, 8)"): b"another",
    }
    with inside_subject("StandaloneCompiledArtifacts"):
        for (name, range_text), data in kept.items():
            artifacts.insert(name, range_text, data)
        got = {key: artifacts.get(*key) for key in kept}
        counts = artifacts.num_entries(), artifacts.num_artifacts(), artifacts.size_bytes()
    if got != kept:
        wrong = [key for key in kept if got[key] != kept[key]]
        raise Violation(
            "artifacts that were inserted and read again",
            expected="the inserted artifacts",
            got=str(wrong),
        )
    if counts != (6, 5, 520):
        raise Violation(
            "the counts of six entries with five contents",
            expected="6 entries, 5 artifacts, 520 bytes",
            got="{} entries, {} artifacts, {} bytes".format(*counts),
        )


@requirement("SERIAL-001")
@pytest.mark.parametrize("key", [("submod_1", "(1, 8)"), ("submod_0", "(1, 9)")])
def test_artifact_that_is_not_there(subject: Subject, key: tuple[str, str]) -> None:
    """Nothing comes for a piece or a range that was never inserted: an error, or None."""
    artifacts = subject.call("StandaloneCompiledArtifacts")
    with inside_subject("StandaloneCompiledArtifacts"):
        artifacts.insert("submod_0", "(1, 8)", b"kept")
        try:
            got = artifacts.get(*key)
        except Exception:
            return
    if got is not None:
        raise Violation(f"the artifact {key}, never inserted", expected="none", got=repr(got))


@requirement("SERIAL-001")
def test_replaced_artifact(subject: Subject) -> None:
    """A second insertion for one piece and range takes the place of the first."""
    artifacts = subject.call("StandaloneCompiledArtifacts")
    with inside_subject("StandaloneCompiledArtifacts"):
        artifacts.insert("submod_0", "(1, 8)", b"old")
        artifacts.insert("submod_0", "(1, 8)", b"new")
        got, entries = artifacts.get("submod_0", "(1, 8)"), artifacts.num_entries()
    if (got, entries) != (b"new", 1):
        raise Violation("a second insertion", expected="b'new', 1 entry", got=f"{got!r}, {entries}")


@requirement("SERIAL-002")
@pytest.mark.parametrize("name", [*PROGRAMS, *OTHERS])
def test_through_bytes(subject: Subject, name: str) -> None:
    """The function made again does what the program does."""
    subject.get("serialize")
    _, function = serialized.compiled(subject, name)
    asked = serialized.options(subject, name)
    data = serialized.to_bytes(subject, function, asked)
    serialized.check_function(subject, serialized.from_bytes(subject, data, asked), name, asked)


@requirement("SERIAL-002")
def test_with_ranges_and_copied_inputs(subject: Subject) -> None:
    """So with several ranges, a single size, and inputs that are copied."""
    subject.get("serialize")
    changes: dict[str, Any] = {"compile_ranges_endpoints": (5,), "compile_sizes": (4,)}
    for copied in (False, True):
        asked = serialized.options(subject, "linear-chain", **changes, copy_inputs=copied)
        _, function = serialized.compiled(subject, "linear-chain", **changes, copy_inputs=copied)
        data = serialized.to_bytes(subject, function, asked)
        loaded = serialized.from_bytes(subject, data, asked)
        serialized.check_function(subject, loaded, "linear-chain", asked)


@requirement("SERIAL-002")
def test_compiled_for_symbols(subject: Subject) -> None:
    """A range that is compiled after the function was made again is compiled for symbols."""
    subject.get("serialize")
    changes: dict[str, Any] = {"compiler": spy.NAME}
    asked = serialized.options(subject, "linear-chain", **changes)
    _, function = serialized.compiled(subject, "linear-chain", **changes)
    loaded = serialized.from_bytes(subject, serialized.to_bytes(subject, function, asked), asked)
    with spy.spying() as log:
        serialized.check_function(subject, loaded, "linear-chain", asked)
    for call in log.compiles:
        tensors = [each for each in call.inputs if isinstance(each, torch.Tensor)]
        if not any(isinstance(size, torch.SymInt) for each in tensors for size in each.shape):
            raise Violation(
                "the example inputs that a range is compiled for",
                expected="a symbol for the batch size",
                got=str([tuple(each.shape) for each in tensors]),
            )


@requirement("SERIAL-002")
@slow
@needs("inductor")
def test_through_bytes_with_inductor(subject: Subject) -> None:
    """Without artifacts the graph that was kept compiles to what the program computes."""
    subject.get("serialize")
    subject.need("inductor")
    asked = serialized.options(subject, "two-symbols", compiler="inductor")
    _, function = serialized.compiled(subject, "two-symbols", compiler="inductor")
    data = serialized.to_bytes(subject, function, asked)
    serialized.check_function(
        subject, serialized.from_bytes(subject, data, asked), "two-symbols", asked
    )


@requirement("SERIAL-003")
@slow
def test_in_another_process(subject: Subject, tmp_path: Path) -> None:
    """A fresh process makes the function from the file, and gets what the program gives."""
    subject.get("serialize")
    _, function = serialized.compiled(subject, "two-symbols")
    path = tmp_path / "function"
    path.write_bytes(
        serialized.to_bytes(subject, function, serialized.options(subject, "two-symbols"))
    )
    call_in_child(
        subject,
        "piecewise_conformance.testkit.serialized:run_in_child",
        str(path),
        "two-symbols",
        {},
    )


def _written(subject: Subject) -> bytes:
    subject.get("serialize")
    _, function = serialized.compiled(subject, "linear-chain")
    return serialized.to_bytes(subject, function, serialized.options(subject, "linear-chain"))


def _expect_miss(subject: Subject, data: bytes, what: str) -> None:
    if not serialized.is_missed(subject, data, serialized.options(subject, "linear-chain")):
        raise Violation(f"{what} were deserialized to a function", expected="an error, or None")


@requirement("SERIAL-004")
def test_cut_bytes(subject: Subject) -> None:
    """Every length short of the whole is missed, and so is a longer one."""
    data = _written(subject)
    lengths = {*range(0, len(data), max(1, len(data) // 150)), len(data) - 1, 1, 2}
    for length in sorted(lengths):
        _expect_miss(subject, data[:length], f"the first {length} of {len(data)} bytes")
    _expect_miss(subject, data + b"\0", "bytes with one more at the end")


@requirement("SERIAL-004")
def test_changed_bytes(subject: Subject) -> None:
    """One bit changed anywhere is a miss."""
    data = _written(subject)
    # each of the first, where a format says what follows, and some of all others
    for position in {*range(min(1500, len(data))), *range(0, len(data), max(1, len(data) // 150))}:
        changed = bytearray(data)
        changed[position] ^= 1 << (position % 8)
        _expect_miss(subject, bytes(changed), f"bytes with a changed bit at {position}")


class _Hostile:
    """Unpickled, it writes the file that it is given."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (_run, (self.path,))


def _run(path: str) -> None:
    Path(path).write_text("ran")


@requirement("SERIAL-004")
def test_hostile_bytes(subject: Subject, tmp_path: Path) -> None:
    """No pickle is opened that no backend wrote: alone, in front, behind, or in the middle."""
    data = _written(subject)
    trace = tmp_path / "trace"
    hostile = pickle.dumps(_Hostile(trace))
    middle = len(data) // 2
    forged = {
        "a pickle": hostile,
        "a pickle in front": hostile + data,
        "a pickle behind": data + hostile,
        "a pickle in the middle": data[:middle] + hostile + data[middle:],
        "a pickle instead of the end": data[: -len(hostile)] + hostile,
        "every part a pickle": data[:middle].rpartition(b"\n")[0] + b"\n" + hostile,
    }
    for what, content in forged.items():
        _expect_miss(subject, content, what)
        if trace.exists():
            raise Violation(f"code in {what} was executed", expected="nothing is unpickled")


@requirement("SERIAL-006")
@slow
@needs("inductor")
@pytest.mark.parametrize("save_format", ["binary", "unpacked"])
def test_nothing_is_compiled(subject: Subject, tmp_path: Path, save_format: str) -> None:
    """With collected artifacts a fresh process compiles nothing, with no cache at hand."""
    subject.get("serialize")
    subject.need("inductor")
    changes: dict[str, Any] = {
        "compiler": "inductor",
        "collect_artifacts": True,
        "save_format": save_format,
        "compile_ranges_endpoints": [5],
    }
    asked = serialized.options(subject, "linear-chain", **changes)
    root = str(tmp_path / "cache")
    # the second start has its artifacts from the first one's files
    for _ in range(2):
        _, function = serialized.compiled(subject, "linear-chain", **changes, cache_root=root)
    path = tmp_path / "function"
    path.write_bytes(serialized.to_bytes(subject, function, asked))
    compiles = call_in_child(
        subject,
        "piecewise_conformance.testkit.serialized:run_in_child",
        str(path),
        "linear-chain",
        changes,
    )
    if compiles:
        raise Violation(
            "a function with all artifacts", expected="0 compiles", got=f"{compiles} compiles"
        )


@requirement("SERIAL-007")
def test_function_stays(subject: Subject) -> None:
    """After it was serialized the model runs as before, and serializes to a function again."""
    subject.get("serialize")
    driven, function = serialized.compiled(subject, "two-symbols")
    asked = serialized.options(subject, "two-symbols")
    serialized.to_bytes(subject, function, asked)
    for size in driven.program.sizes:
        driven.check(size)
    again = serialized.to_bytes(subject, function, asked)
    serialized.check_function(
        subject, serialized.from_bytes(subject, again, asked), "two-symbols", asked
    )

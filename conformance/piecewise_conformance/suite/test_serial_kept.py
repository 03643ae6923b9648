"""SERIAL: what is known of a function is known of the one that was made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import serialized, spy
from piecewise_conformance.testkit.compiling import counting_generated_code
from piecewise_conformance.testkit.drive import Driven
from piecewise_conformance.testkit.graph_capture import mark_dynamic
from piecewise_fixtures.programs import program
from piecewise_fixtures.programs.base import Program


@requirement("SERIAL-008")
@pytest.mark.parametrize("encoder", [False, True])
@pytest.mark.parametrize("copy_inputs", [False, True])
def test_facts_of_a_function(subject: Subject, encoder: bool, copy_inputs: bool) -> None:
    """Its prefix, whether it is an encoder's, and which inputs are copied."""
    subject.get("serialize")
    changes: dict[str, Any] = {"prefix": "tower", "copy_inputs": copy_inputs}
    asked = serialized.options(subject, "two-symbols", **changes)
    with subject.context("set_model_tag", "vision", is_encoder=encoder):
        _, function = serialized.compiled(subject, "two-symbols", **changes)
    names = [n for n in ("prefix", "is_encoder", "sym_tensor_indices") if hasattr(function, n)]
    if not names:
        raise Unsupported("the subject's function has no prefix, is_encoder or sym_tensor_indices")
    loaded = serialized.from_bytes(subject, serialized.to_bytes(subject, function, asked), asked)
    before, after = (
        {name: getattr(each, name, "nothing") for name in names} for each in (function, loaded)
    )
    if before != after:
        raise Violation(
            "attributes of a deserialized function", expected=str(before), got=str(after)
        )
    if copy_inputs and "sym_tensor_indices" in names and not before["sym_tensor_indices"]:
        raise Violation(
            "the inputs that a deserialized function copies", expected="those with symbols"
        )


@requirement("SERIAL-008")
@pytest.mark.parametrize("encoder", [False, True])
def test_facts_do_not_come_from_the_reader(subject: Subject, encoder: bool) -> None:
    """Made again under the tag of another part, it is still of the part that it was made for."""
    subject.get("serialize")
    asked = serialized.options(subject, "linear-chain", prefix="tower")
    with subject.context("set_model_tag", "one", is_encoder=encoder):
        _, function = serialized.compiled(subject, "linear-chain", prefix="tower")
    names = [n for n in ("prefix", "is_encoder") if hasattr(function, n)]
    if not names:
        raise Unsupported("the subject's function has no prefix, is_encoder or sym_tensor_indices")
    data = serialized.to_bytes(subject, function, asked)
    with subject.context("set_model_tag", "other", is_encoder=not encoder):
        loaded = serialized.from_bytes(subject, data, asked)
    before, after = (
        {name: getattr(each, name, "nothing") for name in names} for each in (function, loaded)
    )
    if before != after:
        raise Violation(
            "attributes of a function deserialized under another tag",
            expected=str(before),
            got=str(after),
        )


@requirement("SERIAL-008")
def test_copies_go_on(subject: Subject) -> None:
    """Where inputs are copied to static buffers they still are: no piece sees the caller's own."""
    subject.get("serialize")
    changes: dict[str, Any] = {"compiler": spy.NAME, "copy_inputs": True}
    asked = serialized.options(subject, "linear-chain", **changes)

    def expect_copies(model: Driven, what: str) -> None:
        args = model.program.inputs(6)
        mark_dynamic(model.program, args)
        with spy.spying() as log, torch.no_grad():
            model.compiled(*args)
        own = {each.data_ptr() for each in args if isinstance(each, torch.Tensor)}
        if not log.addresses or own & log.addresses:
            raise Violation(f"inputs that reach a piece of {what}", expected="copies")

    driven, function = serialized.compiled(subject, "linear-chain", **changes)
    expect_copies(driven, "a function")
    loaded = serialized.from_bytes(subject, serialized.to_bytes(subject, function, asked), asked)
    again = serialized.in_place_of(subject, loaded, "linear-chain", asked)
    expect_copies(again, "a deserialized function")


@requirement("SERIAL-009")
@pytest.mark.parametrize(
    "name",
    ["strided-input", "view-of-input-as-input", "view-of-input-updated", "integers-and-bools"],
)
def test_inputs_are_known_as_before(subject: Subject, name: str) -> None:
    """What a compiler is told of a piece's inputs is what it was told before: type, strides,
    place in their memory, and which of them share it.
    """
    subject.get("serialize")
    asked = serialized.options(subject, name, compiler=spy.NAME)
    seen: list[list[Any]] = []
    with spy.spying() as log:
        _, function = serialized.compiled(subject, name, compiler=spy.NAME)
        seen.append([_layout(call.inputs) for call in log.compiles])
        data = serialized.to_bytes(subject, function, asked)
    loaded = serialized.from_bytes(subject, data, asked)
    with spy.spying() as log:
        serialized.check_function(subject, loaded, name, asked)
        seen.append([_layout(call.inputs) for call in log.compiles])
    if seen[1] and seen[0] != seen[1]:  # a subject may have nothing left to compile
        raise Violation(
            "the example inputs that a compiler receives", expected=str(seen[0]), got=str(seen[1])
        )


def _layout(inputs: list[Any]) -> list[Any]:
    """Of each tensor all that is no symbol, and the first of those in whose memory it lies."""
    tensors = [each for each in inputs if isinstance(each, torch.Tensor)]
    storages = [each.untyped_storage()._cdata for each in tensors]
    return [
        (
            each.dtype,
            each.device.type,
            each.requires_grad,
            [size if isinstance(size, int) else "symbol" for size in (*each.shape, *each.stride())],
            each.storage_offset() if isinstance(each.storage_offset(), int) else "symbol",
            storages.index(each.untyped_storage()._cdata),
        )
        for each in tensors
    ]


def _with_artifacts(subject: Subject, **changes: Any) -> dict[str, Any]:
    subject.get("serialize")
    subject.need("inductor")
    return {"compiler": "inductor", "collect_artifacts": True, **changes}


@requirement("SERIAL-002")
@slow
@needs("inductor")
def test_artifacts_of_one_size(subject: Subject) -> None:
    """Kept when it had met one size alone, it is right at others: what was compiled for the one
    serves none of them.
    """
    changes = _with_artifacts(subject, compile_sizes=(4,), compile_ranges_endpoints=(5,))
    asked = serialized.options(subject, "linear-chain", **changes)
    _, function = serialized.compiled(subject, "linear-chain", (4,), **changes)
    loaded = serialized.from_bytes(subject, serialized.to_bytes(subject, function, asked), asked)
    serialized.check_function(subject, loaded, "linear-chain", asked)


class _LayersAndHead(torch.nn.Module):
    """A dozen equal layers, and a last piece unlike them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(12):
            x = torch.ops.piecewise.scaled(torch.sin(x) / 10)
        return x * 2 - 1


def _layers_and_head() -> Program:
    base = program("linear-chain")
    return Program("layers-and-head", "", _LayersAndHead, base.inputs, base.splitting_ops, (6, 4))


@requirement("SERIAL-002")
@slow
@needs("inductor")
def test_each_piece_has_its_artifact(subject: Subject, tmp_path: Path) -> None:
    """Of more than ten pieces each gets its own artifact back, however they are numbered."""
    changes = _with_artifacts(subject, cache_root=str(tmp_path))
    chosen = _layers_and_head()
    asked = serialized.options(subject, chosen, **changes)
    _, function = serialized.compiled(subject, chosen, **changes)
    asked = asked.but(cache_root=None)
    loaded = serialized.from_bytes(subject, serialized.to_bytes(subject, function, asked), asked)
    serialized.check_function(subject, loaded, chosen, asked)


@requirement("SERIAL-006")
@slow
@needs("inductor")
def test_nothing_is_compiled_the_second_time(subject: Subject) -> None:
    """A function that was made again gives its artifacts on when it is serialized in its turn."""
    changes = _with_artifacts(subject)
    asked = serialized.options(subject, "linear-chain", **changes)
    _, function = serialized.compiled(subject, "linear-chain", **changes)
    for times in ("once", "twice"):
        data = serialized.to_bytes(subject, function, asked)
        with counting_generated_code() as generated:
            function = serialized.from_bytes(subject, data, asked)
            serialized.check_function(subject, function, "linear-chain", asked)
        if generated:
            raise Violation(
                f"a function with all artifacts, deserialized {times}",
                expected="no code generated",
                got=f"code generated for {len(generated)} graphs",
            )


def _calls_back_once(subject: Subject, changes: dict[str, Any]) -> None:
    asked = serialized.options(subject, "linear-chain", **changes)
    _, function = serialized.compiled(subject, "linear-chain", **changes)
    data, calls = serialized.to_bytes(subject, function, asked), list[int]()
    with subject.context("set_on_compilation_complete", lambda: calls.append(1)):
        loaded = serialized.from_bytes(subject, data, asked)
        serialized.check_function(subject, loaded, "linear-chain", asked)
    if len(calls) != 1:
        raise Violation(
            "calls of the completion callback after a deserialized function has run",
            expected="1",
            got=str(len(calls)),
        )


@requirement("CONTEXT-004")
def test_callback_of_a_function_made_again(subject: Subject) -> None:
    """Made again without artifacts it compiles, and calls back when that is done, once."""
    subject.get("serialize")
    _calls_back_once(subject, {})


@requirement("CONTEXT-004")
@slow
@needs("inductor")
def test_callback_of_a_function_with_artifacts(subject: Subject) -> None:
    """Made again with all artifacts it has nothing to compile: it calls back all the same, once."""
    _calls_back_once(subject, _with_artifacts(subject))


_WITHOUT_BYTES: dict[str, tuple[str, dict[str, Any]]] = {
    "eager": ("linear-chain", {"compiler": "eager"}),
    "custom-compiler": ("linear-chain", {"compiler": spy.NAME}),
    "custom-compiler-ranges": (
        "two-layers",
        {"compiler": spy.NAME, "compile_ranges_endpoints": (5,), "compile_sizes": (4,)},
    ),
    "a-piece-that-writes-shared-memory": ("slice-and-view-updated", {"compiler": "inductor"}),
}


@requirement("SERIAL-010")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[slow, needs("inductor")] if "inductor" in str(each) else [])
        for name, each in _WITHOUT_BYTES.items()
    ],
)
def test_pieces_without_bytes(subject: Subject, name: str) -> None:
    """Artifacts are collected where the compiler, or what it makes of one piece, has none: the
    function is serialized and computes the same.
    """
    subject.get("serialize")
    program_name, changes = _WITHOUT_BYTES[name]
    asked = serialized.options(subject, program_name, collect_artifacts=True, **changes)
    subject.check_offers(asked)
    _, function = serialized.compiled_with(subject, program_name, asked)
    data = serialized.to_bytes(subject, function, asked)
    loaded = serialized.from_bytes(subject, data, asked)
    serialized.check_function(subject, loaded, program_name, asked)

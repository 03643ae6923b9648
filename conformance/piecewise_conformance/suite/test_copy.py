"""COPY: static buffers between a caller and a callable, which neither may notice."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.oracle import describe
from piecewise_conformance.testkit.static_buffers import WIDTH, Seen, buffers, refusal, rows, same
from piecewise_fixtures.programs import program


@requirement("COPY-001")
@pytest.mark.parametrize("kind", ["lazy", "given"])
@pytest.mark.parametrize("order", [(8, 3, 8, 1, 5), (8, 8, 8), (8, 1, 2, 3)])
def test_sees_what_was_passed(subject: Subject, kind: str, order: tuple[int, ...]) -> None:
    """Values and shapes at every call, for two inputs whose sizes vary on their own."""
    seen = Seen()
    call = subject.copy_and_call([0, 2], buffers(kind, 8, 8), seen)
    for number, count in enumerate(order):
        # in another order, and the largest first: a wrapper may refuse to grow
        first, second = rows(count, number), rows(order[-number], number + 50)
        call(first, number, second)
        for want, have in ((first, seen.copies[-1][0]), (second, seen.copies[-1][2])):
            if not same(want, have):
                raise Violation(
                    f"the input that the callable sees in call {number} of sizes {order}",
                    expected=describe(want),
                    got=describe(have),
                )
        if seen.copies[-1][1] != number:
            raise Violation(
                "an argument that is not copied", expected=str(number), got=str(seen.copies[-1][1])
            )


@requirement("COPY-001")
@pytest.mark.parametrize("make", ["transposed", "gapped", "offset", "expanded", "empty", "grad"])
@torch.enable_grad()
def test_sees_other_inputs(subject: Subject, make: str) -> None:
    """So too for inputs that are no plain block of memory, unless they are refused: COPY-011."""
    seen = Seen()
    call = subject.copy_and_call([0], [None], seen)
    for seed in (1, 2):
        given = {
            "transposed": rows(WIDTH, seed).t(),
            "gapped": torch.randn(6, 2 * WIDTH)[:, ::2],
            "offset": rows(9, seed)[3:],
            "expanded": rows(1, seed).expand(5, WIDTH),
            "empty": rows(8, seed)[:0],
            "grad": rows(8, seed).requires_grad_(),
        }[make]
        if _is_plain(given):
            call(given)
        elif refusal(call, given) is not None:
            continue
        if not same(given, seen.copies[-1][0]):
            raise Violation(
                f"a {make} input", expected=describe(given), got=describe(seen.copies[-1][0])
            )


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether it is a block of memory in order, without a gradient, which nobody may refuse."""
    return tensor.is_contiguous() and tensor.numel() > 0 and not tensor.requires_grad


@requirement("COPY-001")
@pytest.mark.parametrize("kind", ["lazy", "given"])
def test_sees_new_content_of_a_tensor(subject: Subject, kind: str) -> None:
    """A tensor that is passed again, and was written in between, is seen as it is now."""
    seen, given = Seen(), rows(8)
    call = subject.copy_and_call([0], buffers(kind, 8), seen)
    for number in range(3):
        given.copy_(rows(8, number))
        call(given)
        if not same(given, seen.copies[-1][0]):
            raise Violation(
                f"a tensor that is passed for time {number + 1}, with new values",
                expected=describe(given),
                got=describe(seen.copies[-1][0]),
            )


@requirement("COPY-001")
def test_sees_one_shape_in_other_layouts(subject: Subject) -> None:
    """So too where the shape stays, and how it lies in memory changes, there and back."""
    seen = Seen()
    call = subject.copy_and_call([0], [None], seen)
    block = torch.arange(96.0)
    layouts = [((4, 4), (4, 1), 0), ((4, 4), (1, 4), 3), ((4, 4), (8, 2), 1), ((4, 4), (4, 1), 9)]
    for layout in [*layouts, *layouts[::-1]]:
        given = block.as_strided(*layout)
        if refusal(call, given) is None and not same(given, seen.copies[-1][0]):
            raise Violation(
                f"an input with strides {given.stride()}, after others of its shape",
                expected=describe(given),
                got=describe(seen.copies[-1][0]),
            )


@requirement("COPY-001")
def test_sees_many_inputs(subject: Subject) -> None:
    """Each of five inputs of several types, named in any order, is seen where it was passed."""
    seen, indices = Seen(), [4, 0, 3, 1, 5]
    call = subject.copy_and_call(indices, [None] * len(indices), seen)
    for count in (6, 2, 6):
        given = (
            rows(count, 1),
            torch.arange(count) * count,
            None,
            rows(count, 2) > 0,
            rows(count, 3).half()[:, :1].contiguous(),
            rows(count, 4),
        )
        call(*given)
        for position in indices:
            want, have = given[position], seen.copies[-1][position]
            if want is None or not same(want, have):
                raise Violation(
                    f"input {position} of six, in a call of {count}",
                    expected=describe(want),
                    got=describe(have),
                )


@requirement("COPY-001")
@pytest.mark.parametrize("kind", ["lazy", "given"])
def test_sees_inputs_in_inference_mode(subject: Subject, kind: str) -> None:
    """So too in inference mode, where models are served."""
    seen = Seen()
    with torch.inference_mode():
        call = subject.copy_and_call([0], buffers(kind, 8), seen)
        for count in (8, 3, 8):
            given = rows(count)
            call(given)
            if not same(given, seen.copies[-1][0]):
                raise Violation(
                    f"an input of {count} rows in inference mode",
                    expected=describe(given),
                    got=describe(seen.copies[-1][0]),
                )


@requirement("COPY-002")
@pytest.mark.parametrize("kind", ["lazy", "given"])
def test_address_stays_after_growth(subject: Subject, kind: str) -> None:
    """Once a call was larger than the buffer, smaller ones lie where that one lay."""
    seen, kept = Seen(), []
    call = subject.copy_and_call([0], buffers(kind, 4), seen)
    for number, count in enumerate((4, 2, 8, 2, 4, 8)):
        kept.append(rows(count, number))
        if refusal(call, kept[-1]) is not None:
            return  # a wrapper may refuse to grow: COPY-004
    if len(addresses := set(seen.addresses[2:])) != 1:
        raise Violation("addresses since the largest call", expected="one", got=str(addresses))


@requirement("COPY-002")
@pytest.mark.parametrize("kind", ["lazy", "given"])
def test_address_stays(subject: Subject, kind: str) -> None:
    """From the largest call on, every call has its input at the same address."""
    seen = Seen()
    call = subject.copy_and_call([0, 1], buffers(kind, 8, 8), seen)
    kept = []
    for count in (8, 5, 1, 8, 7):
        args = rows(count, 1), rows(count, 2)
        kept.append(args)  # so that a new tensor cannot take the memory of an old one
        call(*args)
    if len(set(seen.addresses)) != 1:
        raise Violation("addresses of the copied inputs", expected="one", got=str(seen.addresses))


@requirement("COPY-002")
def test_given_buffer_is_used(subject: Subject) -> None:
    """A buffer that the caller gave is where the callable finds the input."""
    block = torch.zeros(19, WIDTH)
    mine, others, seen = block[11:], block[:11], Seen()  # one block may serve several inputs
    call = subject.copy_and_call([0], [mine], seen)
    given = rows(6)
    call(given)
    if seen.addresses[0] != (mine.data_ptr(),) or not torch.equal(mine[:6], given):
        raise Violation("the given buffer is not used", expected=hex(mine.data_ptr()))
    if others.any():
        raise Violation("memory next to the given buffer", expected="unchanged")


@requirement("COPY-002")
@pytest.mark.parametrize("name", ["linear-chain", "tokens-at-dim-one", "two-symbols"])
def test_inputs_of_a_backend_are_copied(subject: Subject, name: str) -> None:
    """With copied inputs no piece is called with the caller's own tensor of tokens, whichever of
    its dimensions the tokens are.
    """
    chosen = program(name)
    with spy.spying() as log:
        driven = drive(subject, chosen, compiler=spy.NAME, copy_inputs=True)
        seen = [driven.got(chosen.inputs(size)) for size in chosen.sizes[:2]]  # all stay alive
    arguments = {argument for argument, _ in chosen.dynamic}
    own = {each.inputs[argument].data_ptr() for each in seen for argument in arguments}
    if not log.addresses or own & log.addresses:
        raise Violation(
            "addresses of the caller's tensors that pieces were called with",
            expected="none",
            got=str(len(own & log.addresses)) if log.addresses else "no piece was called",
        )


@requirement("COPY-003")
def test_others_are_not_copied(subject: Subject) -> None:
    """Inputs without an index reach the callable as the very objects that were passed."""
    seen = Seen()
    call = subject.copy_and_call([1], [None], seen)
    for count in (8, 3):
        weight, static, thing = rows(16, 1), rows(2, 2), object()
        call(weight, rows(count), static, thing, None)
        for position, want in ((0, weight), (2, static), (3, thing), (4, None)):
            if seen.args[-1][position] is not want:
                raise Violation(f"argument {position} is not the object that was passed")


@requirement("COPY-003")
def test_nothing_to_copy(subject: Subject) -> None:
    """Without indices the wrapper is the callable."""
    seen, given = Seen(), rows(3)
    call = subject.copy_and_call([], [], seen)
    call(given, 1)
    if seen.args[0][0] is not given or seen.args[0][1:] != (1,):
        raise Violation("arguments without an index", got=str(seen.args[0]))


@requirement("COPY-003")
@pytest.mark.parametrize("name", ["linear-chain", "two-layers"])
def test_weights_are_not_copied(subject: Subject, name: str) -> None:
    """A backend that copies its inputs gives the pieces the model's own parameters."""
    with spy.spying() as log:
        driven = drive(subject, program(name), compiler=spy.NAME, copy_inputs=True)
        for size in program(name).sizes[:2]:
            driven.check(size)
    parameters = {key: each.data_ptr() for key, each in driven.module.named_parameters()}
    if not parameters:
        raise Violation("parameters of the program", expected="some", got="none")
    if copied := sorted(key for key, place in parameters.items() if place not in log.addresses):
        raise Violation(
            "parameters that were not passed to any piece", expected="none", got=", ".join(copied)
        )


@requirement("COPY-004")
@pytest.mark.parametrize("kind", ["lazy", "given"])
@pytest.mark.parametrize("order", [(2, 8), (1, 2, 4, 8), (4, 8, 2, 16)])
def test_growth(subject: Subject, kind: str, order: tuple[int, ...]) -> None:
    """A larger call sees its values, or is refused with both sizes told; the next one is right."""
    seen = Seen()
    call = subject.copy_and_call([0], buffers(kind, order[0]), seen)
    for count in order:
        given = rows(count)
        if (told := refusal(call, given)) is not None:
            sizes, numbers = {count, order[0]}, set(map(int, re.findall(r"\d+", told)))
            if not sizes <= numbers and not {size * WIDTH for size in sizes} <= numbers:
                raise Violation(
                    f"a call of {count} rows after {order[0]}",
                    expected="the result, or an error with both sizes, in rows or elements",
                    got=told,
                )
            continue
        if not same(given, seen.copies[-1][0]):
            raise Violation(
                f"a call of {count} rows in sizes {order}",
                expected=describe(given),
                got=describe(seen.copies[-1][0]),
            )


@requirement("COPY-005")
@pytest.mark.parametrize("kind", ["lazy", "given"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.float16, torch.bool])
def test_no_conversion(subject: Subject, kind: str, dtype: torch.dtype) -> None:
    """An input of another dtype is refused, or seen in its own dtype."""
    seen = Seen()
    call = subject.copy_and_call([0], buffers(kind, 8), seen)
    call(rows(8))
    for count in (5, 8):  # a size that is new, and one that was met
        other = (rows(count, 3) * 3).to(dtype)
        if refusal(call, other) is None and not same(other, seen.copies[-1][0]):
            raise Violation(
                f"a {dtype} input of {count} rows after float32 inputs",
                expected=f"a refusal, or {describe(other)}",
                got=describe(seen.copies[-1][0]),
            )
    given = rows(8, 9)
    call(given)
    if not same(given, seen.copies[-1][0]):
        raise Violation(
            "the call after it", expected=describe(given), got=describe(seen.copies[-1][0])
        )


def _write_all(x: torch.Tensor) -> None:
    x.add_(1)


def _write_part(x: torch.Tensor) -> None:
    x[1:].mul_(2)


def _write_through_view(x: torch.Tensor) -> None:
    x.view(-1)[:2].fill_(5)


@requirement("COPY-006")
@pytest.mark.parametrize("kind", ["lazy", "given"])
@pytest.mark.parametrize("write", [_write_all, _write_part, _write_through_view])
def test_writes_come_back(subject: Subject, kind: str, write: Any) -> None:
    """A write into the copy reaches the caller's tensor at every call, or the call is refused."""
    call = subject.copy_and_call([0], buffers(kind, 8), write)
    for count in (8, 3, 8):
        given = rows(count)
        wanted = given.clone()
        write(wanted)
        if refusal(call, given) is not None:
            continue
        if not torch.equal(given, wanted):
            raise Violation(
                f"the caller's tensor of {count} rows after the call",
                expected=describe(wanted),
                got=describe(given),
            )


def _write_both(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    x.add_(1)
    y.mul_(2)
    return x + y


def _write_second(x: torch.Tensor, y: torch.Tensor) -> None:
    y.sub_(x)


@requirement("COPY-006")
@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("write", [_write_both, _write_second])
def test_writes_to_one_of_two(subject: Subject, write: Any, inference: bool) -> None:
    """So do writes to any of several inputs, in inference mode too."""
    with torch.inference_mode(inference):
        call = subject.copy_and_call([0, 1], [None, None], write)
        for count in (4, 2):
            given = rows(count, 1), rows(count, 2)
            wanted = [each.clone() for each in given]
            write(*wanted)
            if refusal(call, *given) is not None:
                continue
            for position, (want, have) in enumerate(zip(wanted, given, strict=True)):
                if not torch.equal(want, have):
                    raise Violation(
                        f"the caller's tensor {position}",
                        expected=describe(want),
                        got=describe(have),
                    )


@requirement("COPY-006")
@pytest.mark.parametrize("write", [_write_both, _write_second])
def test_refused_writes(subject: Subject, write: Any) -> None:
    """Where a write is refused, as one to memory that inputs share, the inputs are as they were."""
    call = subject.copy_and_call([0, 1], [None, None], write)
    refusal(call, rows(6, 1), rows(6, 2))  # some refuse every write
    whole = rows(7, 3)
    before = whole.clone()
    if refusal(call, whole[:-1], whole[1:]) is not None and not torch.equal(whole, before):
        raise Violation(
            "inputs after a call that was refused", expected=describe(before), got=describe(whole)
        )


@requirement("COPY-007")
@pytest.mark.parametrize(
    "shape", [(5, 1), (1, WIDTH), (5, WIDTH + 1), (5,), (1,), (5, WIDTH, 1), (5, 2, 2)]
)
def test_no_broadcast(subject: Subject, shape: tuple[int, ...]) -> None:
    """An input of another shape is refused, or seen in its own shape; never spread."""
    seen = Seen()
    call = subject.copy_and_call([0], [torch.zeros(8, WIDTH)], seen)
    call(rows(8))
    given = torch.arange(1.0, 1.0 + torch.Size(shape).numel()).reshape(shape)
    if refusal(call, given) is not None:
        return
    if not same(given, seen.copies[-1][0]):
        raise Violation(
            f"an input of shape {shape} for a buffer of (8, {WIDTH})",
            expected=f"a refusal, or {describe(given)}",
            got=describe(seen.copies[-1][0]),
        )

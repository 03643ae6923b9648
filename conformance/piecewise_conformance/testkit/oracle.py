"""The one place that compares what a subject did with what it should have done.

Exact, always: number and structure of outputs, what is None, dtype, device, shape, stride,
aliasing among outputs and inputs, what was written into inputs, and the order of effects (an op
that only writes tensors which nobody reads may be left out). Values: equal to the bit under
``EXACT`` (NaN equals NaN); under ``Near`` measured against a run in float64, from which the subject
may be no further off than eager by a stated factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from piecewise_fixtures.effects import Effect
from torch.utils import _pytree as pytree

from ..core import thread_modes
from ..core.verdict import Violation

# How much further than eager a compiled result may be from the float64 run, ...
FACTOR = 4.0
# ... where an eager result that happens to be exact counts as this many units in the last place.
FLOOR_ULPS = 8.0
_SUM = 0.05  # how far off, there, a sum may be that an op told as its effect


@dataclass
class Observation:
    """All that can be seen of one call: outputs, inputs afterwards, aliasing, effects, and the
    modes of torch afterwards.
    """

    outputs: Any
    inputs: list[Any]
    aliases: list[tuple[int, int]]
    effects: list[Effect] = field(default_factory=list)
    modes: dict[str, Any] = field(default_factory=dict)


def copy_values(values: Any) -> Any:
    """``values`` in fresh memory, with the strides, offsets and shared memory that they had."""
    storages: dict[int, torch.UntypedStorage] = {}
    tensors: dict[int, torch.Tensor] = {}

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in tensors:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in storages or storage.nbytes() == 0:
                storages[storage.data_ptr()] = storage.clone()
            fresh = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
            fresh.set_(
                storages[storage.data_ptr()], tensor.storage_offset(), tensor.shape, tensor.stride()
            )
            fresh.requires_grad_(tensor.requires_grad)
            # lazily conjugated or negated: the memory holds other numbers than the tensor
            fresh = fresh.conj() if tensor.is_conj() else fresh
            fresh = torch._neg_view(fresh) if tensor.is_neg() else fresh
            tensors[id(tensor)] = fresh
        return tensors[id(tensor)]

    return pytree.tree_map_only(torch.Tensor, copy, values)


def _has_memory(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.untyped_storage().nbytes() > 0
    )


def _aliases(tensors: Sequence[Any]) -> list[tuple[int, int]]:
    """For each tensor: the first one that shares its memory, and how far it lies behind that."""
    first: dict[int, tuple[int, int]] = {}
    found = []
    for position, tensor in enumerate(tensors):
        if not _has_memory(tensor):
            found.append((position, 0))
            continue
        here = int(tensor.storage_offset())
        start, offset = first.setdefault(tensor.untyped_storage().data_ptr(), (position, here))
        found.append((start, here - offset))
    return found


def observe(
    function: Callable[..., Any],
    args: Sequence[Any],
    *,
    watched: Sequence[torch.Tensor] = (),
    copied: bool = True,
) -> Observation:
    """Call ``function`` on a copy of ``args``, or on ``args``. ``watched`` are further tensors that
    it may write or return: parameters and buffers of the module that it is.

    In a copy tensors share memory as in ``args``, but are no views for torch.
    """
    from piecewise_fixtures import effects

    own = copy_values(list(args)) if copied else list(args)
    with effects.recording() as log, thread_modes.kept() as afterwards:
        outputs = function(*own)
    flat_inputs = [*pytree.tree_leaves(own), *watched]
    aliases = _aliases([*flat_inputs, *pytree.tree_leaves(outputs)])
    return Observation(outputs, flat_inputs, aliases, list(log), afterwards)


@dataclass(frozen=True)
class Exact:
    """Values must be equal to the bit."""


@dataclass(frozen=True)
class Near:
    """Values may be ``FACTOR`` times as far from ``truth``, a float64 run, as eager is."""

    truth: Observation


Rule = Exact | Near
Source = str | Callable[[], str]  # of a program; called only when there is something to tell
EXACT = Exact()


def describe(value: Any) -> str:
    """A short text of a value, for a failure message."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided:
            return f"{value.layout} {list(value.shape)}"
        flat = value.detach().reshape(-1)
        shown = ", ".join(f"{each:.9g}" for each in flat[:8].tolist())
        dots = ", ..." if flat.numel() > 8 else ""
        kind = str(value.dtype).removeprefix("torch.")
        return f"{kind}{list(value.shape)} stride {tuple(value.stride())} [{shown}{dots}]"
    if isinstance(value, (tuple, list)):
        inside = ", ".join(map(describe, value))
        return f"({inside})" if isinstance(value, tuple) else f"[{inside}]"
    return repr(value)[:200]


def _strides(tensor: torch.Tensor, rule: Rule) -> tuple[object, ...]:
    """Strides that can be told apart: a dimension of one element may have any.

    A compiler may close the gaps of an output that does not fill its memory, as Inductor does;
    the order of the dimensions in memory it must keep.
    """
    if tensor.layout is not torch.strided or tensor.numel() == 0:
        return ()
    strides = tuple(
        stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1
    )
    if isinstance(rule, Near) and 0 not in strides:
        return ("in order", *sorted(range(len(strides)), key=lambda dim: (-strides[dim], dim)))
    return strides


def _fail(what: str, expected: Any, got: Any, program: Source) -> None:
    def text(value: Any) -> str:
        return value if isinstance(value, str) else describe(value)

    source = program if isinstance(program, str) else program()
    raise Violation(what, expected=text(expected), got=text(got), program=source)


def check(
    expected: Observation,
    got: Observation,
    rule: Rule = EXACT,
    *,
    program: Source = "",
    where: str = "",
    may_drop: bool = False,
    with_modes: bool = False,
) -> None:
    """Raise Violation at the first difference. ``where`` says in which call it was.

    Torch's modes afterwards are compared ``with_modes``: a graph enters and leaves them, and what
    else leaves global state changed is a matter of its own.
    With ``may_drop`` an op may be left out that only writes tensors. It is for programs where it
    can be that nobody reads them; where somebody does, the values tell.
    """
    suffix = f" {where}" if where else ""
    expected_flat, expected_spec = pytree.tree_flatten(expected.outputs)
    got_flat, got_spec = pytree.tree_flatten(got.outputs)
    if expected_spec != got_spec:
        _fail(
            f"the outputs have a different structure{suffix}",
            f"{_shape_of(expected.outputs)}",
            f"{_shape_of(got.outputs)}",
            program,
        )
    truths = pytree.tree_leaves(rule.truth.outputs) if isinstance(rule, Near) else None
    for position, (want, have) in enumerate(zip(expected_flat, got_flat, strict=True)):
        truth = truths[position] if truths is not None else None
        _check_value(f"output {position}{suffix}", want, have, rule, truth, program)
    after = rule.truth.inputs if isinstance(rule, Near) else None
    for position, (want, have) in enumerate(zip(expected.inputs, got.inputs, strict=True)):
        truth = after[position] if after is not None else None
        _check_value(f"input {position} after the call{suffix}", want, have, rule, truth, program)
    if expected.aliases != got.aliases:
        _fail(
            f"outputs and inputs have a different aliasing{suffix}",
            f"(tensor, first tensor with its memory, offset): {_aliasing(expected.aliases)}",
            _aliasing(got.aliases),
            program,
        )
    for mode, wanted in expected.modes.items() if with_modes else ():
        if got.modes[mode] != wanted:
            _fail(f"{mode} after the call{suffix}", str(wanted), str(got.modes[mode]), program)
    exact = not isinstance(rule, Near)
    if not _same_effects(expected.effects, got.effects, exact, may_drop):
        _fail(
            f"effects happened in another order, or another number of times{suffix}",
            ", ".join(map(str, expected.effects)),
            ", ".join(map(str, got.effects)),
            program,
        )


def _same_effects(expected: list[Effect], got: list[Effect], exact: bool, may_drop: bool) -> bool:
    """Whether ``got`` is ``expected``, but for what may be dropped."""
    remaining = iter(expected)
    for effect in got:
        for wanted in remaining:
            if _same_effect(wanted, effect, exact):
                break
            if not (may_drop and wanted.may_be_dropped):
                return False
        else:
            return False
    return all(may_drop and wanted.may_be_dropped for wanted in remaining)


def _same_effect(wanted: Effect, got: Effect, exact: bool) -> bool:
    if exact or wanted.number is None or got.number is None:
        return str(wanted) == str(got)
    both_nan = math.isnan(wanted.number) and math.isnan(got.number)
    near = math.isclose(wanted.number, got.number, rel_tol=_SUM, abs_tol=_SUM)
    return wanted.label == got.label and (near or both_nan)


def _shape_of(outputs: Any) -> str:
    return str(pytree.tree_map(lambda leaf: type(leaf).__name__, outputs))


def _aliasing(aliases: list[tuple[int, int]]) -> str:
    shared = [(i, first, offset) for i, (first, offset) in enumerate(aliases) if first != i]
    return str(shared or "none shared")


def _check_value(what: str, want: Any, have: Any, rule: Rule, truth: Any, program: Source) -> None:
    if not isinstance(want, torch.Tensor) or not isinstance(have, torch.Tensor):
        if type(want) is not type(have) or not (want == have or _are_nan(want, have)):
            _fail(f"{what} differs", want, have, program)
        return
    for fact in ("dtype", "device", "shape", "layout"):
        if getattr(want, fact) != getattr(have, fact):
            _fail(
                f"{what} has a different {fact}",
                f"{getattr(want, fact)}",
                f"{getattr(have, fact)}",
                program,
            )
    if _strides(want, rule) != _strides(have, rule):
        _fail(f"{what} has different strides", f"{want.stride()}", f"{have.stride()}", program)
    if not _values_agree(want.detach(), have.detach(), rule, truth):
        _fail(f"{what} has different values", want, have, program)


def _are_nan(*numbers: Any) -> bool:
    return all(isinstance(number, float) and math.isnan(number) for number in numbers)


def _values_agree(want: torch.Tensor, have: torch.Tensor, rule: Rule, truth: Any) -> bool:
    if want.numel() == 0:
        return True
    exact = (want == have) | (want.isnan() & have.isnan())
    if bool(exact.all()):
        return True
    if isinstance(rule, Exact) or not (want.is_floating_point() or want.is_complex()):
        return False
    assert isinstance(truth, torch.Tensor)
    finite = want.isfinite()
    if bool((finite != have.isfinite()).any()) or not bool(exact[~finite].all()):
        return False  # NaN and infinities stand where eager has them
    wide = torch.complex128 if want.is_complex() else torch.float64
    reference = truth.detach().to(wide)[finite]
    error_eager = (want.to(wide)[finite] - reference).abs().max()
    error = (have.to(wide)[finite] - reference).abs().max()
    floor = FLOOR_ULPS * torch.finfo(want.dtype).eps * reference.abs().max()
    return bool(error <= FACTOR * torch.maximum(error_eager, floor))

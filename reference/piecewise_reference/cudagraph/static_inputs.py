"""``make_copy_and_call``: pass inputs to a callable at addresses that do not change.

A captured graph reads the addresses from its capture, so inputs are first copied into static
buffers. Neither the callable nor its caller may notice: the callable sees the original values,
shapes, dtypes and strides, and the caller sees what the callable writes to an input.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch.utils import _pytree as pytree

from .. import events
from ..fastpath.same_looks import same_looks


def _span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """The number of elements of memory from the first to the last element, inclusive."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def distinct(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` without repetitions: an expanded dimension is one row of memory."""
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


class _StaticInput:
    """The buffer of one input, and the views of it that calls have used so far."""

    def __init__(self, position: int, buffer: torch.Tensor | None) -> None:
        self.position = position
        self.adopt(buffer)

    def adopt(self, buffer: torch.Tensor | None) -> None:
        """Use ``buffer`` from now on; raises ValueError if it is not one block of memory."""
        if buffer is not None and _span(buffer.shape, buffer.stride()) != buffer.numel():
            raise ValueError(
                f"the static buffer of input {self.position} is not dense: pass buffer.contiguous()"
            )
        self.buffer = buffer
        self.views: dict[tuple[torch.Size, tuple[int, ...]], torch.Tensor] = {}

    def view_for(self, tensor: torch.Tensor) -> torch.Tensor:
        """The view of the buffer with the layout of ``tensor``, in a larger buffer if needed."""
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"input {self.position} must be a tensor, got {type(tensor).__name__}")
        buffer = self.buffer
        if buffer is not None and (buffer.dtype, buffer.device) != (tensor.dtype, tensor.device):
            raise TypeError(
                f"input {self.position} is {tensor.dtype} on {tensor.device}, but its static "
                f"buffer is {buffer.dtype} on {buffer.device}: copying would convert it silently"
            )
        layout = (tensor.shape, tensor.stride())
        view = self.views.get(layout)
        if view is None:
            view = self.views[layout] = self._new_view(tensor, *layout)
        return view

    def _new_view(
        self, tensor: torch.Tensor, shape: torch.Size, strides: tuple[int, ...]
    ) -> torch.Tensor:
        span = _span(shape, strides)
        # outside inference mode: torch counts writes only of normal tensors
        with torch.inference_mode(False), torch.no_grad():
            if self.buffer is None or self.buffer.numel() < span:
                self.adopt(torch.empty(span, dtype=tensor.dtype, device=tensor.device))
            assert self.buffer is not None
            return self.buffer.as_strided(shape, strides, self.buffer.storage_offset())


def _same_memory(first: torch.Tensor, second: torch.Tensor) -> bool:
    pointer = first.untyped_storage().data_ptr()
    return pointer != 0 and pointer == second.untyped_storage().data_ptr()  # 0: has no memory


def _overlap(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether both share an element of memory; True if that is hard to determine."""
    if not _same_memory(first, second):
        return False
    if first.dtype != second.dtype:
        return True
    begin = min(each.storage_offset() for each in (first, second))
    spans = [_span(each.shape, each.stride()) for each in (first, second)]
    end = max(
        each.storage_offset() + span for each, span in zip((first, second), spans, strict=True)
    )
    if end - begin >= sum(spans) or 0 in spans:
        return False  # one ends before the other begins
    touched = torch.zeros(end - begin, dtype=torch.bool, device="cpu")
    mine, other = (
        touched.as_strided(each.shape, each.stride(), each.storage_offset() - begin)
        for each in (first, second)
    )
    distinct(mine).fill_(True)
    return bool(other.any())


def _refuse_shared_writes(args: Sequence[Any], written: list[int]) -> None:
    """Raise RuntimeError if an input whose buffer was written overlaps another argument.

    Their buffers do not overlap, so the callable saw the write in only one of them.
    """
    for mine in written:
        for other, tensor in enumerate(args):
            is_other = other != mine and isinstance(tensor, torch.Tensor)
            if is_other and _overlap(args[mine], tensor):
                raise RuntimeError(
                    f"input {mine} was written, and shares memory with input {other}, which its "
                    "static buffer does not: pass one of them as a tensor of its own"
                )


def _refuse_a_buffer_for_two(slots: Sequence[_StaticInput]) -> None:
    """Raise ValueError if the (dense) buffers of two inputs overlap."""
    blocks = sorted(
        (each.data_ptr(), each.data_ptr() + each.numel() * each.element_size(), slot.position)
        for slot in slots
        if (each := slot.buffer) is not None and each.data_ptr()  # 0: has no memory
    )
    for (_, end, first), (begin, _, second) in pairwise(blocks):
        if begin < end:
            raise ValueError(
                f"the static buffers of inputs {first} and {second} overlap: one would overwrite "
                "the other, so give each its own"
            )


def make_copy_and_call(
    sym_tensor_indices: list[int],
    input_buffers: list[torch.Tensor | None],
    callable_fn: Callable[..., Any],
) -> Callable[..., Any]:
    """Wrap ``callable_fn`` so that inputs ``sym_tensor_indices`` reach it in static buffers.

    ``input_buffers`` has one dense tensor for each index, or None to allocate one at the first
    call. A buffer that is too small is replaced by a larger one at a new address. All other
    arguments are passed unchanged. The wrapper raises TypeError for an input that is not a tensor,
    or whose dtype or device differs from its buffer's. It raises RuntimeError if the callable wrote
    to one of two inputs that share memory, and then copies nothing back. Calls cannot overlap: one
    that begins during another raises RuntimeError. Seed: ``make_copy_and_call``.
    """
    if len(sym_tensor_indices) != len(input_buffers):
        raise ValueError(
            f"{len(sym_tensor_indices)} indices for {len(input_buffers)} buffers: one each"
        )
    slots = [
        _StaticInput(index, buffer)
        for index, buffer in zip(sym_tensor_indices, input_buffers, strict=True)
    ]
    _refuse_a_buffer_for_two(slots)

    layouts: dict[tuple[Any, ...], _Layout] = {}  # of the calls so far
    latest: _Layout | None = None

    def layout_of(given: list[Any]) -> _Layout:
        nonlocal latest
        try:
            key = tuple([(each.shape, each.stride(), each.dtype, each.device) for each in given])
            found = layouts.get(key)
        except AttributeError:  # not a tensor: its slot raises the error
            key, found = (), None
        if found is None:
            before = [slot.buffer for slot in slots]
            views = [slot.view_for(each) for slot, each in zip(slots, given, strict=True)]
            found = _Layout(sym_tensor_indices, views)
            if any(slot.buffer is not old for slot, old in zip(slots, before, strict=True)):
                layouts.clear()  # views of a buffer that was replaced
            layouts[key] = found
        found.looks_like = same_looks(given)
        found.counts_callers = not any(each.is_inference() for each in given)
        latest = found
        return found

    def copy_and_call(*args: Any) -> Any:
        call_args = list(args)
        given = [args[position] for position in sym_tensor_indices]
        layout = latest if latest is not None and latest.looks_like(*given) else layout_of(given)
        static = layout.static
        for position, view in layout.placed:
            call_args[position] = view
        copy_all(static, given, layout.repeats)
        if events.recording():
            for slot, view in zip(slots, static, strict=True):
                events.emit(events.Copy(slot.position, view.data_ptr()))
        versions = [view._version for view in static] if layout.counts_writes else None
        callers = [each._version for each in given] if layout.counts_callers else None
        result = callable_fn(*call_args)
        if callers is not None and callers != [each._version for each in given]:
            raise RuntimeError(
                "an argument was written that shares memory with an input whose static buffer "
                f"does not have the write: pass inputs {sym_tensor_indices} as tensors of their own"
            )
        if versions is None or versions != [view._version for view in static]:
            written = layout.written(versions, given)
            _refuse_shared_writes(args, [sym_tensor_indices[each] for each in written])
            with torch.no_grad():
                for position in written:
                    distinct(given[position]).copy_(distinct(static[position]))
        if result is None or layout.holds_none_of(result):
            return result
        return without_buffers(result, static, given)

    return _one_at_a_time(copy_and_call) if slots else copy_and_call


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``function`` so that a call during another call raises RuntimeError."""
    under_way = threading.Lock()

    def call(*args: Any) -> Any:
        if not under_way.acquire(blocking=False):
            raise RuntimeError(
                "a call is under way, and has its inputs in the static buffers that this one would "
                "overwrite: let it return first, or make a copying callable for each"
            )
        try:
            return function(*args)
        finally:
            under_way.release()

    return call


class _Layout:
    """The views for inputs of certain shapes, strides, dtypes and devices.

    They are determined once for all calls with equal layouts; doing it again takes as long as
    copying.
    """

    def __init__(self, positions: Sequence[int], static: list[torch.Tensor]) -> None:
        self.static = static
        self.placed = list(zip(positions, static, strict=True))
        self.looks_like: Callable[..., bool] = same_looks([])
        self.counts_callers = False  # whether torch counts writes to the caller's tensors
        self.repeats = any(0 in view.stride() for view in static)
        self.storages = {view.untyped_storage().data_ptr() for view in static} - {0}
        # a given buffer may be an inference tensor, whose writes torch does not count
        self.counts_writes = not any(view.is_inference() for view in static)

    def written(self, versions: list[int] | None, given: list[torch.Tensor]) -> list[int]:
        """The positions of views that were written since ``versions``; without versions, those that
        differ from ``given``.
        """
        if versions is None:
            pairs = zip(self.static, given, strict=True)
            return [n for n, (view, tensor) in enumerate(pairs) if not torch.equal(view, tensor)]
        return [n for n, view in enumerate(self.static) if view._version != versions[n]]

    def holds_none_of(self, result: Any) -> bool:
        """Whether ``result`` certainly has no tensor in a buffer; False for any nesting."""
        for output in result if type(result) in (tuple, list) else (result,):
            if output is None:
                continue
            if not isinstance(output, torch.Tensor):
                return False
            if output.untyped_storage().data_ptr() in self.storages:
                return False
        return True


def copy_all(
    targets: list[torch.Tensor], sources: list[torch.Tensor], repeats: bool = True
) -> None:
    """Copy each source to its target. Without ``repeats`` no target repeats memory."""
    if torch.is_grad_enabled():  # disabling a disabled mode takes as long as a small copy
        with torch.no_grad():
            copy_all(targets, sources, repeats)
        return
    if repeats:
        targets, sources = [*map(distinct, targets)], [*map(distinct, sources)]
    if targets:
        torch._foreach_copy_(targets, sources)


def without_buffers(result: Any, static: list[torch.Tensor], given: list[torch.Tensor]) -> Any:
    """Replace the tensors of ``result`` that alias a static buffer by views of the caller's input.

    The next call overwrites the buffers, and an output that aliases an input must alias the
    caller's input.
    """

    def move(output: torch.Tensor) -> torch.Tensor:
        for view, tensor in zip(static, given, strict=True):
            if output is view:
                return tensor
            if _same_memory(output, view):
                return _moved(output, view, tensor)
        return output

    return pytree.tree_map_only(torch.Tensor, move, result)


def _moved(output: torch.Tensor, view: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The view of ``tensor`` that corresponds to ``output`` as a view of ``view``; a copy of
    ``output`` if there is none.
    """
    if tensor.is_conj() or tensor.is_neg():
        return output.clone()  # its numbers in memory differ
    begins = [each.storage_offset() * each.element_size() for each in (output, view, tensor)]
    begin = int(begins[0] - begins[1] + begins[2])
    offset, inside = divmod(begin, output.element_size())
    if output.dtype == tensor.dtype:
        moved = tensor.as_strided(output.shape, output.stride(), offset)
    elif not inside:  # a view of another dtype, as of bytes, or of a complex number's parts
        moved = torch.empty(0, dtype=output.dtype, device=output.device)
        moved.set_(tensor.untyped_storage(), offset, output.shape, output.stride())
    else:
        return output.clone()
    moved = moved.conj() if output.is_conj() else moved
    return torch._neg_view(moved) if output.is_neg() else moved

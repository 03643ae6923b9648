"""``CUDAGraphWrapper``: record what a callable launches once, and launch it again without Python.

A replay reads the addresses that were captured and writes into the outputs that were captured; it
runs no Python. Everything here follows from those three.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils import _pytree as pytree

from .. import events
from ..config.modes import CUDAGraphMode
from ..config.vllm_config import CompilationConfig, VllmConfig
from ..platforms import current_platform, resolve_qualified_name
from .forward_context import BatchDescriptor, current_forward_context
from .kernel_launches import launches_kernels
from .static_inputs import copy_all, distinct, without_buffers
from .weights import Weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CUDAGraphOptions:
    """``debug_log_enable``: log captures. ``gc_disable``: collect no garbage in a capture.
    ``weak_ref_output``: accepted for users of the seed's class, without effect; the wrapper always
    owns the output of a captured graph (docs/deviations.md).
    """

    debug_log_enable: bool = True
    gc_disable: bool = False
    weak_ref_output: bool = False


@dataclass
class _Entry:
    """One captured graph, and all that it reads and writes: kept, so that no memory of it is
    given to anybody else while it can be replayed.
    """

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Any, ...]  # what the callable was given, out of its containers: see _alias
    tree: pytree.TreeSpec  # the containers
    is_flat: bool  # there are none, and no keywords
    weights: Weights  # of the callable, beside its inputs
    written: list[int] = field(default_factory=list)  # positions that the callable writes
    output: Any = None


def _kind(value: Any) -> Any:
    """All of an argument that a graph has for good: what no copy changes, or the value itself."""
    if isinstance(value, torch.Tensor):
        repeated = [
            dim for dim, stride in enumerate(value.stride()) if stride == 0 and value.shape[dim] > 1
        ]
        return tuple(value.shape), value.dtype, value.device, repeated
    return type(value), value  # 2 is equal to 2.0, and makes another dtype


def _alias(value: Any) -> Any:
    """For a tensor, another with its memory: assigning to ``data`` gives the caller's new memory,
    and the graph still reads the old.
    """
    return value.detach() if isinstance(value, torch.Tensor) else value


def _flat(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], pytree.TreeSpec]:
    """What is in ``args`` and ``kwargs``, and in what containers; keywords have no order."""
    return pytree.tree_flatten((args, dict(sorted(kwargs.items()))))


def _inputs_for(entry: _Entry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The inputs of a call, as ``entry`` has them; ValueError if they are in other containers."""
    if entry.is_flat and not kwargs:
        return args  # a container among them is seen to be no tensor
    inputs, tree = _flat(args, kwargs)
    if tree != entry.tree:
        raise ValueError(
            f"the inputs are {tree}, and the graph was captured for {entry.tree}: batches of one "
            "descriptor must have inputs in the same containers and by the same keywords"
        )
    return tuple(inputs)


def _reads_old_weights(entry: _Entry, args: tuple[Any, ...]) -> bool:
    """Whether a weight was exchanged since the capture. Pieces get theirs as arguments: copying
    such a one at every replay, as is done with other inputs, would be right and slow.
    """
    return entry.weights.exchanged() or any(
        isinstance(given, nn.Parameter)
        and isinstance(captured, torch.Tensor)
        and given.data_ptr() != captured.data_ptr()
        for given, captured in zip(args, entry.inputs, strict=False)
    )


def _sharing(values: tuple[Any, ...]) -> list[tuple[int, int]]:
    """By position: the first tensor with the same memory, and how far it lies behind that."""
    first: dict[int, tuple[int, int]] = {}
    found = []
    for position, value in enumerate(values):
        if isinstance(value, torch.Tensor) and value.numel():
            begin = value.untyped_storage().data_ptr()
            start, address = first.setdefault(begin, (position, value.data_ptr()))
            found.append((start, value.data_ptr() - address))
        else:
            found.append((position, 0))
    return found


def _version(tensor: torch.Tensor) -> int | None:
    """How often ``tensor`` was written; None where torch does not count (inference tensors)."""
    return None if tensor.is_inference() else tensor._version


def _count_writes(tensors: list[torch.Tensor]) -> None:
    """Count a write to each, as torch does for an op; of what a replay writes it knows nothing."""
    for each in tensors:
        if not each.is_inference():
            torch.autograd.graph.increment_version(each)


# The graphs that there are, each with the stream on which it was captured.
_captured: WeakKeyDictionary[torch.cuda.CUDAGraph, torch.cuda.Stream] = WeakKeyDictionary()


@contextmanager
def _capturing(graph: torch.cuda.CUDAGraph, collect_garbage: bool) -> Iterator[None]:
    """Capture into ``graph`` what is launched inside.

    All graphs of a device share a pool, for they run one after another, never at once. It ends with
    the last of them, so it is had of one of them, and not by a handle that may outlive it.

    On the caller's stream, because workspaces of libraries belong to a stream, tens of megabytes
    each; if that is the default stream, which cannot be captured, on the stream of other captures.
    """
    torch.cuda.synchronize()
    if collect_garbage:  # slow, so once and not for each of many captures
        gc.collect()
        torch.cuda.empty_cache()
    caller = torch.cuda.current_stream()
    stream = caller
    other = next((each for each, on in _captured.items() if on.device == caller.device), None)
    if caller == torch.cuda.default_stream():
        stream = torch.cuda.Stream() if other is None else _captured[other]
    pool = None if other is None else other.pool()
    stream.wait_stream(caller)
    with torch.cuda.stream(stream):
        graph.capture_begin(pool=pool)
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # which says no more than that something failed before
                graph.capture_end()
            raise
        graph.capture_end()
    caller.wait_stream(stream)
    _captured[graph] = stream


class CUDAGraphWrapper:
    """Calls ``runnable``, or replays what it launched, as the forward context says.

    In ``runtime_mode``, the first call for a batch descriptor captures and later ones replay. In
    any other mode, and outside of a forward context, ``runnable`` is called. A replay returns the
    captured output. The next batch may overwrite it: all graphs share a pool, so that a graph may
    compute where one that was captured later keeps its output. An input that comes at another
    address than at capture is copied to where the graph reads it, and back if the graph writes it;
    the tensor that lay there keeps its values. An input of another kind is a ValueError. Inputs may
    be keywords, and lie in containers that torch's pytree knows. A call after weights of the model
    were exchanged for other tensors captures again. Seed: ``CUDAGraphWrapper``.
    """

    def __init__(
        self,
        runnable: Callable[..., Any],
        vllm_config: VllmConfig,
        runtime_mode: CUDAGraphMode,
        cudagraph_options: CUDAGraphOptions | None = None,
    ) -> None:
        if runtime_mode not in (CUDAGraphMode.PIECEWISE, CUDAGraphMode.FULL):
            raise ValueError(
                f"a static graph runs in mode PIECEWISE or FULL, not {runtime_mode.name}"
            )
        self.runnable = runnable
        self.vllm_config = vllm_config
        self.runtime_mode = runtime_mode
        self.options = cudagraph_options or CUDAGraphOptions()
        self.entries: dict[BatchDescriptor, _Entry] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        context = current_forward_context()
        if context is None or context.cudagraph_runtime_mode is not self.runtime_mode:
            return self.runnable(*args, **kwargs)
        descriptor = context.batch_descriptor
        if descriptor is None:
            raise ValueError(
                f"the forward context asks for {self.runtime_mode.name} graphs and has no "
                "batch_descriptor to tell which: pass one to set_forward_context"
            )
        entry = self.entries.get(descriptor)
        if entry is not None and _reads_old_weights(entry, args):
            entry = None
        if entry is None:
            entry = self.entries[descriptor] = self._capture(descriptor, args, kwargs)
            return entry.output
        output = self._replay(entry, _inputs_for(entry, args, kwargs))
        events.emit(events.Replay(descriptor, self.runtime_mode.name))
        return output

    def _capture(
        self, descriptor: BatchDescriptor, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Entry:
        if self.options.debug_log_enable:
            logger.debug("Capturing a %s graph for %s", self.runtime_mode.name, descriptor)
        inputs, tree = _flat(args, kwargs)
        is_flat = not kwargs and [*map(id, inputs)] == [*map(id, args)]
        tensors = [(i, each) for i, each in enumerate(inputs) if isinstance(each, torch.Tensor)]
        versions = [_version(each) for _, each in tensors]
        weights = Weights(self.runnable)
        held = tuple(map(_alias, inputs))
        entry = _Entry(torch.cuda.CUDAGraph(), held, tree, is_flat, weights)
        if (prepare := getattr(self.runnable, "prepare", None)) is not None:
            prepare(*args, **kwargs)  # compiling is nothing that a graph could repeat
        with _capturing(entry.graph, not self.options.gc_disable):
            entry.output = self.runnable(*args, **kwargs)
        entry.written = [
            position
            for (position, each), before in zip(tensors, versions, strict=True)
            if before is None or _version(each) != before
        ]
        # A capture launches nothing: what the caller is given must be there.
        entry.graph.replay()
        events.emit(events.Capture(descriptor, self.runtime_mode.name))
        return entry

    def _replay(self, entry: _Entry, args: tuple[Any, ...]) -> Any:
        moved = self._moved(entry, args)
        _count_writes([args[position] for position in entry.written if position not in moved])
        if not moved:
            entry.graph.replay()
            return entry.output
        captured = [distinct(entry.inputs[position]) for position in moved]
        given = [distinct(args[position]) for position in moved]
        with torch.no_grad():
            # By way of copies: that memory may be somebody's still, and may overlap the new.
            before = [each.clone() for each in captured]
            copy_all(captured, [each.clone() for each in given])
            entry.graph.replay()
            after = [each.clone() for each in captured]
            copy_all(captured, before)
            for position, target, values in zip(moved, given, after, strict=True):
                if position in entry.written:
                    target.copy_(values)
        return without_buffers(
            entry.output,
            [entry.inputs[position] for position in moved],
            [args[position] for position in moved],
        )

    def _moved(self, entry: _Entry, args: tuple[Any, ...]) -> list[int]:
        """The positions of inputs that lie elsewhere than at capture; ValueError for another kind
        of input, which the graph cannot be given.
        """
        if len(args) != len(entry.inputs):
            raise ValueError(f"{len(args)} inputs, and the graph was captured with another number")
        moved = []
        for position, (given, captured) in enumerate(zip(args, entry.inputs, strict=True)):
            if _kind(given) != _kind(captured):
                raise ValueError(
                    f"input {position} is {_kind(given)}, and the graph was captured for "
                    f"{_kind(captured)}: batches of one descriptor must have inputs of one kind"
                )
            if not isinstance(captured, torch.Tensor):
                continue
            if given.data_ptr() != captured.data_ptr():
                moved.append(position)
            elif given.stride() != captured.stride():
                raise ValueError(
                    f"input {position} has strides {given.stride()}, and had "
                    f"{captured.stride()} at the same address when the graph was captured"
                )
        if moved and _sharing(args) != _sharing(entry.inputs):
            raise ValueError(
                "the inputs share memory in another way than when the graph was captured"
            )
        return moved

    def clear_graphs(self) -> None:
        """Forget all captured graphs and free their memory; the next calls capture anew."""
        self.entries.clear()

    def unwrap(self) -> Callable[..., Any]:
        """The callable that is wrapped."""
        return self.runnable


def wrap_with_cudagraph_if_needed(
    piecewise_backend: Any,
    vllm_config: VllmConfig,
    compilation_config: CompilationConfig,
    is_first_graph: bool,
    is_last_graph: bool,
) -> Any:
    """``piecewise_backend``, in the platform's static-graph wrapper if pieces are captured.

    They are not if Inductor partitions the graph: then its partitions are what is captured. Nor is
    a piece that only allocates: its graph would be empty. Seed: ``wrap_with_cudagraph_if_needed``.
    """
    if (
        not compilation_config.cudagraph_mode.has_piecewise_cudagraphs()
        or compilation_config.use_inductor_graph_partition
    ):
        return piecewise_backend
    if not launches_kernels(piecewise_backend.graph.graph):
        return piecewise_backend
    wrapper = resolve_qualified_name(
        current_platform().static_graph_wrapper_cls, "static-graph wrapper"
    )
    return wrapper(
        runnable=piecewise_backend,
        vllm_config=vllm_config,
        runtime_mode=CUDAGraphMode.PIECEWISE,
        cudagraph_options=CUDAGraphOptions(
            debug_log_enable=is_first_graph,
            gc_disable=not is_first_graph,
            weak_ref_output=is_last_graph,
        ),
    )

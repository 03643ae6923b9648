"""``PiecewiseBackend``: one compiled piece, as the stitched graph calls it.

It chooses the artifact by the batch size at run time, and compiles an artifact when the first batch
in its range arrives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import fx
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode

from .. import events
from ..cache.manager import CompilerManager
from ..config.vllm_config import VllmConfig
from ..fastpath.direct_call import plain_function
from ..platforms import is_capturing
from ..ranges import Range
from ..tracing.symbols import all_symbols
from ..tracing.values import value_of

logger = logging.getLogger(__name__)


class Owner(Protocol):
    """The interface of the backend that a piece belongs to."""

    compiler_manager: CompilerManager
    inductor_config: dict[str, Any]
    fake_mode: FakeTensorMode | None
    compiling: AbstractContextManager[Any]  # held by the thread that compiles

    def piece_compiled(self, piece: PiecewiseBackend) -> None:
        """Called after one more range of ``piece`` was compiled or loaded."""


def _refuse_in_a_capture(index: int, compile_range: Range) -> None:
    """Raise RuntimeError during a capture of a CUDA graph. Compiling needs operations that a
    capture forbids, such as waiting for the device, and its kernels would become part of the graph.
    """
    if is_capturing():
        raise RuntimeError(
            f"piece {index} is not compiled for {compile_range} yet, and a CUDA graph is being "
            "captured: call the model once with this batch size before you capture it"
        )


class PiecewiseBackend:
    """One compiled piece: a callable with the inputs and outputs of the piece.

    ``sym_shape_indices`` are the positions of arguments that are the batch size; a piece without
    any has one artifact for all sizes. ``returns_tuple`` and ``is_full_graph`` exist for users of
    the seed's class; the reference does not read them. Seed: ``PiecewiseBackend``.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        vllm_config: VllmConfig,
        piecewise_compile_index: int,
        total_piecewise_compiles: int,
        sym_shape_indices: list[int],
        vllm_backend: Owner,
        returns_tuple: bool,
    ) -> None:
        self.graph = graph
        self.vllm_config = vllm_config
        self.piecewise_compile_index = piecewise_compile_index
        self.total_piecewise_compiles = total_piecewise_compiles
        self.sym_shape_indices = sym_shape_indices
        self.vllm_backend = vllm_backend
        self.returns_tuple = returns_tuple
        self.is_first_graph = piecewise_compile_index == 0
        self.is_last_graph = piecewise_compile_index == total_piecewise_compiles - 1
        self.is_full_graph = total_piecewise_compiles == 1
        self.ranges = vllm_config.compile_ranges()
        self.compiled: dict[Range, Callable[..., Any]] = {}
        # The callable for each size that has occurred: a later call only looks it up.
        self._by_size: dict[int, Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        size = args[self.sym_shape_indices[0]] if self.sym_shape_indices else 0
        runnable = self._by_size.get(size)
        if runnable is None:
            runnable = self._find(size, args)
        return runnable(*args)

    def prepare(self, *args: Any) -> None:
        """Compile for ``args`` without running."""
        self._find(args[self.sym_shape_indices[0]] if self.sym_shape_indices else 0, args)

    def all_ranges(self) -> list[Range]:
        """Every range that the piece may be compiled for."""
        if self.sym_shape_indices:
            return self.ranges.all()
        return [Range(1, self.vllm_config.max_num_batched_tokens)]

    def is_complete(self) -> bool:
        """Whether every range is compiled or loaded."""
        return self.compiled.keys() >= set(self.all_ranges())

    def to_bytes(self) -> dict[str, bytes]:
        """The artifacts of the ranges compiled so far, by the text of the range. Callables that
        cannot be saved, such as the graph that the eager compiler returns, are left out.
        """
        artifacts = {}
        for compile_range, runnable in self.compiled.items():
            if (to_bytes := getattr(runnable, "to_bytes", None)) is None:
                continue
            try:
                artifacts[str(compile_range)] = to_bytes()
            except (OSError, RuntimeError) as error:
                logger.warning(
                    "The artifact of piece %d for %s cannot be kept: %s",
                    self.piecewise_compile_index,
                    compile_range,
                    error,
                )
        return artifacts

    def from_bytes(self, artifacts: Mapping[str, bytes]) -> None:
        """Load the artifacts from ``to_bytes`` instead of compiling.

        Ranges that this configuration does not have are ignored. Raises the compiler's exception
        for an artifact that it cannot load.
        """
        compiler = self.vllm_backend.compiler_manager.compiler
        for compile_range in self.all_ranges():
            if (data := artifacts.get(str(compile_range))) is None:
                continue
            with self.vllm_backend.compiling, self._tracing(), self._compile_context(compile_range):
                self.compiled[compile_range] = compiler.from_bytes(
                    data, self.graph, self._traced_inputs(), compile_range
                )
            index = self.piecewise_compile_index
            events.emit(events.CacheHit(index, compile_range, compiler.name))

    def _find(self, size: int, args: tuple[Any, ...]) -> Callable[..., Any]:
        # Two threads may arrive at once. A thread waits only for a compile, never for a call.
        with self.vllm_backend.compiling:
            runnable = self._by_size[size] = plain_function(self._runnable_for(size, args))
        return runnable

    def _runnable_for(self, size: int, args: tuple[Any, ...]) -> Callable[..., Any]:
        compile_range = self.ranges.find(size) if self.sym_shape_indices else self.all_ranges()[0]
        if compile_range not in self.compiled:
            _refuse_in_a_capture(self.piecewise_compile_index, compile_range)
            self.compiled[compile_range] = self._compile(compile_range, args)
            self.vllm_backend.piece_compiled(self)
        return self.compiled[compile_range]

    def _traced_inputs(self) -> list[Any]:
        return [value_of(node) for node in self.graph.graph.find_nodes(op="placeholder")]

    def _tracing(self) -> AbstractContextManager[Any]:
        return tracing(TracingContext(self.vllm_backend.fake_mode))

    def _compile_context(self, compile_range: Range) -> AbstractContextManager[None]:
        return self.vllm_backend.compiler_manager.compile_context(
            compile_range, self.vllm_backend.inductor_config
        )

    def _compile(self, compile_range: Range, args: tuple[Any, ...]) -> Callable[..., Any]:
        # A range is compiled for the symbols of the trace. A single size is compiled for the
        # current shapes and strides, unless other sizes may occur with that batch size.
        inputs = self._traced_inputs()
        if compile_range.is_single_size() and len(all_symbols(inputs)) == 1:
            inputs = list(args)
        with self._tracing():
            return self.vllm_backend.compiler_manager.compile(
                self.graph,
                inputs,
                self.vllm_backend.inductor_config,
                self.vllm_config.compilation_config,
                compile_range,
                self.piecewise_compile_index,
                self.total_piecewise_compiles,
            )

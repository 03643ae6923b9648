"""``PiecewiseCompileInterpreter``: walk the split graph and put a backend into each piece."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from ..config.vllm_config import VllmConfig
from ..cudagraph.wrapper import wrap_with_cudagraph_if_needed
from ..tracing.symbols import plain_symbol
from ..tracing.values import UNKNOWN, value_of
from .installed import install
from .piecewise_backend import Owner, PiecewiseBackend


def _batch_symbol(args: tuple[Any, ...]) -> Any:
    """The symbol of the batch size: the first symbol in the shape of an argument of the graph.

    A number among the arguments is the batch size only if no shape has a symbol.
    """
    sizes = [size for arg in args if isinstance(arg, torch.Tensor) for size in arg.shape]
    for value in (*sizes, *args):
        if (symbol := plain_symbol(value)) is not None:
            return symbol
    return None


def _traced_mode(args: tuple[Any, ...]) -> FakeTensorMode | None:
    """The fake mode of the values in the graph.

    Dynamo calls a backend in another mode with the same symbols, and values of two modes do not
    mix.
    """
    return next((arg.fake_mode for arg in args if isinstance(arg, FakeTensor)), None)


def _traced_outputs(module: fx.GraphModule) -> Any:
    """The traced outputs of the piece, or UNKNOWN."""
    output = module.graph.output_node().args[0]
    values = [value_of(node) for node in module.graph.output_node().all_input_nodes]
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    return fx.node.map_arg(output, value_of)


class PiecewiseCompileInterpreter(fx.Interpreter):
    """Replace every piece in ``compile_submod_names`` by a :class:`PiecewiseBackend`.

    The interpreter uses the traced values in the graph, because running the ops again would create
    new symbols for data-dependent shapes, and new guards. Only nodes without a traced value are
    run, on fake tensors. The order of ``compile_submod_names`` numbers the pieces. After the run,
    ``fake_mode`` is the mode of the traced values. Seed: ``PiecewiseCompileInterpreter``.
    """

    def __init__(
        self,
        module: fx.GraphModule,
        compile_submod_names: list[str],
        vllm_config: VllmConfig,
        vllm_backend: Owner,
    ) -> None:
        super().__init__(module)
        self.compile_submod_names = compile_submod_names
        self.vllm_config = vllm_config
        self.compilation_config = vllm_config.compilation_config
        self.vllm_backend = vllm_backend
        self.extra_traceback = False  # errors do not print the whole graph
        self.fake_mode: FakeTensorMode | None = None
        self.batch_symbol: Any = None

    def run(self, *args: Any) -> Any:  # type: ignore[override]  # the seed's signature
        """Walk the graph with its traced inputs ``args``, and return its fake outputs."""
        self.fake_mode = _traced_mode(args) or detect_fake_mode() or FakeTensorMode()
        fake_args = [
            # a tensor that is not fake here is a constant of the graph: its shape has no symbol
            self.fake_mode.from_tensor(arg, static_shapes=True)
            if isinstance(arg, torch.Tensor) and not isinstance(arg, FakeTensor)
            else arg
            for arg in args
        ]
        self.batch_symbol = _batch_symbol(tuple(fake_args))
        with self.fake_mode, enable_python_dispatcher():
            return super().run(*fake_args)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the piece's outputs, and replace the piece if it is to be compiled."""
        piece = self.fetch_attr(target)
        outputs = _traced_outputs(piece)
        if outputs is UNKNOWN:
            outputs = super().call_module(target, args, kwargs)
        if target in self.compile_submod_names:
            index = self.compile_submod_names.index(target)
            backend = PiecewiseBackend(
                piece,
                self.vllm_config,
                index,
                len(self.compile_submod_names),
                # neither a derived size nor another symbol chooses the artifact
                [i for i, arg in enumerate(args) if self._is_batch_size(arg)],
                self.vllm_backend,
                isinstance(piece.graph.output_node().args[0], (tuple, list)),
            )
            wrapped = wrap_with_cudagraph_if_needed(
                backend,
                self.vllm_config,
                self.compilation_config,
                backend.is_first_graph,
                backend.is_last_graph,
            )
            install(self.module, target, wrapped)
        return outputs

    def _is_batch_size(self, value: Any) -> bool:
        symbol = plain_symbol(value)
        return symbol is not None and symbol == self.batch_symbol

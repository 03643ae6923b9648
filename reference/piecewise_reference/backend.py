"""``VllmBackend``: the object to pass to ``torch.compile(backend=...)``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode

from . import env, events
from .cache import cache_dir
from .cache.manager import CompilerManager, is_compile_cache_enabled
from .completion import compilation_complete_callback
from .config.modes import CompilationMode, CUDAGraphMode
from .config.vllm_config import VllmConfig, own_settings
from .cudagraph.static_inputs import make_copy_and_call
from .fastpath.direct_call import direct_call
from .hashing import NoKeyError
from .model_tag import current_model_tag
from .pieces.installed import installed
from .pieces.interpreter import PiecewiseCompileInterpreter
from .pieces.piecewise_backend import PiecewiseBackend
from .platforms import current_platform, resolve_qualified_name
from .serialization.artifacts import StandaloneCompiledArtifacts
from .serialization.function import VllmSerializableFunction
from .splitting.split import SplitItem, split_graph
from .splitting.splitting_ops import require_known_ops
from .tracing.compile_lock import compile_lock
from .tracing.dynamic_shapes import evaluates_guards, relax_lower_bounds
from .tracing.symbol_facts import symbol_facts
from .tracing.symbols import free_symbols
from .tracing.values import UNKNOWN, value_of

logger = logging.getLogger(__name__)


class VllmBackend:
    """Split the graph, and compile and cache the pieces between splitting ops.

    One instance serves one graph; a second call raises RuntimeError. ``prefix`` names this model's
    part of the cache; ``prefix`` and ``is_encoder`` default to those of the current model tag.
    After the call, ``split_gm`` is the split graph and ``piecewise_graphs`` lists its pieces.
    Seed: ``VllmBackend``.
    """

    graph: fx.GraphModule
    split_gm: fx.GraphModule
    piecewise_graphs: list[SplitItem]
    returned_callable: VllmSerializableFunction
    fake_mode: FakeTensorMode | None = None

    def __init__(self, vllm_config: VllmConfig, prefix: str = "", is_encoder: bool = False) -> None:
        self.vllm_config = vllm_config
        self.compilation_config = config = vllm_config.compilation_config
        if config.mode is not CompilationMode.VLLM_COMPILE:
            raise ValueError(
                f"VllmBackend serves mode VLLM_COMPILE, and the config says {config.mode.name}: "
                "set that mode, or give torch.compile another backend"
            )
        require_known_ops(config.splitting_ops)
        tag = current_model_tag()
        self.prefix = prefix or tag.tag
        self.is_encoder = is_encoder or tag.is_encoder
        self.compiler_manager = CompilerManager(config)
        # A copy, because a pass manager is added to it: the user's config must not change.
        self.inductor_config = own_settings(config.inductor_compile_config)
        platform = current_platform()
        self.pass_key = platform.pass_key
        self.pass_manager = resolve_qualified_name(platform.pass_manager_cls, "pass manager")()
        self.compiling = compile_lock()
        self._called = False
        self._on_complete: Callable[[], None] | None = None

    @property
    def post_grad_passes(self) -> Sequence[Callable[..., Any]]:
        """The passes that run on Inductor's graph, in order."""
        return list(self.pass_manager.passes)

    def configure_post_pass(self) -> None:
        """Install the pass manager at Inductor's hook, with the pass that the config has there.

        Raises ValueError if that is a pass manager, and TypeError if it is not a pass.
        """
        from .passes.inductor_pass import as_pass  # imports Inductor

        self.pass_manager.configure(self.vllm_config)
        if (own := self.compilation_config.inductor_compile_config.get(self.pass_key)) is not None:
            self.pass_manager.add(as_pass(own, f"inductor_compile_config[{self.pass_key!r}]"))
        self.inductor_config[self.pass_key] = self.pass_manager

    def __call__(
        self, graph: fx.GraphModule, example_inputs: Sequence[Any]
    ) -> VllmSerializableFunction:
        """Compile ``graph``. The callable has the inputs and outputs of the graph."""
        if self._called:
            raise RuntimeError(
                "VllmBackend can only be called once: a second graph reached it, which means that "
                "the model has a graph break or was recompiled for new guards. Compile with "
                "fullgraph=True to see where it breaks, or give each graph a backend of its own"
            )
        self.graph = graph
        self._on_complete = compilation_complete_callback()
        folder = self._open_cache()
        self.configure_post_pass()
        config = self.compilation_config
        # Either Inductor partitions at the splitting ops, or the graph is split here.
        splitting_ops = [] if config.use_inductor_graph_partition else config.splitting_ops
        self.split_gm, self.piecewise_graphs = split_graph(graph, splitting_ops)
        splitting = sum(item.is_splitting_graph for item in self.piecewise_graphs)
        events.emit(events.Split(len(self.piecewise_graphs), splitting))

        inputs = self._traced_inputs(example_inputs)
        names = [item.submod_name for item in self.piecewise_graphs if not item.is_splitting_graph]
        interpreter = PiecewiseCompileInterpreter(self.split_gm, names, self.vllm_config, self)
        interpreter.run(*inputs)
        self.fake_mode = interpreter.fake_mode  # pieces compile in this context later
        shape_env = self.fake_mode.shape_env if self.fake_mode is not None else None
        if evaluates_guards(config.dynamic_shapes_config) and shape_env is not None:
            relax_lower_bounds(shape_env)
        self.compiler_manager.symbol_facts = symbol_facts(shape_env)
        if folder is not None:
            cache_dir.write_graph(folder, self.split_gm)
        self._called = True
        self.returned_callable = self._function(inputs)
        self._complete_if_all_compiled()  # there may be nothing to compile
        return self.returned_callable

    def _function(self, inputs: list[Any]) -> VllmSerializableFunction:
        call_pieces = direct_call(self.split_gm)
        call: Callable[..., Any] = call_pieces
        symbolic: list[int] | None = None
        config = self.compilation_config
        if config.cudagraph_mode is not CUDAGraphMode.NONE and config.cudagraph_copy_inputs:
            # Weights and other static inputs have no symbol in their shape and are not copied.
            symbolic = [
                index
                for index, value in enumerate(inputs)
                if isinstance(value, torch.Tensor) and free_symbols(value)
            ]
            call = make_copy_and_call(symbolic, [None] * len(symbolic), call_pieces)
        return VllmSerializableFunction(
            self.graph, inputs, self.prefix, call, self.is_encoder, self, symbolic
        )

    def factors(self) -> cache_dir.Factors:
        """Everything except the graph that compiled code depends on."""
        compiler_hash = self.compiler_manager.compute_hash(self.vllm_config)
        return cache_dir.gather(self.vllm_config, compiler_hash)

    def _open_cache(self) -> str | None:
        """Open the cache in its folder and return the folder; None without a cache."""
        manager = self.compiler_manager
        if (found := self._find_cache()) is None:
            manager.initialize_cache("", disable_cache=True, prefix=self.prefix)
            return None
        folder, factors = found
        manager.factors = factors.folder_name()
        self.compilation_config.local_cache_dir = folder
        manager.initialize_cache(folder, prefix=self.prefix)
        cache_dir.write_factors(folder, factors)
        return folder

    def _find_cache(self) -> tuple[str, cache_dir.Factors] | None:
        """The cache folder and the factors of its name; None if caching is off or impossible."""
        if not is_compile_cache_enabled(self.inductor_config):
            return None
        try:
            factors = self.factors()
            return cache_dir.create(self.vllm_config, factors, self.prefix), factors
        except NoKeyError as error:
            logger.warning("No compile cache: %s", error)
        except OSError as error:
            logger.warning("No compile cache: its folder cannot be made (%s)", error)
        return None

    def _traced_inputs(self, example_inputs: Sequence[Any]) -> list[Any]:
        """The inputs as in the trace: tensors are fake and have the symbols of the trace."""
        placeholders = self.graph.graph.find_nodes(op="placeholder")
        return [
            example if (value := value_of(node)) is UNKNOWN else value
            for node, example in zip(placeholders, example_inputs, strict=True)
        ]

    def compiled_pieces(self) -> Iterator[tuple[str, PiecewiseBackend]]:
        """The compiled pieces, with their names in the split graph."""
        for item in self.piecewise_graphs:
            piece = installed(self.split_gm, item.submod_name)
            piece = getattr(piece, "runnable", piece)  # unwrap the static-graph wrapper
            if isinstance(piece, PiecewiseBackend):
                yield item.submod_name, piece

    def piece_compiled(self, piece: PiecewiseBackend) -> None:
        """Called by a piece after one more of its ranges was compiled or loaded."""
        self.compiler_manager.save_to_file()
        self._complete_if_all_compiled()

    def _complete_if_all_compiled(self) -> None:
        if not self._called:
            return  # some pieces are not compiled yet
        if self._on_complete is not None and all(
            piece.is_complete() for _, piece in self.compiled_pieces()
        ):
            callback, self._on_complete = self._on_complete, None  # once, also if it raises
            callback()

    def collect_standalone_compile_artifacts(
        self,
    ) -> tuple[
        StandaloneCompiledArtifacts | None, dict[str, list[int]] | None, dict[str, bool] | None
    ]:
        """Return the artifacts of all pieces, and for each piece which inputs are the batch size
        and whether it returns a tuple. All three are None unless VLLM_USE_MEGA_AOT_ARTIFACT.
        """
        if not env.USE_MEGA_AOT_ARTIFACT.enabled():
            return None, None, None
        artifacts = StandaloneCompiledArtifacts()
        sym_shape_indices, returns_tuple = {}, {}
        for name, piece in self.compiled_pieces():
            sym_shape_indices[name] = piece.sym_shape_indices
            returns_tuple[name] = piece.returns_tuple
            for range_text, data in piece.to_bytes().items():
                artifacts.insert(name, range_text, data)
        return artifacts, sym_shape_indices, returns_tuple

    def take_artifacts(self, artifacts: StandaloneCompiledArtifacts) -> None:
        """Give the pieces the artifacts that a backend for the same graph collected."""
        for name, piece in self.compiled_pieces():
            piece.from_bytes(artifacts.of_piece(name))
        self._complete_if_all_compiled()

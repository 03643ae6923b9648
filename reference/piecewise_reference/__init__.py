"""A readable reference for piecewise ``torch.compile`` backends.

Read the modules and folders in this order; docs/architecture.md lists every module in it:
``ranges``, ``config``, ``tracing``, ``splitting``, ``pieces``, ``cache``, ``compilers``,
``passes``, ``backend``, ``cudagraph``, ``serialization``, ``saving``, ``hashing``, ``env``,
``platforms``, ``model_tag``, ``completion``, ``events``, ``counters``. The folder ``fastpath`` has
optimizations that are not needed to understand the algorithm: read it last.
"""

from .backend import VllmBackend
from .cache.manager import CompilerManager
from .compilers.eager import EagerAdaptor
from .compilers.factory import make_compiler
from .compilers.inductor.pass_manager import PostGradPassManager
from .compilers.interface import CompilerInterface
from .completion import set_on_compilation_complete
from .config.modes import CompilationMode, CUDAGraphMode, DynamicShapesType
from .config.vllm_config import (
    CompilationConfig,
    DynamicShapesConfig,
    ParallelConfig,
    PassConfig,
    VllmConfig,
)
from .counters import compilation_counter
from .cudagraph.forward_context import (
    BatchDescriptor,
    ForwardContext,
    get_forward_context,
    set_forward_context,
)
from .cudagraph.static_inputs import make_copy_and_call
from .cudagraph.wrapper import CUDAGraphOptions, CUDAGraphWrapper, wrap_with_cudagraph_if_needed
from .events import record_events
from .model_tag import current_model_tag, set_model_tag
from .passes.inductor_pass import InductorPass
from .passes.pass_context import get_pass_context, pass_context
from .pieces.interpreter import PiecewiseCompileInterpreter
from .pieces.piecewise_backend import PiecewiseBackend
from .platforms import Platform, current_platform, use_platform
from .ranges import CompileRanges, Range
from .saving import (
    deserialize_compile_artifacts,
    load_function,
    save_function,
    serialize_compile_artifacts,
)
from .serialization.artifacts import StandaloneCompiledArtifacts
from .serialization.function import VllmSerializableFunction
from .splitting.split import SplitItem, split_graph
from .splitting.splitting_ops import should_split
from .tracing.dynamic_shapes import guard_filter, mark_batch_dimension, tracing_shapes

__all__ = [
    "BatchDescriptor",
    "CUDAGraphMode",
    "CUDAGraphOptions",
    "CUDAGraphWrapper",
    "CompilationConfig",
    "CompilationMode",
    "CompileRanges",
    "CompilerInterface",
    "CompilerManager",
    "DynamicShapesConfig",
    "DynamicShapesType",
    "EagerAdaptor",
    "ForwardContext",
    "InductorPass",
    "ParallelConfig",
    "PassConfig",
    "PiecewiseBackend",
    "PiecewiseCompileInterpreter",
    "Platform",
    "PostGradPassManager",
    "Range",
    "SplitItem",
    "StandaloneCompiledArtifacts",
    "VllmBackend",
    "VllmConfig",
    "VllmSerializableFunction",
    "compilation_counter",
    "current_model_tag",
    "current_platform",
    "deserialize_compile_artifacts",
    "get_forward_context",
    "get_pass_context",
    "guard_filter",
    "load_function",
    "make_compiler",
    "make_copy_and_call",
    "mark_batch_dimension",
    "pass_context",
    "record_events",
    "save_function",
    "serialize_compile_artifacts",
    "set_forward_context",
    "set_model_tag",
    "set_on_compilation_complete",
    "should_split",
    "split_graph",
    "tracing_shapes",
    "use_platform",
    "wrap_with_cudagraph_if_needed",
]

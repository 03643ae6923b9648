"""A readable reference for piecewise ``torch.compile`` backends.

Read in this order: ``ranges``, ``config``, ``plan``, ``values``, ``stitching``, ``splitting``,
``manager``, ``piecewise_backend``, ``interpreter``, ``backend``.
"""

from .artifacts import StandaloneCompiledArtifacts
from .backend import VllmBackend
from .compile_scope import get_pass_context, pass_context
from .compiler_interface import CompilerInterface
from .compilers import EagerAdaptor, make_compiler
from .config import CompilationConfig, DynamicShapesConfig, ParallelConfig, PassConfig, VllmConfig
from .contexts import current_model_tag, set_model_tag, set_on_compilation_complete
from .copying import make_copy_and_call
from .counters import compilation_counter
from .dynamic_shapes import guard_filter, mark_batch_dimension, tracing_shapes
from .events import record_events
from .forward_context import (
    BatchDescriptor,
    ForwardContext,
    get_forward_context,
    set_forward_context,
)
from .interpreter import PiecewiseCompileInterpreter
from .manager import CompilerManager
from .matching import should_split
from .modes import CompilationMode, CUDAGraphMode, DynamicShapesType
from .passes import InductorPass, PostGradPassManager
from .piecewise_backend import PiecewiseBackend
from .platforms import Platform, current_platform, use_platform
from .ranges import CompileRanges, Range
from .serialization import VllmSerializableFunction, load_function, save_function
from .splitting import SplitItem, split_graph
from .static_graph import CUDAGraphOptions, CUDAGraphWrapper, wrap_with_cudagraph_if_needed

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
    "set_forward_context",
    "set_model_tag",
    "set_on_compilation_complete",
    "should_split",
    "split_graph",
    "tracing_shapes",
    "use_platform",
    "wrap_with_cudagraph_if_needed",
]

"""A readable reference for piecewise ``torch.compile`` backends.

Read in this order: ``ranges``, ``config``, ``plan``, ``values``, ``stitching``, ``splitting``,
``manager``, ``piecewise_backend``, ``interpreter``, ``backend``.
"""

from .backend import VllmBackend
from .compiler_interface import CompilerInterface
from .compilers import EagerAdaptor, make_compiler
from .config import CompilationConfig, ParallelConfig, VllmConfig
from .copying import make_copy_and_call
from .events import record_events
from .interpreter import PiecewiseCompileInterpreter
from .manager import CompilerManager
from .matching import should_split
from .piecewise_backend import PiecewiseBackend
from .ranges import CompileRanges, Range
from .splitting import SplitItem, split_graph

__all__ = [
    "CompilationConfig",
    "CompileRanges",
    "CompilerInterface",
    "CompilerManager",
    "EagerAdaptor",
    "ParallelConfig",
    "PiecewiseBackend",
    "PiecewiseCompileInterpreter",
    "Range",
    "SplitItem",
    "VllmBackend",
    "VllmConfig",
    "make_compiler",
    "make_copy_and_call",
    "record_events",
    "should_split",
    "split_graph",
]

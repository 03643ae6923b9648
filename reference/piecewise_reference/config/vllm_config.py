"""The configuration of the backend.

Fields that can change compiled code are part of ``compute_hash()``. All others are marked with
``_NOT_HASHED``, so that changing them keeps the cache valid. A config is validated when it is
created.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from ..hashing import digest
from ..ranges import CompileRanges
from .modes import CompilationMode, CUDAGraphMode, DynamicShapesType

_NOT_HASHED = {"hashed": False}
_SAVE_FORMATS = ("binary", "unpacked")
_Choice = TypeVar("_Choice", bound=Enum)


def _hash_of(config: Any) -> str:
    """Hash of the fields of a config dataclass that can change compiled code."""
    return digest(
        {
            each.name: getattr(config, each.name)
            for each in fields(config)
            if each.metadata.get("hashed", True)
        }
    )


def _choice(name: str, value: Any, choices: type[_Choice]) -> _Choice:
    """``value`` as a member of ``choices``; it may be a name in upper or lower case."""
    if isinstance(value, choices):
        return value
    if isinstance(value, str) and value.upper() in choices.__members__:
        return choices[value.upper()]
    raise ValueError(f"{name} is {value!r}: use one of {', '.join(choices.__members__)}")


def own_settings(value: Any) -> Any:
    """Copy the dicts, lists, sets and tuples in ``value``, but not the objects in them.

    A pass may hold a lock, which cannot be copied, and a user may read the state of a pass.
    """
    if type(value) is dict:
        return {key: own_settings(item) for key, item in value.items()}
    if type(value) in (list, set, tuple):
        return type(value)(own_settings(item) for item in value)
    return value


@dataclass
class PassConfig:
    """Which of the backend's own passes run on Inductor's graph."""

    eliminate_noops: bool = True


@dataclass
class DynamicShapesConfig:
    """How the batch dimension is traced, and whether the resulting guards are checked."""

    type: DynamicShapesType = DynamicShapesType.BACKED
    evaluate_guards: bool = False

    def __post_init__(self) -> None:
        self.type = _choice("dynamic_shapes_config.type", self.type, DynamicShapesType)
        if self.evaluate_guards and self.type is DynamicShapesType.UNBACKED:
            raise ValueError(
                "dynamic_shapes_config.evaluate_guards asks for guards, and type UNBACKED has "
                "none: use BACKED, or leave evaluate_guards off"
            )


@dataclass
class CompilationConfig:
    """How graphs are split, compiled and cached.

    ``backend`` is ``"eager"``, ``"inductor"``, or the qualified name of a class with the interface
    :class:`~piecewise_reference.compilers.interface.CompilerInterface`. ``splitting_ops`` are
    qualified op names. ``compile_sizes``, ``compile_ranges_endpoints`` and
    ``cudagraph_capture_sizes`` are in tokens. ``cudagraph_copy_inputs`` copies inputs of symbolic
    shape into static buffers before each call. With ``use_inductor_graph_partition`` the graph is
    compiled as a whole, and Inductor partitions it at the splitting ops. ``cache_dir``
    replaces the folder that is named after everything the code depends on. ``traced_files`` are
    the source files that the compiled code depends on.
    """

    mode: CompilationMode = CompilationMode.VLLM_COMPILE
    backend: str = "inductor"
    splitting_ops: list[str] = field(default_factory=list)
    use_inductor_graph_partition: bool = False
    inductor_compile_config: dict[str, Any] = field(default_factory=dict)
    pass_config: PassConfig = field(default_factory=PassConfig)
    dynamic_shapes_config: DynamicShapesConfig = field(default_factory=DynamicShapesConfig)
    # Ranges and sizes are part of every entry's key, so they need not be part of the hash.
    compile_sizes: list[int] = field(default_factory=list, metadata=_NOT_HASHED)
    compile_ranges_endpoints: list[int] = field(default_factory=list, metadata=_NOT_HASHED)
    # Capturing does not change compiled code.
    cudagraph_mode: CUDAGraphMode = field(default=CUDAGraphMode.NONE, metadata=_NOT_HASHED)
    cudagraph_capture_sizes: list[int] = field(default_factory=list, metadata=_NOT_HASHED)
    cudagraph_copy_inputs: bool = field(default=False, metadata=_NOT_HASHED)
    compile_cache_save_format: str = field(default="binary", metadata=_NOT_HASHED)
    cache_dir: str = field(default="", metadata=_NOT_HASHED)
    traced_files: set[str] = field(default_factory=set, metadata=_NOT_HASHED)  # hashed by content
    # Set by the backend: its cache folder, and the seconds spent compiling.
    local_cache_dir: str = field(default="", metadata=_NOT_HASHED)
    compilation_time: float = field(default=0.0, metadata=_NOT_HASHED)

    def __post_init__(self) -> None:
        self.mode = _choice("mode", self.mode, CompilationMode)
        self.cudagraph_mode = _choice("cudagraph_mode", self.cudagraph_mode, CUDAGraphMode)
        self._check_backend()
        self._check_splitting_ops()
        self._check_cudagraphs()
        self._check_passes()
        if self.compile_cache_save_format not in _SAVE_FORMATS:
            raise ValueError(
                f"compile_cache_save_format is {self.compile_cache_save_format!r}: "
                f"use one of {', '.join(_SAVE_FORMATS)}"
            )

    def _check_backend(self) -> None:
        if self.backend not in ("eager", "inductor") and "." not in self.backend:
            raise ValueError(
                f'backend is {self.backend!r}: use "eager", "inductor", or the qualified name '
                "package.module.Class of a compiler"
            )
        if self.use_inductor_graph_partition and self.backend != "inductor":
            raise ValueError(
                f"use_inductor_graph_partition needs backend='inductor', not {self.backend!r}"
            )

    def _check_splitting_ops(self) -> None:
        if isinstance(self.splitting_ops, str):
            raise TypeError(f"splitting_ops must be a list of names, got {self.splitting_ops!r}")
        for name in self.splitting_ops:
            if "::" not in name and not name.isidentifier():
                raise ValueError(f"splitting op {name!r} is no qualified name such as ns::op")

    def _check_cudagraphs(self) -> None:
        if self.cudagraph_mode.has_piecewise_cudagraphs() and not self.splitting_ops:
            raise ValueError(
                f"cudagraph_mode={self.cudagraph_mode.name} captures the pieces between "
                "splitting_ops, and there are none: name the ops that must not be captured, or "
                "use FULL"
            )
        if self.cudagraph_copy_inputs and self.cudagraph_mode is CUDAGraphMode.NONE:
            raise ValueError(
                "cudagraph_copy_inputs copies inputs to where a captured graph reads them, and "
                "cudagraph_mode is NONE: set a mode, or leave cudagraph_copy_inputs off"
            )
        if wrong := [size for size in self.cudagraph_capture_sizes if size < 1]:
            raise ValueError(f"cudagraph_capture_sizes has {wrong[0]}: sizes are at least 1")

    def _check_passes(self) -> None:
        """Turn functions at a hook for passes into passes, in a copy of the user's dict."""
        settings = self.inductor_compile_config
        if hooks := [key for key in settings if key.endswith("_grad_custom_post_pass")]:
            # imports Inductor, which a config without passes need not
            from ..passes.inductor_pass import as_pass

            self.inductor_compile_config = dict(settings) | {
                key: as_pass(settings[key], f"inductor_compile_config[{key!r}]") for key in hooks
            }

    def compute_hash(self) -> str:
        """Hash of every field that can change compiled code, and of no other."""
        return _hash_of(self)


@dataclass(frozen=True)
class ParallelConfig:
    """The ranks of this process, which are part of the cache folder's name."""

    rank: int = 0
    data_parallel_index: int = 0


@dataclass
class VllmConfig:
    """The whole configuration of a backend.

    ``max_num_batched_tokens`` is the largest batch size, in tokens.
    """

    compilation_config: CompilationConfig = field(default_factory=CompilationConfig)
    parallel_config: ParallelConfig = field(default_factory=ParallelConfig)
    max_num_batched_tokens: int = 8192

    def __post_init__(self) -> None:
        self.compile_ranges()  # reports a contradiction now, not at the first batch
        largest = max(self.compilation_config.cudagraph_capture_sizes, default=0)
        if largest > self.max_num_batched_tokens:
            raise ValueError(
                f"cudagraph_capture_sizes has {largest}, beyond max_num_batched_tokens="
                f"{self.max_num_batched_tokens}: drop it or raise the maximum"
            )

    def compile_ranges(self) -> CompileRanges:
        """The ranges that partition ``[1, max_num_batched_tokens]``, with the single sizes."""
        config = self.compilation_config
        return CompileRanges(
            self.max_num_batched_tokens, config.compile_ranges_endpoints, config.compile_sizes
        )

    def compute_hash(self) -> str:
        """Hash of all fields that can change compiled code."""
        return self.compilation_config.compute_hash()

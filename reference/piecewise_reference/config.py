"""What a user tells the backend.

A field that can change compiled code is part of ``compute_hash()``; one that cannot says so with
``_NOT_HASHED``, so that changing it keeps the cache. Everything is checked when it is given.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from .hashing import digest
from .ranges import CompileRanges

_NOT_HASHED = {"hashed": False}
_SAVE_FORMATS = ("binary", "unpacked")


def _hash_of(config: Any) -> str:
    """Hash of the fields of a config dataclass that can change compiled code."""
    return digest(
        {
            each.name: getattr(config, each.name)
            for each in fields(config)
            if each.metadata.get("hashed", True)
        }
    )


@dataclass
class CompilationConfig:
    """How graphs are split, compiled and cached.

    ``backend`` is ``"eager"``, ``"inductor"``, or the qualified name of a class with the
    interface of :class:`~piecewise_reference.compilers.CompilerInterface`. ``splitting_ops`` are
    qualified op names. ``compile_sizes`` and ``compile_ranges_endpoints`` are in tokens.
    ``cudagraph_copy_inputs`` copies inputs of symbolic shape into static buffers before each
    call. ``traced_files`` are the source files whose text the compiled code depends on.
    """

    backend: str = "inductor"
    splitting_ops: list[str] = field(default_factory=list)
    inductor_compile_config: dict[str, Any] = field(default_factory=dict)
    # Ranges and sizes are part of every entry's key, so they need not be part of the hash.
    compile_sizes: list[int] = field(default_factory=list, metadata=_NOT_HASHED)
    compile_ranges_endpoints: list[int] = field(default_factory=list, metadata=_NOT_HASHED)
    cudagraph_copy_inputs: bool = field(default=False, metadata=_NOT_HASHED)
    compile_cache_save_format: str = field(default="binary", metadata=_NOT_HASHED)
    cache_dir: str = field(default="", metadata=_NOT_HASHED)
    traced_files: set[str] = field(default_factory=set, metadata=_NOT_HASHED)  # hashed by content
    # Written by the backend: where it keeps its cache, and seconds spent compiling.
    local_cache_dir: str = field(default="", metadata=_NOT_HASHED)
    compilation_time: float = field(default=0.0, metadata=_NOT_HASHED)

    def __post_init__(self) -> None:
        if not self.backend:
            raise ValueError('backend is empty: use "eager", "inductor" or a qualified name')
        if isinstance(self.splitting_ops, str):
            raise TypeError(f"splitting_ops must be a list of names, got {self.splitting_ops!r}")
        for name in self.splitting_ops:
            if "::" not in name and not name.isidentifier():
                raise ValueError(f"splitting op {name!r} is no qualified name such as ns::op")
        if self.compile_cache_save_format not in _SAVE_FORMATS:
            raise ValueError(
                f"compile_cache_save_format is {self.compile_cache_save_format!r}: "
                f"use one of {', '.join(_SAVE_FORMATS)}"
            )

    def compute_hash(self) -> str:
        """Hash of every field that can change compiled code, and of no other."""
        return _hash_of(self)


@dataclass(frozen=True)
class ParallelConfig:
    """A process's place among its peers; it names a folder of the cache."""

    rank: int = 0
    data_parallel_index: int = 0


@dataclass
class VllmConfig:
    """All that a backend is given. ``max_num_batched_tokens`` is the largest batch, in tokens."""

    compilation_config: CompilationConfig = field(default_factory=CompilationConfig)
    parallel_config: ParallelConfig = field(default_factory=ParallelConfig)
    max_num_batched_tokens: int = 8192

    def __post_init__(self) -> None:
        self.compile_ranges()  # a contradiction is told now, not at the first batch

    def compile_ranges(self) -> CompileRanges:
        """The ranges that partition ``[1, max_num_batched_tokens]``, with the single sizes."""
        config = self.compilation_config
        return CompileRanges(
            self.max_num_batched_tokens, config.compile_ranges_endpoints, config.compile_sizes
        )

    def compute_hash(self) -> str:
        """Hash of everything here that can change compiled code."""
        return self.compilation_config.compute_hash()

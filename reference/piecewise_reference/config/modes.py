"""The enums of a config: how to compile, what to capture, how to trace sizes."""

from __future__ import annotations

from enum import Enum


class CompilationMode(Enum):
    """How a model is compiled. :class:`~piecewise_reference.backend.VllmBackend` implements
    ``VLLM_COMPILE``.
    """

    NONE = 0
    STOCK_TORCH_COMPILE = 1
    DYNAMO_TRACE_ONCE = 2
    VLLM_COMPILE = 3


class CUDAGraphMode(Enum):
    """Whether CUDA graphs capture the pieces, the whole model, or nothing.

    A mode consists of two parts: one for batches that contain only decodes, and one for mixed
    batches. If they differ, the engine chooses by the kind of the batch. Seed context:
    *CUDAGraphMode*.
    """

    NONE = ("none", "none")
    PIECEWISE = ("piecewise", "piecewise")
    FULL = ("full", "full")
    FULL_DECODE_ONLY = ("full", "none")
    FULL_AND_PIECEWISE = ("full", "piecewise")

    def decode_mode(self) -> CUDAGraphMode:
        """The mode for a batch that contains only decodes: NONE, PIECEWISE or FULL."""
        return CUDAGraphMode[self.value[0].upper()]

    def mixed_mode(self) -> CUDAGraphMode:
        """The mode for a batch that contains a prefill: NONE, PIECEWISE or FULL."""
        return CUDAGraphMode[self.value[1].upper()]

    def separate_routine(self) -> bool:
        """Whether the two parts differ."""
        return self.value[0] != self.value[1]

    def has_piecewise_cudagraphs(self) -> bool:
        """Whether pieces are captured for some batches."""
        return "piecewise" in self.value

    def has_full_cudagraphs(self) -> bool:
        """Whether the whole model is captured for some batches."""
        return "full" in self.value

    def is_runtime_mode(self) -> bool:
        """Whether one batch can run in this mode, because both parts are equal."""
        return not self.separate_routine()


class DynamicShapesType(Enum):
    """How the batch dimension is traced.

    With BACKED the symbol has an example size. Code may branch on it, which adds guards. With
    UNBACKED it has none, and a branch is an error. BACKED_SIZE_OBLIVIOUS has an example size, but
    does not treat 0 and 1 as special.
    """

    BACKED = "backed"
    UNBACKED = "unbacked"
    BACKED_SIZE_OBLIVIOUS = "backed_size_oblivious"

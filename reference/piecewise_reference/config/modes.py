"""The choices that a config names: how to compile, what to capture, how sizes are traced."""

from __future__ import annotations

from enum import Enum


class CompilationMode(Enum):
    """What becomes of a model. :class:`~piecewise_reference.backend.VllmBackend` serves one."""

    NONE = 0
    STOCK_TORCH_COMPILE = 1
    DYNAMO_TRACE_ONCE = 2
    VLLM_COMPILE = 3


class CUDAGraphMode(Enum):
    """What is captured as a static graph: the pieces, the whole model, or neither.

    A mode has a part for batches of decodes alone and one for mixed batches; those two may
    differ, and then each batch is dispatched by its kind. Seed context: *CUDAGraphMode*.
    """

    NONE = ("none", "none")
    PIECEWISE = ("piecewise", "piecewise")
    FULL = ("full", "full")
    FULL_DECODE_ONLY = ("full", "none")
    FULL_AND_PIECEWISE = ("full", "piecewise")

    def decode_mode(self) -> CUDAGraphMode:
        """NONE, PIECEWISE or FULL: what serves a batch of decodes alone."""
        return CUDAGraphMode[self.value[0].upper()]

    def mixed_mode(self) -> CUDAGraphMode:
        """NONE, PIECEWISE or FULL: what serves a batch that holds a prefill."""
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
        """Whether one batch can run in this mode: it is not made of two."""
        return not self.separate_routine()


class DynamicShapesType(Enum):
    """How the batch dimension is traced.

    BACKED has an example size behind the symbol, and code may branch on it, which leaves guards.
    UNBACKED has none: a branch on it is an error. BACKED_SIZE_OBLIVIOUS has an example, but takes
    0 and 1 for sizes like any other.
    """

    BACKED = "backed"
    UNBACKED = "unbacked"
    BACKED_SIZE_OBLIVIOUS = "backed_size_oblivious"

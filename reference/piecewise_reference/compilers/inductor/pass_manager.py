"""``PostGradPassManager``: run passes after Inductor's own, as one pass at Inductor's hook."""

from __future__ import annotations

from typing import Any

from torch import fx

from ...config.vllm_config import VllmConfig
from ...hashing import digest
from ...passes.inductor_pass import InductorPass, PassManager
from ...passes.noop_elimination import NoOpEliminationPass
from ...passes.pass_context import current_pass_context
from ...ranges import Range


def _range_compiled() -> Range | None:
    context = current_pass_context()
    return None if context is None else context.compile_range


class PostGradPassManager(PassManager):
    """Runs the passes that the config asks for, then those that were added, in that order.

    Is itself a pass, which Inductor calls. Seed: ``PostGradPassManager``.
    """

    def __init__(self) -> None:
        self.passes: list[InductorPass] = []
        self._settings: Any = None

    def configure(self, vllm_config: VllmConfig) -> None:
        """Start over with the passes that ``vllm_config`` asks for."""
        self._settings = vllm_config.compilation_config.pass_config
        self.passes = [NoOpEliminationPass()] if self._settings.eliminate_noops else []

    def add(self, added: InductorPass) -> None:
        """Run ``added`` after those that there are; TypeError if it is no InductorPass."""
        if not isinstance(added, InductorPass):
            raise TypeError(f"{added!r} is no InductorPass: derive from it, and give it a uuid")
        self.passes.append(added)

    def __call__(self, graph: fx.Graph) -> None:
        """Run the passes that apply to the range that is being compiled."""
        for each in self._applicable():
            each(graph)

    def _applicable(self) -> list[InductorPass]:
        compile_range = _range_compiled()
        return [each for each in self.passes if each.is_applicable(compile_range)]

    def uuid(self) -> str | None:
        """Covers the passes in their order, their settings, and the range that is compiled. None if
        that of a pass is.
        """
        if any(each.uuid() is None for each in self.passes):
            return None
        compile_range = _range_compiled()
        covered = (compile_range.start, compile_range.end) if compile_range else ()
        return digest(self._settings, [each.uuid() for each in self.passes], covered)

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
    """Run the passes of the config, then the passes that were added.

    The manager is itself a pass, which Inductor calls. Seed: ``PostGradPassManager``.
    """

    def __init__(self) -> None:
        self.passes: list[InductorPass] = []
        self._settings: Any = None

    def configure(self, vllm_config: VllmConfig) -> None:
        """Replace all passes by those of ``vllm_config``."""
        self._settings = vllm_config.compilation_config.pass_config
        self.passes = [NoOpEliminationPass()] if self._settings.eliminate_noops else []

    def add(self, added: InductorPass) -> None:
        """Run ``added`` after the existing passes. TypeError if it is not an InductorPass."""
        if not isinstance(added, InductorPass):
            raise TypeError(f"{added!r} is no InductorPass: derive from it, and give it a uuid")
        self.passes.append(added)

    def __call__(self, graph: fx.Graph) -> None:
        """Run the passes that apply to the range being compiled."""
        for each in self._applicable():
            each(graph)

    def _applicable(self) -> list[InductorPass]:
        compile_range = _range_compiled()
        return [each for each in self.passes if each.is_applicable(compile_range)]

    def uuid(self) -> str | None:
        """An ID for the passes in their order, their settings, and the range being compiled. None
        if the uuid of any pass is None.
        """
        if any(each.uuid() is None for each in self.passes):
            return None
        compile_range = _range_compiled()
        covered = (compile_range.start, compile_range.end) if compile_range else ()
        return digest(self._settings, [each.uuid() for each in self.passes], covered)

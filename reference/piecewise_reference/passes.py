"""Passes over Inductor's graph, and the manager that runs them after Inductor's own.

What a pass does is part of what is compiled, so that every pass has a ``uuid``: another uuid is
another artifact.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import fx
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch.fx.experimental.symbolic_shapes import statically_known_true, sym_eq

from .compile_scope import current_pass_context
from .config import VllmConfig
from .hashing import digest, function_digest
from .ranges import Range


class InductorPass(CustomGraphPass):
    """A pass: called with the ``fx.Graph`` that Inductor is about to lower, changes it in place."""

    def uuid(self) -> str | None:
        """Another text for another behaviour; None if what it does is not to be cached. By default
        the source of the class: a pass whose behaviour depends on more than that adds it here.
        """
        return digest(type(self).__qualname__, _source_of(type(self)))

    def is_applicable(self, compile_range: Range | None) -> bool:
        """Whether the pass is to run on a graph compiled for ``compile_range``."""
        return True


@cache
def _source_of(kind: type) -> str:
    """Asked for each piece, and read from disk once."""
    return inspect.getsource(kind)


class CallableInductorPass(InductorPass):
    """A function as a pass; its source, and the values that it brings along, are its uuid, unless
    it is given one. TypeError for a value that no uuid can be made of.
    """

    def __init__(self, function: Callable[[fx.Graph], Any], uuid: str | None = None) -> None:
        self.function = function
        self._uuid = uuid or function_digest(function)

    def __call__(self, graph: fx.Graph) -> None:
        """Run the function."""
        self.function(graph)

    def uuid(self) -> str:
        """Of the function."""
        return self._uuid


class NoOpEliminationPass(InductorPass):
    """Drops views that change neither shape nor strides; they keep other patterns from matching."""

    _VIEWS = (
        torch.ops.aten.view.default,
        torch.ops.aten.reshape.default,
        torch.ops.aten.expand.default,
        torch.ops.aten.slice.Tensor,
    )

    def __call__(self, graph: fx.Graph) -> None:
        """Drop them, but for those that the graph returns: an output may have to be a view."""
        output = graph.output_node()
        for node in list(graph.nodes):
            if node.target in self._VIEWS and output not in node.users and _same_view(node):
                node.replace_all_uses_with(node.args[0])
                graph.erase_node(node)


def _same_view(node: fx.Node) -> bool:
    (source, *_) = node.all_input_nodes
    before, after = source.meta.get("val"), node.meta.get("val")
    if not isinstance(before, torch.Tensor) or not isinstance(after, torch.Tensor):
        return False
    return all(
        statically_known_true(sym_eq(first, second))
        for first, second in (
            (before.shape, after.shape),
            (before.stride(), after.stride()),
            (before.storage_offset(), after.storage_offset()),
        )
    )


def _range_compiled() -> Range | None:
    context = current_pass_context()
    return None if context is None else context.compile_range


class PostGradPassManager(CustomGraphPass):
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


def as_pass(value: Any, where: str) -> InductorPass:
    """``value`` from a config as a pass; a plain function is wrapped.

    Raises ValueError for a pass manager: the backend makes its own, and its uuid is known only
    while something is compiled. Raises TypeError for what is no pass.
    """
    if isinstance(value, PostGradPassManager):
        raise ValueError(
            f"{where} holds a PostGradPassManager, which cannot be kept in a config: the backend "
            "makes its own. Put in the pass to be added, or drop it"
        )
    if isinstance(value, InductorPass):
        return value
    if inspect.isfunction(value):
        return CallableInductorPass(value)
    raise TypeError(f"{where} holds {value!r}: use an InductorPass, or a function of an fx.Graph")

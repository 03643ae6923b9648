"""The compiler rung: a compiler alone, tested inside the reference's backend.

The author has a function ``(graph, example_inputs) -> callable`` or an object with the seed's
compiler interface; splitting, dispatch and the cache around it are the reference's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import piecewise_reference
from piecewise_reference import backend as reference_backend
from piecewise_reference import manager as reference_manager

from ..options import Options
from ..subject import Subject
from . import reference


class FunctionCompiler(piecewise_reference.CompilerInterface):
    """A function ``(graph, example_inputs) -> callable`` with the interface of a compiler."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", "function")

    def compute_hash(self, vllm_config: Any) -> str:
        """Nothing of a function's is cached, so nothing needs to be hashed."""
        return self.name

    def compile(
        self,
        graph: Any,
        example_inputs: list[Any],
        compiler_config: dict[str, Any],
        compile_range: Any,
        key: str | None = None,
    ) -> tuple[Any, Any]:
        """What the function returns, and no handle."""
        return self.function(graph, example_inputs), None


def make(found: Any, *, name: str, origin: str) -> Subject:
    """The subject that has ``found`` for its compiler."""
    has_interface = hasattr(found, "compile") and hasattr(found, "name")

    def new_compiler() -> Any:
        if not has_interface:
            return FunctionCompiler(found)
        return found() if inspect.isclass(found) else found

    base = reference.subject.surface

    def config_for(options: Options) -> Any:
        return base["make_config"](options.but(compiler="eager"))

    class Manager(reference_manager.CompilerManager):
        """The reference's manager around the author's compiler."""

        def __init__(self, compilation_config: Any) -> None:
            super().__init__(compilation_config)
            self.compiler = new_compiler()

    def make_backend(options: Options) -> Any:
        backend = reference_backend.VllmBackend(config_for(options), options.prefix)
        backend.compiler_manager = Manager(backend.compilation_config)

        def call(graph: Any, example_inputs: Any) -> Any:
            with reference.environment(piecewise_reference, options):
                return backend(graph, example_inputs)

        return call

    surface = {
        "Range": piecewise_reference.Range,
        "make_config": config_for,
        "make_compiler": lambda config: new_compiler(),
        "make_backend": make_backend,
        "record_events": piecewise_reference.record_events,
    }
    if has_interface:
        surface["CompilerManager"] = Manager
    abilities = frozenset({"splitting", "compile-ranges", "cache", "copy-inputs"})
    return Subject(name, origin, surface, abilities, adapter=__file__)

"""The compiler rung: a compiler alone, tested inside the reference's backend.

The author has a function ``(graph, example_inputs) -> callable`` or an object with the seed's
compiler interface; splitting, dispatch and the cache around it are the reference's.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import piecewise_reference
from piecewise_reference import backend as reference_backend
from piecewise_reference.cache import manager as reference_manager
from torch import fx

from ...core.options import Options
from ..subject import Subject
from . import reference

# The interface, and how it is called.
_INTERFACE = {
    "initialize_cache": ("cache_dir", "disable_cache", "prefix"),
    "compute_hash": ("vllm_config",),
    "compile": ("graph", "example_inputs", "compiler_config", "compile_range", "key"),
    "load": ("handle", "graph", "example_inputs", "graph_index", "compile_range"),
}


class FunctionCompiler(piecewise_reference.CompilerInterface):
    """A function ``(graph, example_inputs) -> callable`` with the interface of a compiler.

    It is called as ``torch.compile`` calls a backend: with a graph that returns a tuple, and that
    it may do with as it likes. A piece may return a bare value, and is compiled for more than one
    range (COMPILER-003), so that the function is given a copy, which returns a tuple.
    """

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

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
        own = fx.GraphModule(graph, copy.deepcopy(graph.graph))
        own.meta.update(graph.meta)
        output = own.graph.output_node()
        is_bare = not isinstance(output.args[0], (tuple, list))
        if is_bare:
            output.args = (output.args,)
            own.recompile()
        made = self.function(own, example_inputs)
        if not callable(made):
            raise TypeError(
                f"{self.name}(graph, example_inputs) returned {_kind(made)}, expected a "
                "callable with the arguments of the graph"
            )
        return (lambda *args: made(*args)[0]) if is_bare else made, None


class _Checked:
    """An author's compiler, whose answers are looked at before the reference takes them."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """What the compiler's returns: a callable and a handle."""
        answer = self.inner.compile(*args, **kwargs)
        if not (isinstance(answer, (tuple, list)) and len(answer) == 2 and callable(answer[0])):
            raise TypeError(
                f"compile() of the compiler {self.inner.name!r} returned {_kind(answer)}, "
                "expected (callable, handle); return None as handle if nothing can be cached"
            )
        return answer


def _kind(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        inside = ", ".join(type(each).__name__ for each in value)
        return f"a {type(value).__name__} of {inside or 'nothing'}"
    return "None" if value is None else f"a {type(value).__name__}"


def _require_interface(found: Any, origin: str) -> None:
    """Raise TypeError, with all that is wrong, unless ``found`` can be called as a compiler is."""
    wrong = [f"has no {name}()" for name in _INTERFACE if not hasattr(found, name)]
    is_class = inspect.isclass(found)
    computed = is_class and hasattr(found.name, "__get__")  # such as a property
    if not computed and not isinstance(found.name, str):
        wrong.append(f"has the name {found.name!r}, which is not a str")
    if is_class and not _takes(found, 0):
        wrong.append("is a class that needs arguments; pass an instance instead")
    for name, parameters in _INTERFACE.items():
        method, count = getattr(found, name, None), len(parameters)
        if method is None or _takes(method, count) or (is_class and _takes(method, count + 1)):
            continue
        wrong.append(f"cannot be called as {name}({', '.join(parameters)})")
    if wrong:
        raise TypeError(f"the compiler {origin} {'; it '.join(wrong)}")


def _takes(function: Any, count: int) -> bool:
    """Whether ``function`` can be called with ``count`` arguments, or does not tell."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # it is not written in Python
        return True
    return True


def make(found: Any, *, name: str, origin: str) -> Subject:
    """The subject that has ``found`` for its compiler; TypeError if it cannot be one."""
    has_interface = hasattr(found, "compile") and hasattr(found, "name")
    if has_interface:
        _require_interface(found, origin)

    def new_compiler() -> Any:
        if not has_interface:
            return FunctionCompiler(found)
        return found() if inspect.isclass(found) else found

    base = reference.subject.surface

    def config_for(options: Options) -> Any:
        if options.compiler != "own":
            raise NotImplementedError(
                f"the only compiler is {name}, and the test needs {options.compiler}"
            )
        return base["make_config"](options.but(compiler="eager"))

    class Manager(reference_manager.CompilerManager):
        """The reference's manager around the author's compiler."""

        def __init__(self, compilation_config: Any) -> None:
            super().__init__(compilation_config)
            self.compiler = _Checked(new_compiler())  # type: ignore[assignment]  # stands for it

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

"""The rungs: what an author has, turned into a subject."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..subject import ABILITIES, SURFACE, Subject


def from_object(found: Any, *, name: str, origin: str) -> Subject:
    """The subject that ``found`` is, has or describes; TypeError if it is nothing of the kind."""
    for each in (found, getattr(found, "subject", None)):
        if isinstance(each, Subject):
            return replace(each, origin=origin)  # by which a fresh process finds it again
    surface = {each: getattr(found, each) for each in SURFACE if hasattr(found, each)}
    if surface:
        declared = getattr(found, "ABILITIES", _usual_abilities(surface))
        if isinstance(declared, str):
            raise TypeError(
                f"ABILITIES of {origin} is the str {declared!r}; write a tuple: ({declared!r},)"
            )
        abilities = frozenset(declared)
        if unknown := abilities - set(ABILITIES):
            raise TypeError(
                f"ABILITIES of {origin} has unknown names {sorted(unknown)}; known are "
                f"{', '.join(ABILITIES)}"
            )
        return Subject(name, origin, surface, abilities, str(getattr(found, "__version__", "")))
    if _is_compiler(found):
        from . import compiler_rung  # imports torch, which other subjects need not wait for

        return compiler_rung.make(found, name=name, origin=origin)
    raise TypeError(
        f"{origin} is not a subject; pass a module or object with some of {', '.join(SURFACE)}, "
        "a function (graph, example_inputs) -> callable, or an object with compile() and name"
    )


def _usual_abilities(surface: Mapping[str, Any]) -> Sequence[str]:
    # With the seed's own VllmBackend comes all that the seed promises of it; of a make_backend
    # we know that it splits, and no more.
    return ABILITIES if "VllmBackend" in surface else ("splitting",)


def _is_compiler(found: Any) -> bool:
    if hasattr(found, "compile") and hasattr(found, "name"):
        return True
    if not callable(found):
        return False
    if inspect.isclass(found) and "__call__" not in dir(found):
        return False
    try:
        signature = inspect.signature(found)
        signature.bind(object(), object())  # the graph, the example inputs
    except (TypeError, ValueError):
        return False
    kinds = [each.kind for each in signature.parameters.values() if each.default is each.empty]
    # two and no less: a function of one that takes more is something else
    positional = sum(
        kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for kind in kinds
    )
    return positional == 2 or inspect.Parameter.VAR_POSITIONAL in kinds

"""What tracing knows about symbols: their bounds, and relations between them.

A compiler may rely on these facts. With at most 64 tokens it need not compute addresses in 64 bits,
and it need not check a known divisor of a size. Compiling adds more facts, so they are recorded
once, before the first piece is compiled, which gives the same text at every start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch.fx.experimental.symbolic_shapes import ShapeEnv


@dataclass(frozen=True)
class SymbolFacts:
    """``bounds`` maps each symbol to its range; ``relations`` are sympy expressions that hold."""

    bounds: Mapping[Any, Any] = field(default_factory=dict)
    relations: tuple[Any, ...] = ()

    def lines(self, names: Mapping[Any, str]) -> Iterable[str]:
        """The facts about the symbols in ``names`` only, with the names given there."""
        for symbol, name in names.items():
            if (known := self.bounds.get(symbol)) is not None:
                yield f"{name} from {known.lower} to {known.upper}"
        yield from sorted(
            str(relation.xreplace({each: type(each)(names[each]) for each in symbols}))
            for relation in self.relations
            if (symbols := relation.free_symbols) and symbols <= names.keys()
        )


def symbol_facts(shape_env: ShapeEnv | None) -> SymbolFacts:
    """The facts that are known now."""
    if shape_env is None:
        return SymbolFacts()
    checked = shape_env.deferred_runtime_asserts.values()
    relations = [guard.expr for guard in shape_env.guards]
    relations += [each.expr for found in checked for each in found]
    return SymbolFacts(dict(shape_env.var_to_range), tuple(relations))

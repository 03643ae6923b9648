"""Which symbols a value depends on, and where a piece can get them from.

A compiler can only use a symbol that reaches it as an argument of its own: ``f32[s0 + s1, 4]``
alone tells it neither ``s0`` nor ``s1``. So every symbol in the shape of an input of a piece
comes in as an input too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import fx

from .values import Leaf, value_of

SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


def scalars(value: Any) -> Iterator[Any]:
    """The scalars that describe ``value``: itself, or sizes, strides and offset of a tensor."""
    if isinstance(value, torch.Tensor):
        yield from value.shape
        if value.layout is torch.strided:
            yield from value.stride()
            yield value.storage_offset()
    else:
        yield value


def free_symbols(value: Any) -> set[Any]:
    """The sympy symbols in a SymInt, or in sizes, strides and offset of a tensor."""
    symbols: set[Any] = set()
    for scalar in scalars(value):
        if isinstance(scalar, SYMBOLIC):
            symbols |= scalar.node.expr.free_symbols
    return symbols


def all_symbols(values: Iterable[Any]) -> set[Any]:
    """The sympy symbols in any of ``values``."""
    return {symbol for value in values for symbol in free_symbols(value)}


def plain_symbol(value: Any) -> Any:
    """The symbol that ``value`` is, or None if it is a number or a derived size such as 2*s0."""
    if isinstance(value, SYMBOLIC):
        expr = value.node.expr
        return expr if expr.is_Symbol else None
    return None


def _leaves(value: Any, leaf: Leaf) -> Iterator[tuple[Any, Leaf]]:
    if isinstance(value, (tuple, list)):
        for i, item in enumerate(value):
            yield from _leaves(item, leaf._replace(path=(*leaf.path, i)))
    else:
        yield value, leaf


def symbol_sources(nodes: Iterable[fx.Node]) -> dict[Any, Leaf]:
    """For each symbol of a graph a leaf that is it, in the order of the graph.

    A number that is an input is best. Else it is the first leaf that has it, mostly a dimension of
    an input: a number that an op makes may come only after the piece that needs the symbol.
    """
    inputs: dict[Any, Leaf] = {}
    first: dict[Any, Leaf] = {}
    for node in nodes:
        for value, leaf in _leaves(value_of(node), Leaf(node)):
            if isinstance(value, torch.Tensor):
                for dim, size in enumerate(value.shape):
                    if type(size) is not int and (symbol := plain_symbol(size)) is not None:
                        first.setdefault(symbol, leaf._replace(dim=dim))
            elif (symbol := plain_symbol(value)) is not None:
                first.setdefault(symbol, leaf)
                if node.op == "placeholder":
                    inputs.setdefault(symbol, leaf)
    return {**first, **inputs}

"""The symbols that a value depends on, and where a piece can get them.

A compiler can use a symbol only if it is a separate argument: ``f32[s0 + s1, 4]`` determines
neither ``s0`` nor ``s1``. Every symbol in the shape of a piece's input is therefore an input of the
piece as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import fx

from .values import Leaf, value_of

SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


def scalars(value: Any) -> Iterator[Any]:
    """The scalars of ``value``: the value itself, or the sizes, strides and offset of a tensor."""
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
    """The symbol if ``value`` is one; None for a number or a derived size such as 2*s0."""
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
    """Map each symbol of a graph to a leaf with its value, in the order of the graph.

    An input that is the symbol itself is preferred. Otherwise it is the first leaf that has the
    symbol, usually a dimension of an input: an op may compute the number only after a piece needs
    it.
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

"""What is known about the values in a captured graph, and the leaves they consist of.

Dynamo records the traced value of each node in ``node.meta["example_value"]``: a fake tensor, a
SymInt, a plain Python value, or a tuple or list of those. Hand-made graphs may lack it; the op's
schema, or the name of the method, is enough then.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import torch
from torch import fx
from torch._ops import OpOverload, OpOverloadPacket

UNKNOWN = object()

_AGGREGATE_METHODS = frozenset({"split", "chunk", "unbind", "tensor_split", "split_with_sizes"})


class Leaf(NamedTuple):
    """One value that may cross between pieces: element ``path`` of what ``node`` returns.

    With ``dim`` it is the size of that tensor along ``dim``, for a symbol that no node of the graph
    returns.
    """

    node: fx.Node
    path: tuple[int | str, ...] = ()
    dim: int | None = None


def value_of(node: fx.Node) -> Any:
    """The traced value of a node, or UNKNOWN."""
    meta = node.meta
    return meta["example_value"] if "example_value" in meta else meta.get("val", UNKNOWN)


def leaf_value(leaf: Leaf) -> Any:
    """The traced value of a leaf, or UNKNOWN."""
    value = value_of(leaf.node)
    for index in leaf.path:
        if value is UNKNOWN:
            return UNKNOWN
        value = value[index]
    return value if leaf.dim is None or value is UNKNOWN else value.shape[leaf.dim]


def _schema_returns(target: object) -> int | None:
    """The number of values if an op returns several, -1 if it returns a list, else None."""
    if isinstance(target, OpOverloadPacket):
        target = getattr(target, target.overloads()[0])
    if not isinstance(target, OpOverload):
        return None
    returns = target._schema.returns
    if len(returns) > 1:
        return len(returns)
    return -1 if returns and isinstance(returns[0].type, torch.ListType) else None


def is_shape_read(node: fx.Node) -> bool:
    """Whether ``node`` reads the whole shape of a tensor, like ``x.size()`` or ``x.shape``."""
    if node.op == "call_method":
        return node.target == "size" and len(node.args) == 1 and not node.kwargs
    return node.op == "call_function" and node.target is getattr and node.args[1:] == ("shape",)


def is_aggregate(node: fx.Node) -> bool:
    """Whether ``node`` returns a tuple, a list, a dict or a ``torch.Size``."""
    value = value_of(node)
    if value is not UNKNOWN:
        return isinstance(value, (tuple, list, dict))
    if node.op == "placeholder":
        return str(node.target).startswith("*")  # *args or **kwargs
    if is_shape_read(node):
        return True
    if node.op == "call_method":
        return node.target in _AGGREGATE_METHODS
    if node.op != "call_function":
        return False
    return (
        _schema_returns(node.target) is not None
        or getattr(node.target, "__name__", "") in _AGGREGATE_METHODS
    )


def unpacks_aggregate(node: fx.Node) -> bool:
    """Whether ``node`` takes elements from a tuple or list, as opposed to a tensor."""
    if node.op != "call_function" or node.target is not operator.getitem:
        return False
    source, index = node.args
    if not isinstance(source, fx.Node) or not is_aggregate(source):
        return False
    # a slice of a list of unknown length has no known length either: it stays an op
    return isinstance(index, (int, str)) or (
        isinstance(index, slice) and value_of(node) is not UNKNOWN
    )


def _structure(value: Any, leaf: Leaf) -> Any:
    """Replace each tensor or symbol in ``value`` by a leaf; keep constants."""
    if isinstance(value, (tuple, list)):
        items = [
            _structure(item, leaf._replace(path=(*leaf.path, i))) for i, item in enumerate(value)
        ]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {
            key: _structure(item, leaf._replace(path=(*leaf.path, key)))
            for key, item in value.items()
        }
    if isinstance(value, (torch.Tensor, torch.SymInt, torch.SymFloat, torch.SymBool)):
        return leaf
    return value  # a constant of this graph


def resolve(node: fx.Node) -> Any:
    """Express the value of ``node`` in leaves: one leaf, or a tuple or list of leaves.

    A single leaf for an aggregate means that its length is unknown.
    """
    indices: list[int | str | slice] = []
    while unpacks_aggregate(node):
        indices.append(node.args[1])  # type: ignore[arg-type]  # checked there
        node = node.args[0]  # type: ignore[assignment]
    leaf, value = Leaf(node), value_of(node)
    while indices and isinstance(index := indices[-1], (int, str)):
        # walk down to one element before anything is built: unpacking n elements stays linear
        if value is not UNKNOWN:
            if isinstance(index, int):
                index = range(len(value))[index]  # -1 and the last are the same element
            value = value[index]
        leaf = leaf._replace(path=(*leaf.path, index))
        indices.pop()
    inside = leaf if value is UNKNOWN else _structure(value, leaf)
    if value is UNKNOWN and not leaf.path and (count := _returned_values(node)):
        inside = tuple(leaf._replace(path=(i,)) for i in range(count))
    for index in reversed(indices):
        inside = inside[index]
    return inside


def _returned_values(node: fx.Node) -> int:
    """The number of values that an op with several returns has by its schema, else 0."""
    returns = _schema_returns(node.target) if node.op == "call_function" else None
    return returns if returns is not None and returns > 1 else 0

"""Decide which nodes of a graph are splitting ops."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import fx
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket


def op_names(target: object) -> frozenset[str]:
    """All names by which a user may name the op ``target``; empty if it is not an op.

    The name of an op is its qualified name with or without overload: ``aten::add`` means every
    overload, ``aten::add.Tensor`` that one. A higher-order op is ``cond`` or
    ``higher_order::cond``.
    """
    if isinstance(target, OpOverload):
        packet = target._schema.name
        return frozenset({packet, f"{packet}.{target._overloadname}"})
    if isinstance(target, OpOverloadPacket):
        packet = target._qualified_op_name
        names = {packet}
        # The overload that a packet calls is unknown until it runs, unless there is only one.
        if len(overloads := target.overloads()) == 1:
            names.add(f"{packet}.{overloads[0]}")
        return frozenset(names)
    if isinstance(target, HigherOrderOperator):
        return frozenset({target.name(), f"{target.namespace}::{target.name()}"})
    return frozenset()


def should_split(node: fx.Node, splitting_ops: Collection[str]) -> bool:
    """Whether ``node`` calls one of ``splitting_ops`` (seed ``split_graph``)."""
    return node.op == "call_function" and not op_names(node.target).isdisjoint(splitting_ops)


def require_known_ops(splitting_ops: Collection[str]) -> None:
    """Raise ValueError for a splitting op that torch does not know: it would never split."""
    for name in splitting_ops:
        namespace, _, rest = name.rpartition("::")
        op, _, overload = rest.partition(".")
        packet = getattr(getattr(torch.ops, namespace or "higher_order"), op, None)
        if packet is None or (overload and not hasattr(packet, overload)):
            raise ValueError(
                f"splitting_ops has {name!r}, and torch knows no such op: import what registers "
                "it before the backend is made, or correct the name"
            )

"""The identity of a graph, as text: equal for graphs that compile to the same code.

The key of a cache entry is a range and an index. It says where a piece is in the split graph, but
not what the piece computes. The graph key is stored next to the handle, so an artifact is used only
for the graph, and the kind of inputs, that it was compiled from. Names of nodes and symbols are not
part of it. Constants, metadata, shared memory of inputs, and facts about sizes are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload, OpOverloadPacket

from ..hashing import digest
from ..tracing.symbol_facts import SymbolFacts, symbol_facts
from ..tracing.values import UNKNOWN, value_of
from .call_key import callable_key, kernel_key, op_key


class _Describer:
    """Describes values. Symbols and storages are numbered in order of appearance."""

    def __init__(self) -> None:
        self.symbols: dict[Any, str] = {}
        self.storages: dict[int, int] = {}
        self.texts: dict[Any, str] = {}  # of symbolic numbers, most of which occur many times
        self.shape_env: Any = None

    def scalar(self, value: Any) -> str:
        if not isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return f"{type(value).__name__} {value!r}"
        key = type(value).__name__, value.node.expr
        if key not in self.texts:
            self.shape_env = value.node.shape_env
            self.texts[key] = self._symbolic(*key)
        return self.texts[key]

    def _symbolic(self, kind: str, expr: Any) -> str:
        # sorted by name: the order of a set of symbols differs between processes
        for symbol in sorted(expr.free_symbols, key=lambda symbol: symbol.name):
            self.symbols.setdefault(symbol, f"d{len(self.symbols)}")
        renamed = {symbol: type(symbol)(self.symbols[symbol]) for symbol in expr.free_symbols}
        return f"{kind} {expr.xreplace(renamed)}"

    def value(self, value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return self.tensor(value)
        if isinstance(value, (tuple, list)):
            return f"{type(value).__name__}({', '.join(map(self.value, value))})"
        if isinstance(value, dict):
            return f"dict({', '.join(f'{key!r}: {self.value(v)}' for key, v in value.items())})"
        return self.scalar(value)

    def tensor(self, value: torch.Tensor) -> str:
        facts = [str(value.dtype), str(value.device), str(value.requires_grad), str(value.layout)]
        # views that differ from the numbers in memory, such as conj()
        facts += [str(value.is_conj()), str(value.is_neg())]
        facts.append(", ".join(map(self.scalar, value.shape)))
        if value.layout is torch.strided:
            storage = value.untyped_storage()._cdata
            shared = self.storages.setdefault(storage, len(self.storages))
            strides = ", ".join(map(self.scalar, value.stride()))
            facts += [strides, self.scalar(value.storage_offset()), f"storage {shared}"]
        return f"tensor({'; '.join(facts)})"


def _constant(value: Any) -> str:
    """A constant of a graph. Tensors are identified by content, which may be compiled in."""
    if isinstance(value, fx.GraphModule):
        return graph_key(value)
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        content = hashlib.sha256(flat.numpy().tobytes()).hexdigest()
        return f"{_Describer().tensor(value)} {content}"
    if isinstance(value, torch.nn.Module):
        # not its state_dict(), which omits buffers that are not saved
        held = dict([*value.named_parameters(), *value.named_buffers()])
        state = [f"{name} {_constant(each)}" for name, each in held.items()]
        modes = [each.training for each in value.modules()]
        return f"{type(value).__qualname__} {value!r} {state} {modes}"
    return repr(value)


def _target(node: fx.Node, module: fx.GraphModule) -> str:
    if node.op in ("placeholder", "output"):
        return ""
    if node.op in ("get_attr", "call_module"):
        value: Any = module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return _constant(value)
    if callable(node.target):
        return f"{callable_key(node.target)} {kernel_key(node.kwargs)}"
    return str(node.target)


def _lines(module: fx.GraphModule, describer: _Describer) -> Iterable[str]:
    numbers: dict[fx.Node, int] = {}

    def argument(value: Any) -> str:
        if isinstance(value, fx.Node):
            return f"%{numbers[value]}"
        if isinstance(value, (tuple, list)):
            opening, closing = "[]" if isinstance(value, list) else "()"
            return f"{opening}{', '.join(map(argument, value))}{closing}"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{key!r}: {argument(v)}' for key, v in value.items())}}}"
        if isinstance(value, slice):
            return f"slice({argument(value.start)}, {argument(value.stop)}, {argument(value.step)})"
        if isinstance(value, (OpOverload, OpOverloadPacket)):
            return op_key(value)  # an op called by another op
        return f"{type(value).__name__} {value!r}"

    for number, node in enumerate(module.graph.nodes):
        numbers[node] = number
        value = value_of(node)
        known = "" if value is UNKNOWN else describer.value(value)
        # the only argument of a placeholder is its default; its name does not matter
        call = f"{_target(node, module)} {argument(node.args)} {argument(node.kwargs)}"
        yield f"{node.op} {call} {known}"


def graph_key(
    module: fx.GraphModule,
    example_inputs: Sequence[Any] | None = None,
    facts: SymbolFacts | None = None,
) -> str:
    """SHA-256, as hex, of what ``module`` computes, the kind of its ``example_inputs``, and the
    facts about its symbols: ``facts``, by default the current ones.
    """
    describer, of_inputs = _Describer(), _Describer()
    lines = list(_lines(module, describer))
    signature = [of_inputs.value(value) for value in example_inputs or ()]
    known = symbol_facts(describer.shape_env) if facts is None else facts
    return digest(lines, signature, list(known.lines(describer.symbols)))

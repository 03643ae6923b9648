"""What makes splitting fast: each trick beside the plain way.

They are about the same fact: a graph of 100,000 nodes is copied, and nothing of it is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn
from torch.fx._lazy_graph_module import _LazyGraphModule


class LazyModule(_LazyGraphModule):
    """A graph module whose Python code is written when somebody calls it or asks for the code.

    Writing and compiling that code takes several times as long as making the graph, and a compiler
    needs none of it. The plain way is ``fx.GraphModule``. torch's own lazy module calls itself a
    second time after its code was written, and hooks with it; this one does not.

    The code of a graph module stands in a class of its own. One that :func:`lazy_module` makes has
    that class as soon as it has code, and not before.
    """

    _name_of_class: str

    def _lazy_forward(self, *args: Any, **kwargs: Any) -> Any:
        self.real_recompile()
        return self.forward(*args, **kwargs)

    forward = _lazy_forward

    def _real_recompile(self) -> Any:
        if type(self) is LazyModule:
            self.__class__ = type(self._name_of_class, (LazyModule,), {})
        return super()._real_recompile()

    def _get_name(self) -> str:
        return self._name_of_class if type(self) is LazyModule else super()._get_name()


_EMPTY = LazyModule({}, fx.Graph()).__dict__


def lazy_module(root: nn.Module | dict[str, Any], graph: fx.Graph, name: str) -> LazyModule:
    """``graph`` as a module of a class ``name``, with what it uses of ``root``.

    Does what ``LazyModule(root, graph, name)`` does, the plain way. That sets some thirty
    attributes, each of which is looked at as if it were a parameter, and makes a class: several
    times what a graph of one node takes. For a graph that reads no attribute they are those of an
    empty module, with containers of its own; children of a dict are all that is added.
    """
    children = graph.find_nodes(op="call_module")
    if graph.find_nodes(op="get_attr") or (children and not isinstance(root, dict)):
        return LazyModule(root, graph, class_name=name)
    module: LazyModule = object.__new__(LazyModule)
    own: dict[str, Any] = {
        key: type(value)() if isinstance(value, (dict, list, set)) else value
        for key, value in _EMPTY.items()
    }
    own.update(_graph=graph, _name_of_class=name)
    if isinstance(root, dict):
        own["_modules"].update((node.target, root[node.target]) for node in children)
    else:
        own["training"] = root.training
    module.__dict__.update(own)
    graph.owning_module = module
    return module


def free_name(graph: fx.Graph, wanted: str) -> str:
    """``wanted``, a name that a node of another graph has, or one made from it if it is taken.

    The plain way is ``graph._graph_namespace.create_name``, which looks whether the name is one
    that Python allows.
    """
    namespace = graph._graph_namespace
    if wanted in namespace._used_names:
        return namespace.create_name(wanted, None)
    namespace._used_names.add(wanted)
    return wanted


def add_node(
    graph: fx.Graph,
    op: str,
    target: Any,
    args: tuple[Any, ...],
    name: str,
    kwargs: dict[str, Any] | None = None,
    type_expr: Any = None,
) -> fx.Node:
    """A node at the end of ``graph``, under a name from :func:`free_name`.

    The plain way is ``graph.create_node``. That checks, for any caller, all arguments for symbols,
    by way of pytree, and the name for being one: four fifths of the time of making a node. What
    is made here has the arguments and the name of a node that was checked, or other nodes.
    """
    node = fx.Node(graph, name, op, target, args, kwargs or {}, type_expr)
    graph._graph_namespace.associate_name_with_obj(name, node)
    graph._insert(node)
    graph._find_nodes_lookup_table.insert(node)
    graph._len += 1
    return node


def copy_node(graph: fx.Graph, node: fx.Node, argument: Callable[[fx.Node], Any]) -> fx.Node:
    """A copy of ``node`` at the end of ``graph``; ``argument`` tells what stands for its inputs.

    Does what ``graph.node_copy(node, argument)`` does, the plain way.
    """
    args = fx.node.map_arg(node.args, argument)  # first: it may add to the graph what it needs
    kwargs = fx.node.map_arg(node.kwargs, argument) if node.kwargs else None
    name = free_name(graph, node.name)
    copy = add_node(graph, node.op, node.target, args, name, kwargs, node.type)
    copy.meta.update(node.meta)  # assigning it would look for hooks on renaming
    return copy

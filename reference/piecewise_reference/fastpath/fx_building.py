"""Build FX graphs and modules quickly, so that a graph of 100,000 nodes can be split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import fx, nn
from torch.fx._lazy_graph_module import _LazyGraphModule


class LazyModule(_LazyGraphModule):
    """A graph module that generates its Python code when it is called or the code is read.

    Generating and compiling the code takes several times as long as building the graph, and a
    compiler does not need it. The plain implementation is ``fx.GraphModule``. torch's own lazy
    module calls itself, and its hooks, a second time after it has generated the code; this class
    does not.

    The code of a graph module is in its own class. A module from :func:`lazy_module` gets that
    class when the code is generated.
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
    """Make ``graph`` a module of a class ``name``, with the attributes of ``root`` that it uses.

    The plain implementation is ``LazyModule(root, graph, name)``. It sets some thirty attributes,
    checks for each whether it is a parameter, and creates a class, which takes several times as
    long as building a graph of one node. For a graph that reads no attribute, this function copies
    the attributes of an empty module with new containers, and adds the children of a dict.
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
    """The name ``wanted`` of a node of another graph, or a name derived from it if it is taken.

    The plain implementation is ``graph._graph_namespace.create_name``, which also checks that the
    name is valid in Python.
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
    """Append a node to ``graph`` with a name from :func:`free_name`.

    The plain implementation is ``graph.create_node``, which spends four fifths of its time checking
    all arguments for symbols, through pytree, and the name. These checks are unnecessary here: the
    arguments and the name come from a node that was checked, or are other nodes.
    """
    node = fx.Node(graph, name, op, target, args, kwargs or {}, type_expr)
    graph._graph_namespace.associate_name_with_obj(name, node)
    graph._insert(node)
    graph._find_nodes_lookup_table.insert(node)
    graph._len += 1
    return node


def copy_node(graph: fx.Graph, node: fx.Node, argument: Callable[[fx.Node], Any]) -> fx.Node:
    """Append a copy of ``node`` to ``graph``; ``argument`` maps its inputs.

    The plain implementation is ``graph.node_copy(node, argument)``.
    """
    args = fx.node.map_arg(node.args, argument)  # first: it may add to the graph what it needs
    kwargs = fx.node.map_arg(node.kwargs, argument) if node.kwargs else None
    name = free_name(graph, node.name)
    copy = add_node(graph, node.op, node.target, args, name, kwargs, node.type)
    copy.meta.update(node.meta)  # assigning it would look for hooks on renaming
    return copy

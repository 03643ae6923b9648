"""Each trick of the reference, beside the plain way that it stands for."""

from __future__ import annotations

import ast
import copy
import gc
import operator
from typing import Any

import pytest
import torch
from piecewise_conformance.testkit.graph_capture import all_names, captured
from piecewise_reference import split_graph
from piecewise_reference.cache.cache_file import parse_key
from piecewise_reference.fastpath.cache_lines import parse
from piecewise_reference.fastpath.direct_call import direct_call, plain_function
from piecewise_reference.fastpath.fx_building import LazyModule, copy_node, lazy_module
from piecewise_reference.fastpath.gc_pause import gc_paused
from piecewise_reference.fastpath.same_looks import same_looks
from torch import fx

LINE = "    ((1, 8), 0, 'c'): {'graph_handle': ('k', 'p'), 'cache_key': 'd'},"
AGAIN = LINE.replace("'d'", "'e'")  # of the same key


def _file(*changed: tuple[str, str]) -> str:
    """A file of one entry, with texts in it replaced."""
    line = LINE
    for old, new in changed:
        line = line.replace(old, new)
    return f"{{\n{line}\n}}\n"


def _plainly(text: str) -> dict[Any, Any]:
    return {parse_key(key): value for key, value in ast.literal_eval(text).items()}


TEXTS = [
    "{\n}\n",
    _file(),
    f"{{\n{LINE}\n{LINE.replace('0', '1')}\n}}\n",
    f"{{\n{LINE}\n{AGAIN}\n}}\n",
    _file(("('k', 'p')", "('', '')")),
    _file(("('k', 'p')", "'é ☃'")),
]
OTHER = [
    "",
    "{",
    "{}",
    _file()[:-1],
    _file()[:-2],
    _file() + "\n",
    "\n" + _file(),
    _file((LINE, LINE[:-1])),
    _file(("8", "08")),
    _file(("1, 8", "8, 1")),
    _file(("1, 8", "0, 8")),
    _file(("('k', 'p')", "''")),
    _file(("8", "\u0668")),
    _file(("k", "\\n")),
    _file(("k", "\0")),
    _file(("'k'", "b'k'")),
    _file(
        ("    ((", "   (("),
    ),
    f'{{"""\n{LINE}\n""": 1\n}}\n',
]


@pytest.mark.parametrize("text", TEXTS)
def test_lines_are_what_the_literal_is(text: str) -> None:
    """A file of the form that is written is read without a syntax tree, to the same."""
    assert parse(text) == _plainly(text)
    assert repr(parse(text)) == repr(_plainly(text))


@pytest.mark.parametrize("text", OTHER)
def test_other_text_is_left_to_the_plain_way(text: str) -> None:
    """Whatever is not of that form, be it a literal or none."""
    assert parse(text) is None


@pytest.mark.parametrize("removed", range(len(TEXTS[2])))
def test_a_torn_file_is_never_read_as_another(removed: int) -> None:
    """Each file that lacks one character is read as the literal that it is, or left alone."""
    text = TEXTS[2][:removed] + TEXTS[2][removed + 1 :]
    if (read := parse(text)) is not None:
        assert repr(read) == repr(_plainly(text))


@pytest.mark.parametrize("name", all_names())
def test_copied_nodes_are_what_torch_copies(name: str) -> None:
    """A graph copied node by node is the graph that ``node_copy`` makes."""
    original = captured(name).gm.graph

    def copied(copy: Any) -> fx.Graph:
        graph = fx.Graph()
        found: dict[fx.Node, fx.Node] = {}
        for node in original.nodes:
            found[node] = copy(graph, node, found.__getitem__)
        return graph

    plain = copied(lambda graph, node, argument: graph.node_copy(node, argument))
    fast = copied(copy_node)
    assert str(fast) == str(plain)
    fast.lint()
    for node, ours, theirs in zip(original.nodes, fast.nodes, plain.nodes, strict=True):
        assert ours.meta == theirs.meta or ours.meta.keys() == theirs.meta.keys()
        assert ours.meta is not node.meta
        assert list(map(str, ours.users)) == list(map(str, theirs.users))
        assert type(ours.args) is type(theirs.args)
        assert type(ours.kwargs) is type(theirs.kwargs)
        targets = {"op": ours.op, "target": ours.target}
        assert [*map(str, fast.find_nodes(**targets))] == [*map(str, plain.find_nodes(**targets))]
    assert len(fast.nodes) == len(plain.nodes)
    for graph in (fast, plain):  # what is added later gets a name that is free, and is found
        later = graph.call_function(operator.add, (1, 2), name=next(iter(graph.nodes)).name)
        assert [node.name for node in graph.nodes].count(later.name) == 1
        graph.erase_node(later)


def _plain_and_fast() -> tuple[fx.GraphModule, fx.GraphModule]:
    """A graph that reads no attribute, as a module made both ways."""

    def graph() -> fx.Graph:
        made = fx.Graph()
        x = made.placeholder("x")
        made.output((made.call_function(operator.add, (x, 1)),))
        return made

    return LazyModule(_graph(), graph(), class_name="piece"), lazy_module(
        _graph(), graph(), "piece"
    )


def test_a_module_has_what_torch_gives_it() -> None:
    """The same attributes, of the same kinds and values, in containers of its own."""
    plain, fast = _plain_and_fast()
    _, other = _plain_and_fast()
    own = {key: value for key, value in vars(fast).items() if key != "_name_of_class"}
    assert own.keys() == vars(plain).keys()
    for name, value in own.items():
        if name != "_graph":
            assert type(value) is type(vars(plain)[name])
            assert value == vars(plain)[name]
            if isinstance(value, (dict, list, set)):
                assert value is not vars(other)[name]
    assert fast.graph.owning_module is fast


def test_a_module_without_code_is_one_all_the_same() -> None:
    """It is called, printed, copied and changed like the plain one, and alone."""
    plain, fast = _plain_and_fast()
    _, other = _plain_and_fast()
    assert repr(fast) == repr(plain)
    assert fast.print_readable(print_output=False) == plain.print_readable(print_output=False)
    assert fast.code == plain.code
    assert type(fast) is not type(other)
    assert fast(1) == plain(1) == other(1) == (2,)
    add = other.graph.find_nodes(op="call_function", target=operator.add)[0]
    add.args = (add.args[0], 7)
    other.recompile()
    assert (other(1), fast(1)) == ((8,), (2,))
    for module in (_plain_and_fast()[1], fast):
        assert copy.copy(module)(1) == copy.deepcopy(module)(1) == module(1) == (2,)


@pytest.mark.parametrize("train", [True, False])
def test_training_is_taken_over(train: bool) -> None:
    """A piece is in the mode that the graph is in."""
    _, fast = _plain_and_fast()
    gm = _graph().train(train)
    assert lazy_module(gm, fast.graph, "piece").training == train


def test_collection_is_as_it_was() -> None:
    """The collector is off inside and afterwards what it was, also after an exception."""
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), gc_paused():
        _ = (1 if gc.isenabled() else 0) / 0
    assert gc.isenabled()
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def _graph() -> fx.GraphModule:
    graph = fx.Graph()
    x = graph.placeholder("x")
    weight = graph.get_attr("inner.weight")
    total = graph.call_function(operator.add, (x, weight))
    split = graph.call_function(torch.ops.aten.sin.default, (total,))
    graph.output((graph.call_function(operator.mul, (split, x)), weight))
    inner = torch.nn.Module()
    inner.weight = torch.nn.Parameter(torch.arange(4.0))
    root = torch.nn.Module()
    root.inner = inner
    return fx.GraphModule(root, graph)


def test_direct_call_is_the_split_graph() -> None:
    """Without modules in between the pieces give the same, and read weights as they are now."""
    gm = _graph()
    split_gm, items = split_graph(gm, ["aten::sin"])
    assert len(items) == 3
    line = direct_call(split_gm)
    x = torch.ones(4)
    for _ in range(2):
        for got, expected in zip(line(x), split_gm(x), strict=True):
            assert torch.equal(got, expected)
        with torch.no_grad():
            gm.get_parameter("inner.weight").add_(1)


def test_a_piece_with_hooks_is_called_as_a_module() -> None:
    """Who put a hook on a piece is told of each call."""
    split_gm, items = split_graph(_graph(), ["aten::sin"])
    seen: list[str] = []
    items[1].graph.register_forward_hook(lambda *_: seen.append("call"))
    assert plain_function(items[1].graph) is items[1].graph
    direct_call(split_gm)(torch.ones(4))
    assert seen == ["call"]


LIKE = [torch.ones(4, 6), torch.ones(2)]
UNLIKE = [
    torch.ones(4, 5),
    torch.ones(4, 6, dtype=torch.float64),
    torch.ones(4, 6, device="meta"),
    torch.ones(6, 4).t(),
    torch.ones(1, 6).expand(4, 6),
    torch.ones(24),
    None,
    3,
]


def test_tensors_of_the_same_looks_are_known() -> None:
    """The one call says yes to equal dtype, device, shape and strides, at any address."""
    known = same_looks(LIKE)
    assert known(*LIKE)
    assert known(torch.zeros(9, 6)[2:6], torch.zeros(2))


@pytest.mark.parametrize("other", UNLIKE, ids=range(len(UNLIKE)))
def test_tensors_of_other_looks_are_not_known(other: Any) -> None:
    """Whatever differs, and in either place, the plain way is asked."""
    assert not same_looks(LIKE)(other, LIKE[1])
    assert not same_looks(LIKE[::-1])(LIKE[1], other)

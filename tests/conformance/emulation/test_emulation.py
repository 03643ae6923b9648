"""The emulator of CUDA graphs repeats what a device would, and nothing else.

Where there is a GPU, the tests that ask for ``device`` run on real graphs as well: then they are
tests of the emulator against the device that it stands for.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from piecewise_conformance.core import environment
from piecewise_conformance.emulation import Emulation, emulate, opaque, weak_ref_tensor
from piecewise_fixtures import ops as _ops  # noqa: F401  (registers the ops)


@pytest.fixture
def emulated() -> Iterator[Emulation]:
    """An emulation around the test."""
    with emulate() as emulation:
        yield emulation


@pytest.fixture(params=["emulated", "real"])
def device(request: pytest.FixtureRequest) -> Iterator[None]:
    """An emulation around the test, or a GPU on which its tensors are made."""
    if request.param == "emulated":
        with emulate():
            yield
        return
    if (reason := environment.missing("gpu")) is not None:
        pytest.skip(reason)
    with torch.device("cuda"):
        torch.ones(2, 2) @ torch.ones(2, 2)  # a capture may not set up cuBLAS
        yield


def captured(function: Callable[[], Any], **kwargs: Any) -> tuple[Any, Any]:
    """The graph of what ``function`` launches, and what it returned."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, **kwargs):
        result = function()
    return graph, result


@pytest.mark.usefixtures("device")
def test_a_replay_reads_the_captured_places() -> None:
    """New values in old places count; a new tensor of the same name does not."""
    x = torch.ones(4)
    graph, y = captured(lambda: x * 2)
    x.fill_(5)
    graph.replay()
    assert y.tolist() == [10] * 4
    kept, x = x, torch.full((4,), 7.0)
    graph.replay()
    assert y.tolist() == [10] * 4
    del kept


@pytest.mark.usefixtures("device")
def test_a_replay_writes_into_the_captured_results() -> None:
    """At the same address each time; a view of a result sees it."""
    x = torch.ones(2, 2)
    graph, y = captured(lambda: x + 1)
    row, address = y[1], y.data_ptr()
    for value in (3.0, 4.0):
        x.fill_(value)
        graph.replay()
        assert (y.data_ptr(), row.tolist()) == (address, [value + 1] * 2)


@pytest.mark.usefixtures("device")
def test_a_replay_repeats_no_python() -> None:
    """Neither the function nor the branch that it took."""
    x = torch.ones(2)
    calls: list[int] = []

    def function() -> torch.Tensor:
        calls.append(len(calls))
        return x + len(calls)

    graph, y = captured(function)
    for _ in range(3):
        graph.replay()
    assert (calls, y.tolist()) == ([0], [2, 2])


@pytest.mark.usefixtures("device")
def test_a_capture_launches_nothing() -> None:
    """Inputs keep their content, the generator its state, and in-place ops wait for a replay."""
    x, random = torch.ones(3), torch.get_rng_state()

    def function() -> None:
        x.add_(1)
        x.mul_(torch.rand(3))

    graph, _ = captured(function)
    assert x.tolist() == [1, 1, 1]
    assert torch.equal(torch.get_rng_state(), random)
    torch.manual_seed(3)
    expected = 2 * torch.rand(3)
    torch.manual_seed(3)
    graph.replay()
    assert torch.equal(x, expected)


def _scattered(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    x.index_add_(0, index, torch.ones(2, 3))
    return x * 2


INDEXING: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "index": lambda x, index: x[index] * 2,
    "index of an index": lambda x, index: x[index[index]] * 2,
    "select": lambda x, index: x.index_select(0, index) + 1,
    "gather": lambda x, index: x.gather(0, index[:, None].expand(2, 3)) + 1,
    "embedding": lambda x, index: torch.nn.functional.embedding(index, x).sin(),
    "put": lambda x, index: x.index_put((index,), torch.zeros(3)) + 1,
    "in place": _scattered,
}


@pytest.mark.parametrize("name", INDEXING)
@pytest.mark.usefixtures("device")
def test_an_index_that_is_filled_after_the_capture(name: str) -> None:
    """What stands in it meanwhile is no index, and nobody reads it."""
    function = INDEXING[name]
    x, index = torch.arange(12.0).view(4, 3), torch.full((2,), 1 << 40)
    graph, result = captured(lambda: function(x, index))
    for values in ([1, 0], [0, 1]):
        index.copy_(torch.tensor(values))
        x.copy_(torch.arange(12.0).view(4, 3))
        expected = function(x.clone(), index)
        graph.replay()
        assert result.tolist() == expected.tolist()


def test_an_op_that_can_never_run(emulated: Emulation) -> None:
    """Its error comes out of the capture: that is not for what stands in its inputs."""
    with pytest.raises(IndexError, match="Dimension out of range"):
        captured(lambda: torch.ones(4).cumsum(3))


@pytest.mark.usefixtures("device")
def test_random_numbers_go_on_from_replay_to_replay() -> None:
    """As eager ones do: the generator is that of the program."""
    graph, y = captured(lambda: torch.rand(4))
    torch.manual_seed(0)
    eager = [torch.rand(4) for _ in range(3)]
    torch.manual_seed(0)
    for expected in eager:
        graph.replay()
        assert torch.equal(y, expected)


FUNCTIONS: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "views": lambda x, y: x.t()[1:].reshape(-1) + y.view(-1)[3:],
    "in place on a view": lambda x, y: (x.clone()[1].add_(y[0]), y + 1),
    "write through a slice": lambda x, y: (y.select(0, 1).copy_(x[0]), y * 2),
    "several results": lambda x, y: torch.max(x, dim=1),
    "a list of results": lambda x, y: torch.split(x + y, 2, dim=1),
    "out": lambda x, y: torch.mm(x, y, out=torch.empty(3, 3)),
    "out of the wrong size": lambda x, y: torch.add(x, y, out=torch.empty(0)),
    "strides": lambda x, y: torch.empty_strided((3, 3), (1, 3)).copy_(x) @ y.t(),
    "index": lambda x, y: x[torch.arange(3).flip(0)] + y,
    "scatter": lambda x, y: y.index_add_(0, torch.arange(3), x),
    "foreach": lambda x, y: torch._foreach_add([x, y], 1),
    "foreach in place": lambda x, y: torch._foreach_copy_([y], [x + 1]),
    "other types": lambda x, y: (x.to(torch.float16) + 1, (y > 0), x.long(), x.to(torch.bfloat16)),
    "complex": lambda x, y: torch.complex(x, y).conj() * 2,
    "no memory": lambda x, y: x[:0] + 1,
    "a number": lambda x, y: (x.sum(), 3, None),
    "attention": lambda x, y: torch.nn.functional.scaled_dot_product_attention(x, y, x),
    "custom op": lambda x, y: torch.ops.piecewise.scale_(x, y),
    "custom op with results": lambda x, y: (
        torch.ops.piecewise.halves(x), torch.ops.piecewise.parts(y)
    ),
    "normalised": lambda x, y: torch.nn.functional.layer_norm(x, (3,)) + y.softmax(-1),
    "the same memory twice": lambda x, y: (x.view(9), x + 0, y),
}  # fmt: skip


# of no element at all a device computes nothing
@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty:UserWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.usefixtures("device")
def test_replays_equal_eager(name: str) -> None:
    """For new values in old places, results and writes to inputs alike."""
    function = FUNCTIONS[name]
    torch.manual_seed(0)
    x, y = torch.randn(3, 3), torch.randn(3, 3)
    graph, got = captured(lambda: function(x, y))
    for _ in range(3):
        x.normal_()
        y.normal_()
        own = x.clone(), y.clone()
        expected = function(*own)
        graph.replay()
        wanted = list(torch.utils._pytree.tree_leaves((expected, own)))
        have = list(torch.utils._pytree.tree_leaves((got, (x, y))))
        for want, found in zip(wanted, have, strict=True):
            if isinstance(want, torch.Tensor):
                torch.testing.assert_close(found, want, rtol=0, atol=0)
                assert found.stride() == want.stride()
            else:
                assert found == want


@pytest.mark.usefixtures("device")
def test_what_a_custom_op_reads_of_python_is_read_once() -> None:
    """Its Python is not repeated: a replay has the forward context of the capture."""
    from piecewise_fixtures.forward_context import ForwardContext, set_forward_context

    q = torch.randn(4, 2, 8)
    out = torch.zeros_like(q)

    def function() -> None:
        torch.ops.piecewise.attention(q, q, q, out, "layer")

    with set_forward_context(ForwardContext((4,))):
        function()
        one = out.clone()
        graph, _ = captured(function)
    with set_forward_context(ForwardContext((2, 2))):
        graph.replay()
        assert torch.equal(out, one)
        function()
        assert not torch.equal(out, one)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Inductor's own imports
@pytest.mark.usefixtures("emulated")
def test_what_inductor_compiled_is_one_launch() -> None:
    """Its kernels do not pass the dispatcher, and a replay runs them."""
    if (reason := environment.missing("inductor")) is not None:
        pytest.skip(reason)
    weight = torch.randn(4, 4)

    def function(x: torch.Tensor) -> Any:
        x.add_(1)
        return (x.sin() + 1) @ weight, x.cos()

    compiled, x = torch.compile(function), torch.ones(3, 4)
    with torch.no_grad():
        compiled(x.clone())
        graph, got = captured(lambda: compiled(x))
        assert x.tolist() == torch.ones(3, 4).tolist()
        for value in (2.0, 3.0):
            own = x.fill_(value).clone()
            expected = compiled(own)
            graph.replay()
            for want, found in zip((*expected, own), (*got, x), strict=True):
                assert torch.equal(want, found)


@pytest.mark.usefixtures("emulated")
def test_an_opaque_callable_is_one_launch() -> None:
    """One that works on memory behind torch's back is repeated once it is marked."""
    x, y = torch.ones(3), torch.zeros(3)

    @opaque
    def behind_the_back(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        target.numpy()[:] = source.numpy() * 2
        return torch.from_numpy(source.numpy() + 1)

    graph, z = captured(lambda: behind_the_back(x, y))
    assert y.tolist() == [0, 0, 0]
    x.fill_(4)
    graph.replay()
    assert (y.tolist(), z.tolist()) == ([8] * 3, [5] * 3)


@pytest.mark.usefixtures("device")
def test_graphs_share_a_pool_and_hand_results_on() -> None:
    """The result of one that is kept is the input of the next, by address."""
    x, pool = torch.ones(4), torch.cuda.graph_pool_handle()
    first, y = captured(lambda: x * 2, pool=pool)
    second, z = captured(lambda: y + 1, pool=pool)
    assert first.pool() == second.pool() == pool
    for value in (1.0, 2.0):
        x.fill_(value)
        first.replay()
        second.replay()
        assert z.tolist() == [2 * value + 1] * 4


def test_memory_goes_back(emulated: Emulation) -> None:
    """What a graph reserved is free once the graph and its results are gone."""
    x = torch.ones(1000)
    before = torch.cuda.memory_reserved()
    graph, y = captured(lambda: (x * 2).sin())
    assert torch.cuda.memory_reserved() == before + 2 * 4000  # what died in the capture, too
    graph.reset()
    assert torch.cuda.memory_reserved() == before + 4000
    del y
    assert torch.cuda.memory_reserved() == before
    graph, y = captured(lambda: x * 2)
    assert emulated.live_graphs() == [graph]
    del graph, y
    assert (torch.cuda.memory_reserved(), emulated.live_graphs()) == (before, [])


@pytest.mark.usefixtures("device")
def test_side_streams_take_part() -> None:
    """One that has waited for the capturing stream, and is waited for."""
    x, side = torch.ones(2), torch.cuda.Stream()

    def function() -> torch.Tensor:
        main = torch.cuda.current_stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            y = x + 1
        event = side.record_event()
        main.wait_event(event)
        return y

    graph, y = captured(function)
    graph.replay()
    assert y.tolist() == [2, 2]


@pytest.mark.usefixtures("emulated")
def test_a_weak_reference_reads_and_does_not_own() -> None:
    """It has the place of the result, also of a view, and its values until they go."""
    x = torch.arange(6.0)
    graph, weak = captured(lambda: weak_ref_tensor((x + 1).view(2, 3)[1:]))
    graph.replay()
    assert weak.tolist() == [[4, 5, 6]]
    assert weak.stride() == (3, 1)


def _state() -> dict[str, Any]:
    modules = (torch, torch.cuda, torch.cuda.graphs, torch.cuda.streams, torch.cuda.memory)
    from torch._inductor.output_code import CompiledFxGraph

    found = {f"{m.__name__}.{k}": v for m in modules for k, v in vars(m).items()}
    for owner in (torch.Tensor, CompiledFxGraph):
        found |= {f"{owner.__name__}.{k}": v for k, v in vars(owner).items()}
    return found


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_patched(fails: bool) -> None:
    """Also after an exception in the middle of a capture."""
    before = _state()
    modes = torch._C._len_torch_dispatch_stack()
    with contextlib.suppress(ZeroDivisionError), emulate():
        assert _state() != before
        graph = torch.cuda.CUDAGraph()
        x = torch.ones(2)
        with torch.cuda.graph(graph):
            x.add_(1)
            if fails:
                raise ZeroDivisionError
    after = _state()
    assert [name for name in before if after.get(name) is not before[name]] == []
    assert after.keys() == before.keys()
    assert torch._C._len_torch_dispatch_stack() == modes
    assert x.tolist() == [1, 1]
    with emulate():  # and a new one can begin
        pass


@pytest.mark.usefixtures("device")
def test_a_pool_ends_with_its_last_graph() -> None:
    """Its handle is refused while a tensor from it is left, and names a new pool thereafter."""
    x, handle = torch.ones(4), torch.cuda.graph_pool_handle()
    graph, y = captured(lambda: x * 2, pool=handle)
    other, z = captured(lambda: x * 3, pool=handle)
    del graph
    other.replay()
    assert z.tolist() == [3] * 4
    del other
    with pytest.raises(RuntimeError, match=r"pool of this handle ended|use_count > 0"):
        captured(lambda: x * 4, pool=handle)
    del y, z
    gc.collect()
    torch.cuda.empty_cache()
    graph, y = captured(lambda: x * 5, pool=handle)
    graph.replay()
    assert y.tolist() == [5] * 4

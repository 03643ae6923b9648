"""The emulator reports what a device passes over in silence, with the op and the user's line."""

from __future__ import annotations

import functools
import gc
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from piecewise_conformance import emulation
from piecewise_conformance.emulation import Emulation, emulate, weak_ref_tensor


@pytest.fixture
def device() -> Iterator[Emulation]:
    """An emulation around the test."""
    with emulate() as current:
        yield current


def captured(function: Callable[[], Any], **kwargs: Any) -> tuple[Any, Any]:
    """The graph of what ``function`` launches, and what it returned."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, **kwargs):
        result = function()
    return graph, result


X = torch.ones(4)
WAITS: dict[str, tuple[str, Callable[[], Any]]] = {
    "item": ("_local_scalar_dense", lambda: X.sum().item()),
    "branch": ("_local_scalar_dense", lambda: 1 if X.sum() > 0 else 2),
    "cond": ("cond", lambda: torch.cond(X.sum() > 0, torch.sin, torch.cos, (X,))),
    "float": ("_local_scalar_dense", lambda: float(X[0])),
    "nonzero": ("nonzero", lambda: X.nonzero()),
    "mask": ("index", lambda: X[X > 0]),
    "write by mask": ("index_put_", lambda: X.clone().index_put_((X > 0,), torch.zeros(4))),
    "masked_select": ("masked_select", lambda: X.masked_select(X > 0)),
    "unique": ("unique", lambda: torch.unique(X)),
    "equal": ("equal", lambda: torch.equal(X, X + 1)),
    "repeat_interleave": ("repeat_interleave", lambda: torch.repeat_interleave(X.long())),
    "cpu": ("Tensor.cpu", lambda: X.cpu()),
    "to": ("Tensor.to", lambda: X.to("cpu")),
    "tolist": ("Tensor.tolist", lambda: X.tolist()),
    "numpy": ("Tensor.numpy", lambda: X.numpy()),
    "print": ("Tensor.__", lambda: str(X)),
    "f-string": ("Tensor.__", lambda: f"{X}"),
    "synchronize": ("torch.cuda.synchronize", lambda: torch.cuda.synchronize()),
    "stream": ("Stream.synchronize", lambda: torch.cuda.current_stream().synchronize()),
    "event": ("Event.synchronize", lambda: torch.cuda.Event().synchronize()),
    "from the host": ("torch.tensor", lambda: torch.tensor([1.0], device=X.device)),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.usefixtures("device")
def test_the_host_must_not_wait(name: str) -> None:
    """For a value, a size, a print or a stream; the error has the op and the line."""
    op, function = WAITS[name]
    with pytest.raises(emulation.HostSync) as caught:
        captured(function)
    assert op in caught.value.op
    file, _, line = caught.value.where.rpartition(":")
    assert file == __file__
    assert int(line) == inspect.getsourcelines(function)[1]
    function()  # outside of a capture it may


@pytest.mark.usefixtures("device")
def test_a_refused_capture_stays_refused() -> None:
    """Also if the program catches the error and goes on."""
    graph = torch.cuda.CUDAGraph()

    def go_on() -> None:
        with torch.cuda.graph(graph):
            try:
                X.sum().item()
            except emulation.HostSync:
                _ = X + 1

    with pytest.raises(emulation.HostSync, match="_local_scalar_dense"):
        go_on()
    with pytest.raises(emulation.CaptureError, match="the graph has not been captured"):
        graph.replay()


@pytest.mark.usefixtures("device")
def test_a_wait_inside_a_custom_op_names_both() -> None:
    """The op that the user wrote, and what it did."""

    @torch.library.custom_op("emulation_tests::waits", mutates_args=())
    def waits(x: torch.Tensor) -> torch.Tensor:
        return x * float(x.sum())

    with pytest.raises(emulation.HostSync, match="emulation_tests::waits > aten::item"):
        captured(lambda: waits(X))


@pytest.mark.usefixtures("device")
def test_the_line_in_a_traced_graph_is_that_of_the_source() -> None:
    """Not the one of the code that FX made of it."""

    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        return y.index_put_((y > 0,), x)  # the line

    graphs = []

    def keep(gm: Any, example_inputs: Any) -> Any:
        graphs.append(gm)
        return gm.forward

    torch.compile(function, backend=keep, dynamic=True)(X)
    with pytest.raises(emulation.HostSync) as caught:
        captured(lambda: graphs[0](*_inputs_of(graphs[0])))
    lines, first = inspect.getsourcelines(function)
    offset = next(number for number, line in enumerate(lines) if "# the line" in line)
    assert caught.value.where == f"{__file__}:{first + offset}"


def _inputs_of(gm: Any) -> list[Any]:
    values = [node.meta["example_value"] for node in gm.graph.find_nodes(op="placeholder")]
    return [X if isinstance(value, torch.Tensor) else 4 for value in values]


def test_order_of_calls(device: Emulation) -> None:
    """Capture in a capture, again, on the default stream; replay in one, before one, after reset;
    an end without a beginning.
    """
    graph, other = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    with pytest.raises(emulation.CaptureError, match="replay: the graph has not been captured"):
        graph.replay()
    with pytest.raises(emulation.CaptureError, match="default stream"):
        graph.capture_begin()
    with pytest.raises(emulation.CaptureError, match="capture_end"):
        graph.capture_end()
    with pytest.raises(emulation.CaptureError, match="a capture is in progress"):
        captured(lambda: captured(lambda: X + 1))
    done, _ = captured(lambda: X + 1)
    with pytest.raises(emulation.CaptureError, match="replay: a capture is in progress"):
        captured(done.replay)
    with pytest.raises(emulation.CaptureError, match="already been"), torch.cuda.graph(done):
        pass
    done.reset()
    with pytest.raises(emulation.CaptureError, match="the graph has not been captured"):
        done.replay()
    assert device.capture is None
    with torch.cuda.graph(other):
        _ = X + 1
    other.replay()


@pytest.mark.usefixtures("device")
def test_streams_outside_of_the_capture() -> None:
    """Work that the capture does not see, and work that it does not wait for."""
    side = torch.cuda.Stream()

    def elsewhere() -> None:
        with torch.cuda.stream(side):
            _ = X + 1

    with pytest.raises(emulation.ForeignAllocation, match="aten::add"):
        captured(elsewhere)

    def unjoined() -> None:
        side.wait_stream(torch.cuda.current_stream())
        elsewhere()

    with pytest.raises(emulation.CaptureError, match="not joined"):
        captured(unjoined)


@pytest.mark.usefixtures("device")
def test_memory_of_the_host() -> None:
    """Is not to be asked for in a capture."""
    with pytest.raises(emulation.CaptureError, match="pin_memory"):
        captured(lambda: X.pin_memory())


@pytest.mark.usefixtures("device")
def test_a_generator_of_ones_own() -> None:
    """Has to be made known to the graph."""
    own = torch.Generator().manual_seed(1)
    with pytest.raises(emulation.CaptureError, match="register_generator_state"):
        captured(lambda: torch.rand(2, generator=own))
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(own)
    with torch.cuda.graph(graph):
        _ = torch.rand(2, generator=own)


@pytest.mark.usefixtures("device")
def test_a_result_before_the_first_replay() -> None:
    """A capture launches nothing, so there is nothing to read."""
    _graph, y = captured(lambda: X * 2)
    with pytest.raises(emulation.DeadMemory, match="not replayed yet") as caught:
        _ = y + 1
    assert caught.value.op == "aten::add.Tensor"
    assert caught.value.where.startswith(__file__)


@pytest.mark.usefixtures("device")
def test_a_result_that_grew() -> None:
    """Memory that ``out=`` got in the capture is the graph's as well."""
    _graph, y = captured(lambda: torch.add(X, 1, out=torch.empty(0)))
    with pytest.raises(emulation.DeadMemory, match="not replayed yet"):
        _ = y + 1


def test_a_dummy_run(device: Emulation) -> None:
    """Whoever says that no result of a capture is used may read it: it is zero until a replay."""
    with device.dummy_run():
        graph, y = captured(lambda: X * 2)
    assert y.tolist() == [0] * 4
    graph.replay()
    assert y.tolist() == [2] * 4


@pytest.mark.parametrize(
    ("dtype", "poison"),
    [
        (torch.float32, "nan"), (torch.float16, "nan"), (torch.float8_e4m3fn, "nan"),
        (torch.complex64, "(nan+0j)"), (torch.int64, str(2**63 - 6)), (torch.uint8, "250"),
        (torch.bool, "True"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("device")
def test_undefined_memory_is_poisoned(dtype: torch.dtype, poison: str) -> None:
    """What ``empty`` hands out, at every replay."""
    source = torch.zeros(3)

    def function() -> torch.Tensor:
        y = torch.empty(4, dtype=dtype)
        y[:3].copy_(source)
        return y

    graph, y = captured(function)
    for value in (0.0, 1.0):
        source.fill_(value)
        graph.replay()
        values = (y.float() if dtype is torch.float8_e4m3fn else y).tolist()
        assert [bool(each == value) for each in values[:3]] == [True] * 3
        assert str(values[3]) == poison


@pytest.mark.usefixtures("device")
def test_memory_that_died_in_the_capture_goes_to_the_next_allocation() -> None:
    """A weak reference to it reads poison."""

    def function() -> Any:
        weak = weak_ref_tensor(X * 2)
        return weak, X + 1

    graph, (weak, other) = captured(function)
    graph.replay()
    assert other.tolist() == [2] * 4
    with pytest.raises(emulation.DeadMemory, match=r"given to aten::add\.Tensor"):
        _ = weak + 1


@pytest.mark.usefixtures("device")
def test_memory_of_a_result_that_died_goes_to_the_next_capture() -> None:
    """A weak result is gone when the graph that was captured after it runs, not before."""
    pool = torch.cuda.graph_pool_handle()
    first, weak = captured(lambda: weak_ref_tensor(X * 2), pool=pool)
    first.replay()
    assert weak.tolist() == [2] * 4
    second, _kept = captured(lambda: X + 1, pool=pool)
    first.replay()
    assert weak.tolist() == [2] * 4
    second.replay()
    with pytest.raises(emulation.DeadMemory, match="given to aten::add"):
        weak.tolist()


@pytest.mark.usefixtures("device")
def test_pools_are_apart() -> None:
    """A graph with a pool of its own disturbs nobody."""
    first, weak = captured(lambda: weak_ref_tensor(X * 2))
    second, _kept = captured(lambda: X + 1)
    first.replay()
    second.replay()
    assert weak.tolist() == [2] * 4


@pytest.mark.usefixtures("device")
def test_an_earlier_graph_overruns_a_later_one() -> None:
    """What a later capture made may lie where an earlier one computes."""
    pool = torch.cuda.graph_pool_handle()
    first, _kept = captured(lambda: (X * 2).sin(), pool=pool)
    second, y = captured(lambda: X + 1, pool=pool)
    first.replay()
    second.replay()
    assert y.tolist() == [2] * 4
    first.replay()
    with pytest.raises(emulation.DeadMemory, match="share a pool"):
        y.tolist()
    second.replay()
    assert y.tolist() == [2] * 4


@pytest.mark.usefixtures("device")
def test_an_input_that_nobody_kept() -> None:
    """Its memory may be anybody's when the replay reads it."""
    kept = [torch.ones(4)]
    graph, _y = captured(lambda: kept[0] * 2)
    graph.replay()
    kept.clear()
    gc.collect()
    with pytest.raises(emulation.DeadMemory, match="has been freed") as caught:
        graph.replay()
    assert caught.value.op == "aten::mul.Tensor"


def test_an_input_elsewhere(device: Emulation) -> None:
    """Is stale unless it was copied; a copy is an event."""
    x, y = torch.ones(4), torch.full((4,), 2.0)
    with device.called_with(x):
        graph, z = captured(lambda: x * 2)
        graph.replay()
    with device.called_with(y), pytest.raises(emulation.StaleInput, match="input 0") as caught:
        graph.replay()
    assert caught.value.op == "aten::mul.Tensor"
    assert caught.value.where.startswith(__file__)
    for args, named in (((), {"x": y}), (([{"x": y}],), {})):  # in a container, too
        with device.called_with(*args, **named), pytest.raises(emulation.StaleInput):
            graph.replay()
    assert device.events == []
    with device.called_with(y):
        x.copy_(y)
        graph.replay()
    assert z.tolist() == [4] * 4
    assert [each.position for each in device.events] == [0]


def test_inputs_that_change_places(device: Emulation) -> None:
    """A wrapper that copies each to where the other lay has written both: what they were counts."""
    x, y = torch.ones(4), torch.full((4,), 2.0)
    with device.called_with(x, y):
        graph, z = captured(lambda: x * 3 - y)
    with device.called_with(y, x):
        own = x.clone(), y.clone()
        x.copy_(own[1])
        y.copy_(own[0])
        graph.replay()
    assert z.tolist() == [5] * 4
    with device.called_with(y, x), pytest.raises(emulation.StaleInput, match="input 0"):
        graph.replay()


def test_python_state_that_a_capture_changes() -> None:
    """A counter, a list, and a tensor that is rebound and not written."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count, self.seen = 0, list[int]()
            self.register_buffer("total", torch.zeros(4))

    def count(model: Any) -> None:
        model.count += 1

    def append(model: Any) -> None:
        model.seen.append(1)

    def rebind(model: Any) -> None:
        model.total = model.total + X

    for change, name in ((count, "count"), (append, "seen"), (rebind, "_buffers")):
        model = Model()
        with (
            emulate(model),
            pytest.raises(emulation.PythonEffect, match=rf"Model\.{name}"),
        ):
            captured(functools.partial(change, model))
    model = Model()
    with emulate(model):
        captured(lambda: model.get_buffer("total").add_(X))


def test_an_empty_graph(device: Emulation) -> None:
    """Is captured with a warning, as torch does."""
    graph = torch.cuda.CUDAGraph()
    with pytest.warns(UserWarning, match="CUDA Graph is empty"), torch.cuda.graph(graph):
        _kept = torch.empty(3).view(3, 1)
    assert [len(each.tape.launches()) for each in device.live_graphs()] == [0]


def test_emulations_do_not_nest() -> None:
    """And a graph of an emulation that is over is of no use."""
    with emulate():
        graph, _ = captured(lambda: X + 1)
        with pytest.raises(emulation.StaticGraphError, match="do not nest"), emulate():
            pass
        graph.replay()
    with pytest.raises(emulation.StaticGraphError, match="has ended"):
        graph.replay()

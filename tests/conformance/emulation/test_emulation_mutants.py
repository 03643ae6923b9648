"""Each fault planted in the emulator fails the self-tests that are named with it.

A fault is a change of the source of one function, which is compiled again in its module. The tests
named run as they are, without pytest's part: their emulation is made here.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from piecewise_conformance import emulation

_PACKAGE = "piecewise_conformance.emulation."


class Fault(NamedTuple):
    """In ``place``, a function of the emulator, ``old`` becomes ``new``; ``tests`` must fail."""

    place: str
    old: str
    new: str
    tests: tuple[str, ...]


FAULTS = {
    "replays-nothing": Fault(
        "tape.Launch.run", "found = self", "return; found = self",
        ("test_a_replay_reads_the_captured_places", "test_a_capture_launches_nothing"),
    ),
    "new-results-each-time": Fault(
        "tape.Launch.run", "place.tensor().copy_(tensor)", "pass",
        ("test_a_replay_writes_into_the_captured_results",),
    ),
    "results-in-the-wrong-order": Fault(
        "tape.Launch.run", "zip(self.results, tensors", "zip(self.results, tensors[::-1]",
        ("test_replays_equal_eager[several results]",),
    ),
    "views-forget-their-offset": Fault(
        "tape.Place.of", "int(tensor.storage_offset())", "0",
        ("test_replays_equal_eager[in place on a view]",),
    ),
    "views-forget-their-strides": Fault(
        "tape.Place.of", "tuple(tensor.stride())", "torch.empty(tensor.shape).stride()",
        ("test_replays_equal_eager[views]",),
    ),
    "conjugation-forgotten": Fault(
        "tape.Place.of", "tensor.is_conj()", "False", ("test_replays_equal_eager[complex]",),
    ),
    "capture-writes-inputs": Fault(
        "capture.Capture._save", "self._before[address] =", "_ =",
        ("test_a_capture_launches_nothing",),
    ),
    "capture-draws": Fault(
        "capture.Capture.undo", "generator.set_state(state)", "pass",
        ("test_a_capture_launches_nothing",),
    ),
    "results-at-once": Fault(
        "capture.Capture.undo", "else block.poison(_NEVER_RUN)", "else None",
        ("test_a_result_before_the_first_replay",),
    ),
    "custom-ops-whole": Fault(
        "capture.Capture.dispatch", "if rules.runs_python(op):", "if False:",
        ("test_what_a_custom_op_reads_of_python_is_read_once",
         "test_a_wait_inside_a_custom_op_names_both"),
    ),
    "opaque-callables-not-recorded": Fault(
        "device.Emulation.run_opaque", "if self.capture is None or self.is_resting:", "if True:",
        ("test_an_opaque_callable_is_one_launch",),
    ),
    "out-of-no-size-lost": Fault(
        "capture.Capture._record", "for tensor in grown:", "for tensor in ():",
        ("test_a_result_that_grew",),
    ),
    "items-allowed": Fault(
        "rules.waits_for_the_device", "if torch.Tag.data_dependent_output in op.tags:", "if False:",
        ("test_the_host_must_not_wait[item]", "test_the_host_must_not_wait[equal]"),
    ),
    "sizes-from-values-allowed": Fault(
        "rules.waits_for_the_device", "if torch.Tag.dynamic_output_shape in op.tags:", "if False:",
        ("test_the_host_must_not_wait[nonzero]",),
    ),
    "masks-allowed": Fault(
        "rules.waits_for_the_device", "not fills and any(", "False and any(",
        ("test_the_host_must_not_wait[mask]", "test_the_host_must_not_wait[write by mask]"),
    ),
    "host-reads-allowed": Fault(
        "current.host_waits", "_in_capture()", "False",
        ("test_the_host_must_not_wait[cpu]", "test_the_host_must_not_wait[synchronize]",
         "test_the_host_must_not_wait[print]"),
    ),
    "refusals-forgotten": Fault(
        "capture.Capture.refuse", "self.broken = self.broken or error", "pass",
        ("test_a_refused_capture_stays_refused",),
    ),
    "own-line-for-the-users": Fault(
        "where.user_line", "elif not name.startswith(_PLUMBING) and", "elif name and",
        ("test_the_host_must_not_wait[item]",),
    ),
    "nested-captures": Fault(
        "graph.graph_context", "if current.need().capture is not None:", "if False:",
        ("test_order_of_calls",),
    ),
    "replay-in-a-capture": Fault(
        "graph.CUDAGraph.replay", "if emulation.capture is not None:", "if False:",
        ("test_order_of_calls",),
    ),
    "default-stream-captured": Fault(
        "graph.CUDAGraph.capture_begin", "if stream == emulation.default_stream:", "if False:",
        ("test_order_of_calls",),
    ),
    "any-stream": Fault(
        "capture.Capture._check_stream", "if stream != self.stream and", "if False and",
        ("test_streams_outside_of_the_capture",),
    ),
    "unjoined-streams": Fault(
        "graph.CUDAGraph.capture_end", "if stream.used and", "if False and",
        ("test_streams_outside_of_the_capture",),
    ),
    "any-generator": Fault(
        "capture.Capture._check", "if generator is not None and", "if False and",
        ("test_a_generator_of_ones_own",),
    ),
    "empty-is-clean": Fault(
        "tape.Launch.run", "block.poison(None)", "pass",
        ("test_undefined_memory_is_poisoned",),
    ),
    "integers-not-poisoned": Fault(
        "memory.poison_value", "return torch.iinfo(dtype).max - _BELOW_MAX", "return 0",
        ("test_undefined_memory_is_poisoned",),
    ),
    "dead-memory-kept": Fault(
        "memory.Pool.dead", "if not block.is_owned()", "if False",
        ("test_memory_that_died_in_the_capture_goes_to_the_next_allocation",
         "test_memory_of_a_result_that_died_goes_to_the_next_capture"),
    ),
    "dead-memory-told-too-late": Fault(
        "capture.Capture._recycle", "self.entries.append(Recycle(dead, op, where))", "pass",
        ("test_memory_of_a_result_that_died_goes_to_the_next_capture",),
    ),
    "pools-run-together": Fault(
        "device.Emulation.begin", "pool = self.pools.get(handle) if handle is not None else None",
        "handle = handle or (0, 0); pool = self.pools.get(handle)", ("test_pools_are_apart",),
    ),
    "later-graphs-not-overrun": Fault(
        "graph.CUDAGraph._overrun_others", "if other is self.tape:", "if True:",
        ("test_an_earlier_graph_overruns_a_later_one",),
    ),
    "dead-inputs-read": Fault(
        "capture.Capture.check_outside", "owners(place.storage) == 0", "False",
        ("test_an_input_that_nobody_kept",),
    ),
    "stale-inputs-read": Fault(
        "graph.CUDAGraph._check_args", "if not refreshed:", "if False:",
        ("test_an_input_elsewhere",),
    ),
    "copied-inputs-blamed": Fault(
        "graph.CUDAGraph._check_args", "if not refreshed:", "if True:",
        ("test_an_input_elsewhere",),
    ),
    "arguments-looked-at-late": Fault(
        "device.Emulation.called_with", "a.clone()", "a",
        ("test_inputs_that_change_places",),
    ),
    "values-asked-in-a-capture": Fault(
        "capture.Capture.dispatch", "if not rules.blames_values(error):", "if True:",
        ("test_an_index_that_is_filled_after_the_capture[select]",),
    ),
    "inputs-in-containers-not-seen": Fault(
        "device.Emulation.called_with",
        "pytree.tree_leaves((args, dict(sorted(kwargs.items()))))", "args",
        ("test_an_input_elsewhere",),
    ),
    "python-state-not-watched": Fault(
        "capture.Capture.check_end", "is not None:", "is None and False:",
        ("test_python_state_that_a_capture_changes",),
    ),
    "memory-kept-after-reset": Fault(
        "graph.CUDAGraph.reset", "tape.pool.captures.remove(tape)", "pass",
        ("test_memory_goes_back",),
    ),
    "patches-stay": Fault(
        "patches.patched", "delattr(owner, name)", "pass", ("test_nothing_stays_patched",),
    ),
}  # fmt: skip


def _tests() -> dict[str, Callable[[], None]]:
    """The self-tests by name, and by name and case, each ready to be called."""
    found: dict[str, Callable[[], None]] = {}
    for name in ("test_emulation", "test_emulation_strict"):
        path = Path(__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"mutated_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for test_name, test in vars(module).items():
            if test_name.startswith("test_"):
                found |= _cases(test_name, test)
    return found


def _cases(name: str, test: Callable[..., None]) -> dict[str, Callable[[], None]]:
    marks = {mark.name: mark for mark in getattr(test, "pytestmark", ())}
    wanted = set(inspect.signature(test).parameters)
    wanted |= set(marks["usefixtures"].args) if "usefixtures" in marks else set()

    def ready(arguments: dict[str, Any]) -> Callable[[], None]:
        def call() -> None:
            around: Any = contextlib.nullcontext()
            if wanted & {"device", "emulated"}:
                around = emulation.emulate()
            with around as current:
                given = {key: current for key in ("device", "emulated") if key in parameters}
                test(**given, **arguments)

        return call

    parameters = inspect.signature(test).parameters
    if "parametrize" not in marks:
        return {name: ready({})}
    names, values = marks["parametrize"].args[:2]
    names = (names,) if isinstance(names, str) else tuple(names)
    cases: dict[str, Callable[[], None]] = {}
    for value in values:
        row = (value,) if len(names) == 1 else tuple(value)
        cases[f"{name}[{row[0]}]"] = ready(dict(zip(names, row, strict=True)))
    everything = list(cases.values())

    def all_of_them() -> None:
        for each in everything:
            each()

    cases[name] = all_of_them
    return cases


TESTS = _tests()


def _mutated(fault: Fault) -> tuple[Any, str, Any]:
    """The object that holds the function, the function's name, and the function with the fault."""
    module_name, *path = fault.place.split(".")
    module: ModuleType = importlib.import_module(_PACKAGE + module_name)
    owner: Any = module
    for part in path[:-1]:
        owner = getattr(owner, part)
    source = textwrap.dedent(inspect.getsource(vars(owner)[path[-1]]))
    assert source.count(fault.old) == 1, source
    names: dict[str, Any] = {}
    # in a namespace that falls back to the module's, so that its globals are the module's own
    code = compile(source.replace(fault.old, fault.new), module.__file__ or "", "exec")
    before = dict(vars(module))
    exec(code, vars(module), names)
    assert vars(module).keys() == before.keys()
    return owner, path[-1], names[path[-1]]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_its_tests(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the tests named with it, which pass without it."""
    fault = FAULTS[name]
    for test in fault.tests:
        TESTS[test]()
    owner, attribute, mutated = _mutated(fault)
    original = vars(owner)[attribute]
    for place in (owner, *(m for n, m in sys.modules.items() if n.startswith(_PACKAGE))):
        if vars(place).get(attribute) is original:  # modules have it under its name, too
            monkeypatch.setattr(place, attribute, mutated)
    passed = []
    for test in fault.tests:
        with contextlib.suppress(Exception, pytest.fail.Exception):
            TESTS[test]()
            passed.append(test)
    assert passed == []

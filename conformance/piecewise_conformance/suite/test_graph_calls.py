"""GRAPH: how a static-graph wrapper is called, emulated on a CPU, real on a GPU."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.cudagraphs.graph_wrapper import (
    FIRST,
    LAST,
    MIDDLE,
    graphs,
    kept,
    or_refused,
    same,
)

places = pytest.mark.parametrize("place", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])


def _collector() -> tuple[Any, ...]:
    return gc.collect, torch.cuda.empty_cache, gc.isenabled()


def _collecting(device: str) -> Callable[[torch.Tensor], torch.Tensor]:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        gc.collect(0)
        gc.collect(generation=0)
        if device == "cpu":  # a device may not give memory back in a capture
            torch.cuda.empty_cache()
        return y + 1

    return function


@requirement("GRAPH-008")
@places
def test_what_collects_garbage(
    subject: Subject, device: str, place: tuple[bool, bool, bool]
) -> None:
    """A callable that collects garbage, with arguments as it likes, is captured and replayed."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(_collecting(device), place=place)
        x = here.tensor(4, 3)
        for seed in range(3):
            x.copy_(here.tensor(4, 3, seed=seed))
            with here.batch("PIECEWISE", here.descriptor(4)):
                got = wrapped(x)
            if seed:
                same(f"in replay {seed}", x * 2 + 1, got)


@requirement("BACKEND-005")
@places
def test_the_collector_after_a_capture(
    subject: Subject, device: str, place: tuple[bool, bool, bool]
) -> None:
    """``gc.collect`` and ``empty_cache`` are after a capture what they were before it."""
    with graphs(subject, device) as here:
        wrapped = here.wrap(lambda x: x * 2, place=place)
        x, before = here.tensor(4, 3), _collector()
        try:
            with here.batch("PIECEWISE", here.descriptor(4)):
                wrapped(x)
            after = _collector()
        finally:
            gc.collect, torch.cuda.empty_cache = before[:2]
        if after != before:
            raise Violation(
                "a callable that collects garbage", expected=str(before), got=str(after)
            )


Call = tuple[tuple[Any, ...], dict[str, Any]]
CALLS: dict[str, Callable[[Any, Any], Call]] = {
    "a keyword": lambda x, y: ((x,), {"y": y}),
    "keywords": lambda x, y: ((), {"x": x, "y": y}),
    "a list": lambda x, y: (([x, y],), {}),
    "a tuple": lambda x, y: (((x, y),), {}),
    "a dict": lambda x, y: (({"x": x, "y": y},), {}),
    "a dict in a list": lambda x, y: ((x, [{"y": y}]), {}),
    "a dict by keyword": lambda x, y: ((x,), {"more": {"y": y}}),
}


def _read(*args: Any, **kwargs: Any) -> Any:
    """A function of two tensors, wherever they are."""
    x, y = torch.utils._pytree.tree_leaves((args, kwargs))
    return (x * 2 - y).sin()


@requirement("GRAPH-012")
@pytest.mark.parametrize("container", ["same", "fresh"])
@pytest.mark.parametrize("name", CALLS)
def test_inputs_in_containers(subject: Subject, device: str, name: str, container: str) -> None:
    """Inputs by keyword, in lists and in dicts: replays with other values at the same addresses,
    then at others, in containers of their own or in those of the capture, are right or refused.
    """
    with graphs(subject, device) as here:
        wrapped = here.wrap(_read, "FULL")
        x, y = here.tensor(4, 3), here.tensor(4, 3, seed=1)
        args, kwargs = CALLS[name](x, y)
        for number in range(5):
            if number < 3:
                x.copy_(here.tensor(4, 3, seed=10 + number))
                y.copy_(here.tensor(4, 3, seed=20 + number))
            else:
                x, y = here.tensor(4, 3, seed=30 + number), here.tensor(4, 3, seed=40 + number)
            fresh = CALLS[name](x, y)
            if container == "fresh":
                args, kwargs = fresh
            else:
                args = _filled(args, fresh[0])
                kwargs = {key: _filled(kwargs[key], fresh[1][key]) for key in kwargs}
            expected = (x * 2 - y).sin()
            with here.batch("FULL", here.descriptor(4)), or_refused(True):
                got = kept(wrapped(*args, **kwargs))
                if number:
                    same(f"in call {number} with inputs in {name}", expected, got)


def _filled(container: Any, fresh: Any) -> Any:
    """``container`` itself with what is in ``fresh``; ``fresh`` where that cannot be."""
    if isinstance(container, list):
        container[:] = [_filled(old, new) for old, new in zip(container, fresh, strict=True)]
        return container
    if isinstance(container, dict):
        container.update({key: _filled(old, fresh[key]) for key, old in container.items()})
        return container
    if isinstance(container, tuple):
        return tuple(_filled(old, new) for old, new in zip(container, fresh, strict=True))
    return fresh


def _by_name(*args: Any, **kwargs: Any) -> Any:
    """Depends on what the inputs are called, and on what they lie in."""
    if isinstance(args and args[0], list):
        return args[0][0] + args[0][1].cos()
    named: dict[Any, Any] = kwargs or (args[0] if isinstance(args[0], dict) else {})
    items = named.items() if named else enumerate(args)
    return sum(each * ord(str(name)) for name, each in items)


OTHERS: dict[str, tuple[Callable[[Any, Any], Call], Callable[[Any, Any], Call]]] = {
    "the other keyword": (
        lambda x, y: ((), {"a": x, "b": y}),
        lambda x, y: ((), {"b": x, "a": y}),
    ),
    "another keyword": (
        lambda x, y: ((), {"a": x, "b": y}),
        lambda x, y: ((), {"a": x, "c": y}),
    ),
    "the other key": (
        lambda x, y: (({"a": x, "b": y},), {}),
        lambda x, y: (({"b": x, "a": y},), {}),
    ),
    "another key": (
        lambda x, y: (({"a": x, "b": y},), {}),
        lambda x, y: (({"a": x, "c": y},), {}),
    ),
    "a list that was a dict": (
        lambda x, y: (({"a": x, "b": y},), {}),
        lambda x, y: (([x, y],), {}),
    ),
    "arguments that were in a list": (
        lambda x, y: (([x, y],), {}),
        lambda x, y: ((x, y), {}),
    ),
    "a list that was an argument": (
        lambda x, y: ((x, y), {}),
        lambda x, y: (([x, y],), {}),
    ),
    "keywords that were arguments": (
        lambda x, y: ((x, y), {}),
        lambda x, y: ((), {"a": x, "b": y}),
    ),
}


@requirement("GRAPH-014")
@pytest.mark.parametrize("name", OTHERS)
def test_other_containers(subject: Subject, device: str, name: str) -> None:
    """A batch of a known descriptor with the same tensors in other containers, or under other
    names, is computed right, or is refused.
    """
    before, after = OTHERS[name]
    with graphs(subject, device) as here:
        wrapped = here.wrap(_by_name, "FULL")
        x, y = here.tensor(4, 3), here.tensor(4, 3, seed=1)
        for call in (before, before, after):
            args, kwargs = call(x, y)
            expected = _by_name(*args, **kwargs)
            with here.batch("FULL", here.descriptor(4)), or_refused(True):
                got = kept(wrapped(*args, **kwargs))
                if call is after:
                    same(f"with {name}", expected, got)

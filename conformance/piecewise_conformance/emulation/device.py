"""The emulated device: its streams and pools, its graphs, and the capture under way."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree as pytree

from .capture import Capture
from .errors import CaptureError, DeadMemory
from .memory import AddressBook, Pool, unseen
from .streams import Stream
from .where import user_line

_handles = itertools.count(1)
captured: weakref.WeakSet[Any] = weakref.WeakSet()
"""All graphs, of emulations that are over as well: they keep their pools."""


class Emulation:
    """One emulated device. ``events`` tells what was seen and is no error."""

    def __init__(self, watched: Sequence[Any] = ()) -> None:
        self.capture: Capture | None = None
        self.book = AddressBook()
        self.pools: dict[Any, Pool] = {}
        self.graphs: list[weakref.ref[Any]] = []
        self.events: list[Any] = []
        self.args: tuple[Any, ...] = ()
        self.contents: tuple[Any, ...] = ()  # of the arguments, when the call began
        self.watched = list(watched)
        self.default_stream = Stream()
        self.stream_stack = [self.default_stream]
        self.other_streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self.is_resting = False
        self.is_dummy = False

    # -- for tests -----------------------------------------------------------------------------

    def live_graphs(self) -> list[Any]:
        """The graphs that were captured and neither reset nor collected, in order."""
        made = [each() for each in self.graphs]
        return [each for each in made if each is not None and each.tape is not None]

    def reserved(self) -> int:
        """Bytes that pools keep: those of graphs that live, and of tensors from them."""
        return sum(
            block.storage.nbytes()
            for pool in self.pools.values()
            for block in pool.blocks
            if block.is_owned() or block.capture in pool.captures
        )

    @contextmanager
    def called_with(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """What is captured or replayed inside serves a call with ``args`` and ``kwargs``, also
        with tensors in containers that torch's pytree knows.

        A replay of a graph that read an argument at another address, and whose content is not
        at that address, is StaleInput; where a wrapper copied it, a ChangedInput event.
        """
        given = tuple(pytree.tree_leaves((args, dict(sorted(kwargs.items())))))
        with unseen():  # as they are now: a wrapper may write into where one of them lies
            contents = tuple(a.clone() if isinstance(a, torch.Tensor) else a for a in given)
        before = self.args, self.contents
        self.args, self.contents = given, contents
        try:
            yield
        finally:
            self.args, self.contents = before

    @contextmanager
    def dummy_run(self) -> Iterator[None]:
        """Whoever captures inside knows that a capture launches nothing, and uses no result of it.

        Memory made in such a capture is zero until a replay, and may be read: what is computed
        from it is thrown away.
        """
        before, self.is_dummy = self.is_dummy, True
        try:
            yield
        finally:
            self.is_dummy = before

    # -- for the parts -------------------------------------------------------------------------

    def begin(self, generators: list[Any], handle: Any, stream: Stream) -> Capture:
        """Start a capture into the pool of ``handle``, or into a new one."""
        pool = self.pools.get(handle) if handle is not None else None
        if pool is not None and pool.is_over and handle not in _handles_in_use():
            raise CaptureError(
                "the pool of this handle ended with its last graph; use a new handle",
                op="capture_begin",
                where=user_line(),
            )
        if pool is None:
            handle = handle if handle is not None else new_handle()
            pool = self.pools[handle] = Pool(handle)
        for each in self.streams():
            each.used = False
            each.after.clear()
        self.capture = Capture(generators, pool, stream, self.book, self.watched)
        return self.capture

    def empty_cache(self) -> None:
        """Pools that are over, and of which no tensor is left, go: their handles are new again."""
        for handle, pool in list(self.pools.items()):
            if pool.is_over and not any(block.is_owned() for block in pool.blocks):
                del self.pools[handle]

    def abandon(self) -> None:
        """End the capture under way, and put back what it did."""
        if self.capture is not None:
            capture, self.capture = self.capture, None
            capture.undo(zero=self.is_dummy)

    def streams(self) -> list[Stream]:
        """All streams there are."""
        return [self.default_stream, *self.other_streams]

    @contextmanager
    def resting(self) -> Iterator[None]:
        """A replay: opaque callables run, and are not recorded."""
        before, self.is_resting = self.is_resting, True
        try:
            yield
        finally:
            self.is_resting = before

    def check_alive(self, tensor: Any, what: str) -> None:
        """DeadMemory if the content of ``tensor`` is not what its graph wrote last."""
        block = self.book.find(tensor.untyped_storage().data_ptr())
        if block is not None and block.lost is not None:
            raise DeadMemory(
                f"reads what {block.op} at {block.where} wrote, but {block.lost}",
                op=what,
                where=user_line(),
            )

    def run_opaque(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call ``function``; in a capture as one launch."""
        if self.capture is None or self.is_resting:
            if not self.is_resting:
                for each in pytree.tree_leaves((args, kwargs)):
                    if isinstance(each, torch.Tensor):
                        self.check_alive(each, name)
            return function(*args, **kwargs)

        def quietly(*own: Any, **named: Any) -> Any:
            with self.resting():
                return function(*own, **named)

        return self.capture.opaque(name, quietly, args, kwargs)


def new_handle() -> tuple[int, int]:
    """``torch.cuda.graph_pool_handle``."""
    return (0, next(_handles))


def _handles_in_use() -> set[Any]:
    return {graph.tape.pool.handle for graph in captured if graph.tape is not None}

"""``torch.cuda.CUDAGraph`` without a device: captures to a tape, replays the tape."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from . import current
from .capture import Capture
from .device import Emulation, captured
from .errors import CaptureError, StaleInput
from .memory import unseen
from .tape import Place
from .where import user_line


@dataclass(frozen=True)
class ChangedInput:
    """A replay was called with an input elsewhere than at capture, and the wrapper saw to it."""

    position: int
    where: str


class CUDAGraph:
    """The class that stands for ``torch.cuda.CUDAGraph`` inside an emulation."""

    def __init__(self, keep_graph: bool = False) -> None:
        self.tape: Capture | None = None
        self.generators: list[torch.Generator] = []
        self.replays = 0
        self.args: list[Place | None] = []  # what the callable was called with, where told
        self._capture: Capture | None = None  # under way

    def register_generator_state(self, generator: torch.Generator) -> None:
        """Let ops of the capture draw from ``generator``."""
        self.generators.append(generator)

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global", **_: Any) -> None:
        """Record from here on. CaptureError in a capture, on the default stream, or again."""
        emulation, where = current.need(), user_line()
        if emulation.capture is not None:
            raise CaptureError("a capture is in progress", op="capture_begin", where=where)
        if self.tape is not None:
            raise CaptureError(
                "the graph has already been captured", op="capture_begin", where=where
            )
        stream = current.current_stream()
        if stream == emulation.default_stream:
            raise CaptureError(
                "the default stream cannot be captured", op="capture_begin", where=where
            )
        self._capture = emulation.begin(self.generators, pool, stream)
        self.args = [Place.of(a) if isinstance(a, torch.Tensor) else None for a in emulation.args]

    def capture_end(self) -> None:
        """Record no more. What the capture made has no content until a replay."""
        emulation = current.need()
        capture, self._capture = self._capture, None
        if capture is None or emulation.capture is not capture:
            raise CaptureError(
                "no capture of this graph is in progress", op="capture_end", where=user_line()
            )
        emulation.abandon()
        if capture.broken is not None:
            raise capture.broken
        for stream in emulation.streams():
            joined = {capture.stream.cuda_stream} | capture.stream.after
            if stream.used and stream.cuda_stream not in joined:
                raise CaptureError(
                    "work on another stream was not joined; let the capturing stream wait for it",
                    op="capture_end",
                    where=user_line(),
                )
        capture.check_end()
        self.tape = capture
        capture.pool.captures.append(capture)
        capture.pool.served = True
        emulation.graphs.append(weakref.ref(self))
        captured.add(self)
        if not capture.launches():
            warnings.warn("The CUDA Graph is empty.", stacklevel=2)

    def replay(self) -> None:
        """Run the tape; CaptureError if there is none, or in a capture."""
        emulation, where = current.need(), user_line()
        if emulation.capture is not None:
            raise CaptureError("a capture is in progress", op="replay", where=where)
        if self.tape is None:
            raise CaptureError("the graph has not been captured", op="replay", where=where)
        self._check_args(emulation)
        self.tape.check_outside()
        self._overrun_others(where)
        with unseen(), emulation.resting():
            for entry in self.tape.entries:
                entry.run()
        self.replays += 1

    def reset(self) -> None:
        """Forget the tape; its memory goes back, but for what the program still holds."""
        tape, self.tape = self.tape, None
        if tape is None:
            return
        tape.pool.captures.remove(tape)
        for block in tape.blocks:
            if not block.is_owned():
                block.poison("its graph was reset")

    def pool(self) -> Any:
        """The handle of the pool that it took its memory from."""
        if self.tape is None:
            raise CaptureError("the graph has not been captured", op="pool", where=user_line())
        return self.tape.pool.handle

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the interpreter torch may be gone
            self.reset()

    def _overrun_others(self, where: str) -> None:
        """Graphs that were captured when memory of this one was free may lie in it."""
        assert self.tape is not None
        own = set(map(id, self.tape.blocks))
        for other in self.tape.pool.captures:
            if other is self.tape:
                continue
            if any(id(block) in own for block in other.recycled):
                for block in other.blocks:
                    block.poison(f"a replay at {where} wrote over it: the graphs share a pool")

    def _check_args(self, emulation: Emulation) -> None:
        """StaleInput if the tape reads where an argument lay and its content is not there."""
        assert self.tape is not None
        if len(emulation.args) != len(self.args):
            return
        for position, (place, given) in enumerate(zip(self.args, emulation.args, strict=True)):
            if place is None or not isinstance(given, torch.Tensor):
                continue
            now = Place.of(given)
            if (now.address, now.offset) == (place.address, place.offset):
                continue
            read = self.tape.outside.get(place.address)
            if read is None:
                continue
            with unseen():
                content = emulation.contents[position]
                refreshed = place.shape == now.shape and same_bits(place.tensor(), content)
            if not refreshed:
                raise StaleInput(
                    f"a replay reads input {position} at its captured address, but the input is at "
                    "another one; copy it there, or refuse the call",
                    op=read[1].op,
                    where=read[1].where,
                )
            emulation.events.append(ChangedInput(position, user_line()))


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether both hold the same values, NaN equal to NaN."""
    return first.dtype == second.dtype and bool(
        ((first == second) | ((first != first) & (second != second))).all()
    )


@contextlib.contextmanager
def graph_context(
    cuda_graph: CUDAGraph,
    pool: Any = None,
    stream: Any = None,
    capture_error_mode: str = "global",
    **_: Any,
) -> Iterator[None]:
    """``torch.cuda.graph``: capture what is launched inside, on a stream of its own."""
    if current.need().capture is not None:
        raise CaptureError("a capture is in progress", op="torch.cuda.graph", where=user_line())
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    with torch.cuda.stream(stream or torch.cuda.Stream()):
        cuda_graph.capture_begin(*([pool] if pool is not None else []))
        try:
            yield
        except BaseException:
            current.need().abandon()
            raise
        cuda_graph.capture_end()

"""Streams, as far as a capture depends on them: work runs at once, and in one order."""

from __future__ import annotations

import itertools
from typing import Any

from .current import current, current_stream, host_waits

_numbers = itertools.count(1)


class Stream:
    """A stream. ``after`` are the streams whose work it has waited for."""

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.device = device
        self.cuda_stream = self.stream_id = next(_numbers)
        self.after: set[int] = set()
        self.used = False  # in the capture under way
        if (emulation := current()) is not None:
            emulation.other_streams.add(self)

    def wait_stream(self, other: Any) -> None:
        """Later work here comes after what ``other`` has been given."""
        self.after |= {other.cuda_stream} | other.after

    def wait_event(self, event: Any) -> None:
        """Later work here comes after ``event``."""
        self.after |= event.after

    def record_event(self, event: Any = None) -> Any:
        """An event that stands for the work so far."""
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        """Wait for the work so far; not allowed in a capture."""
        host_waits("Stream.synchronize")

    def query(self) -> bool:
        """Whether the work so far is done; not allowed in a capture."""
        host_waits("Stream.query")
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)


class Event:
    """A point in the work of a stream."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.after: set[int] = set()

    def record(self, stream: Any = None) -> None:
        """Stand for the work that ``stream``, or the current one, has been given."""
        stream = stream or current_stream()
        self.after = {stream.cuda_stream} | stream.after

    def wait(self, stream: Any = None) -> None:
        """Let ``stream``, or the current one, come after this."""
        (stream or current_stream()).wait_event(self)

    def query(self) -> bool:
        """Whether it is reached; not allowed in a capture."""
        self.synchronize()
        return True

    def synchronize(self) -> None:
        """Wait until it is reached; not allowed in a capture."""
        host_waits("Event.synchronize")

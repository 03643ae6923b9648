"""A correct manager, range and copying of another kind, each on its own.

Entries are in a literal of another name, bound by a seal to the code, the inputs and the handle.
Copied inputs are refused where they are larger than the first ones, or were written.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))  # it is given to the harness by its path
from cutting import Part
from keeping import digest, identity, settled
from up_front import checked, compiler_for

ABILITIES = ("seed-layout",)
cache_file = "entries.txt"


@dataclass(frozen=True)
class Range:
    """Sizes from ``start`` to ``end``, both included."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if type(self.start) is not int or type(self.end) is not int:
            raise TypeError(f"a range has two integers, not {self.start!r} and {self.end!r}")
        if self.start < 1 or self.end < self.start:
            raise ValueError(f"no range: {self.start} to {self.end}")

    def is_single_size(self) -> bool:
        """Whether it holds one size."""
        return self.start == self.end

    def __contains__(self, size: int) -> bool:
        return self.start <= size <= self.end

    def __str__(self) -> str:
        return f"({self.start}, {self.end})"


def make_config(options: Any) -> Any:
    """The options are the config."""
    return checked(options)


def sound(key: Any, value: Any) -> bool:
    """Whether an entry has the form of one."""
    match key, value:
        case ((int(start), int(end)), int(index), str()), {"handle": _, "seal": str()}:
            whole = not any(isinstance(each, bool) for each in (start, end, index))
            return whole and 1 <= start <= end and index >= 0
    return False


def read(path: Path) -> dict[Any, Any]:
    """The sound entries of a file; ValueError if it is no literal dict."""
    try:
        found = ast.literal_eval(path.read_bytes().decode())
        if not isinstance(found, dict):
            raise ValueError(f"{path} holds no dict")
        entries = dict(found)
    except (SyntaxError, TypeError, MemoryError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no literal: {error}") from error
    if any(not sound(*each) for each in entries.items()):
        _aside(path)
    return {key: value for key, value in entries.items() if sound(key, value)}


def _aside(path: Path) -> None:
    """Keep a copy of what is not all understood."""
    content = path.read_bytes()
    kept = path.with_name(f"{path.name}.{digest(content.hex())[:12]}.kept")
    if not kept.exists():
        kept.write_bytes(content)


def keepable(handle: Any) -> bool:
    """Whether a literal of it is the handle again, and can be written."""
    try:
        text = repr(handle)
        again = ast.literal_eval(text)
        text.encode()
        return type(again) is type(handle) and repr(again) == text
    except Exception:  # of the handle's own, such as a repr that raises
        return False


def memory(inputs: list[Any]) -> list[Any]:
    """Which inputs share memory, and their layouts."""
    seen: dict[int, int] = {}
    found: list[Any] = []
    for at, each in enumerate(inputs):
        if not isinstance(each, torch.Tensor):
            found.append(type(each).__name__ + str(each))
            continue
        try:
            first = seen.setdefault(each.untyped_storage()._cdata, at)
        except NotImplementedError:
            first = at
        found.append((str(each.dtype), str(each.device), str(list(each.shape)),
                      str(each.stride()), str(each.storage_offset()), first))  # fmt: skip
    return found


class CompilerManager:
    """Compiles, or finds that it was done."""

    def __init__(self, options: Any) -> None:
        self.options, self.compiler = options, compiler_for(options)
        self.cache: dict[Any, Any] = {}
        self.fresh: dict[Any, Any] = {}
        self.path: Path | None = None

    def initialize_cache(self, cache_dir: str, disable: bool = False, prefix: str = "") -> None:
        """Read what is there."""
        self.cache, self.fresh = {}, {}
        self.path = None if disable else Path(cache_dir, cache_file)
        self.compiler.initialize_cache(cache_dir, disable, prefix)
        self._adopt()

    def _adopt(self) -> None:
        if self.path is None:
            return
        try:
            found = read(self.path)
        except (OSError, ValueError):
            return
        self.cache = {(Range(*ends), at, name): v for (ends, at, name), v in found.items()}

    def _seal(self, graph: Any, inputs: Any, key: Any, handle: Any) -> str:
        part = Part(False, graph, [], [], list(inputs))
        settings = settled(self.options.compiler_config)
        about = (str(key[0]), str(key[1]), key[2], repr(handle), settings, str(torch.__version__))
        return digest(identity(part), str(memory(list(inputs))), *about)

    def load(self, graph: Any, inputs: Any, index: int, ends: Any) -> Any:
        """What was compiled, or None."""
        key = (ends, index, self.compiler.name)
        entry = self.cache.get(key) if self.path is not None else None
        if entry is None or entry["seal"] != self._seal(graph, inputs, key, entry["handle"]):
            return None
        try:
            return self.compiler.load(entry["handle"], graph, list(inputs), index, ends)
        except Exception:
            return None

    def compile(
        self, graph: Any, inputs: Any, settings: Any, _: Any, ends: Any, index: int, count: int
    ) -> Any:
        """From the cache, or by the compiler."""
        if (loaded := self.load(graph, inputs, index, ends)) is not None:
            return loaded
        key = (ends, index, self.compiler.name)
        name = digest(str(key))[:12]
        code, handle = self.compiler.compile(graph, list(inputs), dict(settings), ends, name)
        self.cache.pop(key, None)
        if handle is not None and self.path is not None and keepable(handle):
            seal = self._seal(graph, inputs, key, handle)
            self.cache[key] = self.fresh[key] = {"handle": handle, "seal": seal}
        return code

    def save_to_file(self) -> None:
        """Join what is new with what is there by now."""
        if self.path is None or not self.fresh:
            return
        with contextlib.suppress(OSError), (self.path.with_suffix(".lock")).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there: dict[Any, Any] = {}
            if self.path.exists():
                try:
                    there = read(self.path)
                except ValueError:
                    _aside(self.path)
            for (ends, at, name), value in self.fresh.items():
                there[(ends.start, ends.end), at, name] = value
            text = "{\n" + "".join(f"    {k!r}: {v!r},\n" for k, v in there.items()) + "}\n"
            with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as new:
                new.write(text)
            os.replace(new.name, self.path)
            self.fresh = {}


def make_copy_and_call(
    indices: list[int], buffers: list[Any], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Copy some inputs into memory that stays; refuse what does not fit, or was written there."""
    kept: dict[int, torch.Tensor] = {
        at: each for at, each in zip(indices, buffers, strict=True) if each is not None
    }
    ends = sorted((each.data_ptr(), each.data_ptr() + each.nbytes) for each in kept.values())
    if any(end > begin for (_, end), (begin, _) in itertools.pairwise(ends)):
        raise ValueError("two buffers overlap")

    def call(*args: Any) -> Any:
        own = list(args)
        for at in indices:
            given = args[at]
            if not isinstance(given, torch.Tensor):
                raise TypeError(f"input {at} is to be copied, and is {given!r}: pass a tensor")
            if at not in kept:
                kept[at] = given.clone()
            there = kept[at]
            if (given.dtype, given.device) != (there.dtype, there.device):
                raise TypeError(
                    f"input {at} is {given.dtype} on {given.device}, and was {there.dtype} on "
                    f"{there.device} at first"
                )
            if given.shape[1:] != there.shape[1:]:
                raise ValueError(f"input {at} is {given.shape}, and was {there.shape} at first")
            if given.shape[0] > there.shape[0]:
                raise ValueError(
                    f"input {at} has {given.shape[0]} rows, and there is room for {there.shape[0]}"
                )
            own[at] = there[: given.shape[0]]
            if own[at].stride() != given.stride() and given.numel():
                raise ValueError(f"input {at} has strides {given.stride()}: pass it contiguous")
            own[at].copy_(given)
        before = {at: _writes(own[at]) for at in indices}
        outside = [_writes(args[at]) for at in indices]
        made = function(*own)
        if outside != [_writes(args[at]) for at in indices]:
            raise RuntimeError("memory of a copied input was written beside its copy")
        for at, writes in before.items():
            was_written = not torch.equal(own[at], args[at]) if writes is None else False
            if was_written or _writes(own[at]) != writes:
                raise RuntimeError(f"input {at} was written: it is a copy, so you would not see it")
        leaves = torch.utils._pytree.tree_leaves(made)
        where = {own[at].untyped_storage().data_ptr(): at for at in indices}
        for each in leaves:
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() in where:
                at = where[each.untyped_storage().data_ptr()]
                raise RuntimeError(f"an output lies in the copy of input {at}")
        return made

    return call


def _writes(tensor: torch.Tensor) -> int | None:
    """How often ``tensor`` was written; None in inference mode, where torch does not count."""
    return None if tensor.is_inference() else tensor._version

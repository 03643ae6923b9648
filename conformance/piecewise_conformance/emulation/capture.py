"""One capture under way: it turns what is called into entries of a tape.

On a device a capture launches nothing. Here ops do run, for the shapes of their results, and at
the end everything is put back: memory from before the capture gets its content again, the random
generator its state, and memory made in the capture is poisoned until a replay writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch.utils import _pytree as pytree

from . import rules
from .current import current_stream
from .errors import CaptureError, DeadMemory, ForeignAllocation, HostSync, NotEmulated, PythonEffect
from .memory import AddressBook, Block, Pool, owners, unseen
from .streams import Stream
from .tape import Entry, Launch, Place, Recycle, places_in, places_of
from .uncomputed import uncomputed
from .where import user_line

_BRANCHING = ("cond", "while_loop")  # ops of higher order that ask for a value
_NEVER_RUN = "its graph was captured and not replayed yet: a capture launches nothing"


class Capture:
    """What a graph gets from its capture: ``entries``, ``blocks``, and ``outside`` memory."""

    def __init__(
        self,
        generators: list[torch.Generator],
        pool: Pool,
        stream: Stream,
        book: AddressBook,
        watched: list[Any],
    ) -> None:
        self.generators = generators  # that the graph was told of
        self.pool, self.stream, self.book = pool, stream, book
        self.broken: CaptureError | None = None  # what it was refused for
        self.entries: list[Entry] = []
        self.blocks: list[Block] = []
        self.recycled: list[Block] = []
        self.outside: dict[int, tuple[Place, Launch]] = {}  # by address, with its first reader
        self.kept: list[Any] = []  # constants made on the host in the capture
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        drawn_from = (torch.default_generator, *generators)
        self._random = [(each, each.get_state()) for each in drawn_from]
        self._watched = [(each, _python_state(each)) for each in watched]
        self._nested: list[str] = []

    # -- what is called in the capture --------------------------------------------------------

    def dispatch(self, mode: Any, op: Any, args: Any, kwargs: Any) -> Any:
        """Run ``op`` and record it; CaptureError if a capture does not allow it."""
        name, where = self._named(rules.name_of(op)), user_line()
        self._check(op, name, where, args, kwargs)
        if rules.is_composite(op):
            with mode:  # seen where autograd is off: what counts are the ops that it consists of
                return op.decompose(*args, **kwargs)
        if rules.runs_python(op):
            return self._run_python(mode, op, args, kwargs)
        tensors = _tensors((args, kwargs))
        if rules.makes_memory(op):
            self._recycle(name, where)
        for tensor in rules.written(op, args, kwargs):
            self._save(tensor)
        asked = places_of(args), places_of(kwargs)
        bare = [each for each in tensors if not each.untyped_storage().nbytes()]
        try:
            found, is_computed = op(*args, **kwargs), True
        except (IndexError, RuntimeError) as error:
            if not rules.blames_values(error):
                raise
            found, is_computed = uncomputed(op, args, kwargs, error), False
        grown = [each for each in bare if each.untyped_storage().nbytes()]  # an out= of no size
        if rules.is_pure_view(op):
            if name == "aten::lift_fresh":
                self.kept += _tensors(found)  # made by the host: no allocation of the device
            return found
        self._record(
            name, where, op, *asked, tensors, found,
            is_empty=rules.is_undefined(op), grown=grown, is_computed=is_computed,
        )  # fmt: skip
        return found

    def opaque(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """Run ``function``, whose kernels no dispatcher sees, and record it as one launch."""
        where = user_line()
        self._check_stream(name, where)
        tensors = _tensors((args, kwargs))
        self._recycle(name, where)
        for tensor in tensors:
            self._save(tensor)
        places = places_of((args, kwargs))  # before: some callables empty the list they are given
        with unseen():
            found = function(*args, **kwargs)
        self._record(name, where, function, places[0], places[1], tensors, found)
        return found

    def refuse_higher_order(self, op: Any) -> None:
        """HostSync for a branch or a loop, for whose condition the host waits; NotEmulated else."""
        name, where = self._named(op.name()), user_line()
        if op.name() in _BRANCHING:
            why = "Python branches on a value that the device has not computed yet"
            self.refuse(HostSync(why, op=name, where=where))
        raise NotEmulated("a higher-order op in a capture", op=name, where=where)

    def _named(self, name: str) -> str:
        return " > ".join([*self._nested, name])

    def _check(self, op: Any, name: str, where: str, args: Any, kwargs: Any) -> None:
        self._check_stream(name, where)
        if (why := rules.waits_for_the_device(op, args)) is not None:
            self.refuse(HostSync(why, op=name, where=where))
        generator = kwargs.get("generator")
        known = {_identity(each) for each in (torch.default_generator, *self.generators)}
        if generator is not None and _identity(generator) not in known:  # another object each time
            self.refuse(
                CaptureError(
                    "uses a generator that is not registered; call register_generator_state first",
                    op=name,
                    where=where,
                )
            )
        for tensor in _tensors((args, kwargs)):
            if tensor.layout is not torch.strided:
                raise NotEmulated(f"a tensor of layout {tensor.layout}", op=name, where=where)

    def _check_stream(self, name: str, where: str) -> None:
        stream = current_stream()
        if stream != self.stream and self.stream.cuda_stream not in stream.after:
            self.refuse(
                ForeignAllocation(
                    "allocates on a stream that is not part of the capture; let that stream wait "
                    "for the capturing stream first",
                    op=name,
                    where=where,
                )
            )
        stream.used = True

    def _run_python(self, mode: Any, op: Any, args: Any, kwargs: Any) -> Any:
        self._nested.append(rules.name_of(op))
        try:
            with mode:
                return op.redispatch(
                    torch._C.DispatchKeySet(torch._C.DispatchKey.CPU), *args, **kwargs
                )
        finally:
            self._nested.pop()

    # -- memory ------------------------------------------------------------------------------

    def _recycle(self, op: str, where: str) -> None:
        """The allocation that ``op`` is about to make may lie in any memory that died."""
        known = set(map(id, self.recycled))
        dead = [block for block in self.pool.dead() if id(block) not in known]
        if dead:
            self.recycled += dead
            self.entries.append(Recycle(dead, op, where))

    def _save(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        block = self.book.find(address)
        if not address or address in self._before or (block is not None and block.capture is self):
            return
        with unseen():
            self._before[address] = (storage, storage.clone())

    def _record(
        self,
        name: str,
        where: str,
        function: Callable[..., Any],
        args: Any,
        kwargs: Any,
        tensors: list[torch.Tensor],
        found: Any,
        *,
        is_empty: bool = False,
        grown: Sequence[torch.Tensor] = (),
        is_computed: bool = True,
    ) -> None:
        given = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        launch = Launch(name, where, function, args, kwargs, [], is_empty=is_empty)
        for tensor in _tensors(found):
            place = Place.of(tensor)
            if place.storage.nbytes() == 0 or place.address in given:
                launch.results.append(None if place.address in given else place)
                continue
            self._add_block(place, launch)
            launch.results.append(place)
        for tensor in grown:
            self._add_block(Place.of(tensor), launch)
        for place in places_in((args, kwargs)):
            block = self.book.find(place.address)
            if block is None or block.capture is not self:
                self.outside.setdefault(place.address, (place, launch))
        if is_empty:
            launch.run()
        if not is_computed:
            for block in launch.made:
                block.poison(None)
        self.entries.append(launch)

    def _add_block(self, place: Place, launch: Launch) -> None:
        if self.book.find(place.address) is None:
            made = Block(place.storage, place.dtype, self, launch.op, launch.where)
            self.book.add(made)
            self.blocks.append(made)
            self.pool.blocks.append(made)
            launch.made.append(made)

    def refuse(self, error: CaptureError) -> NoReturn:
        """Raise ``error``; the capture is void, also if the program goes on."""
        self.broken = self.broken or error
        raise error

    # -- the end -----------------------------------------------------------------------------

    def undo(self, *, zero: bool) -> None:
        """Put back what the ops did, and poison what they made, or make it ``zero``."""
        with unseen():
            for storage, content in self._before.values():
                if storage.nbytes() != content.nbytes():
                    raise NotEmulated("an input was resized in a capture", where=user_line())
                storage.copy_(content)
        self._before.clear()
        for generator, state in self._random:
            generator.set_state(state)
        for block in self.blocks:
            block.clear() if zero else block.poison(_NEVER_RUN)

    def check_end(self) -> None:
        """PythonEffect if watched Python state changed."""
        for thing, before in self._watched:
            if (changed := _changed(before, _python_state(thing))) is not None:
                raise PythonEffect(
                    "was changed by Python code in a capture; a replay does not repeat it",
                    op=f"{type(thing).__name__}.{changed}",
                    where=user_line(),
                )

    def check_outside(self) -> None:
        """DeadMemory if what a replay is about to read has no owner, or no content."""
        for place, launch in self.outside.values():
            block = self.book.find(place.address)
            if block is not None and block.lost is not None:
                raise DeadMemory(
                    f"a replay reads memory of another graph: {block.lost}",
                    op=launch.op,
                    where=launch.where,
                )
            if block is None and place.storage.nbytes() and owners(place.storage) == 0:
                raise DeadMemory(
                    "a replay reads a captured input that has been freed; keep it alive, or refuse "
                    "the call",
                    op=launch.op,
                    where=launch.where,
                )

    def launches(self) -> list[Launch]:
        """The entries that compute something."""
        return [e for e in self.entries if isinstance(e, Launch) and not e.is_empty]


def _tensors(values: Any) -> list[torch.Tensor]:
    return [each for each in pytree.tree_leaves(values) if isinstance(each, torch.Tensor)]


def _identity(generator: Any) -> Any:
    return generator._cdata


def _python_state(thing: Any) -> dict[str, tuple[Any, Any]]:
    """What of ``thing`` Python code can rebind: its attributes, and the content of containers."""
    if isinstance(thing, (list, set)):
        return {"content": (None, list(map(id, thing)))}
    if isinstance(thing, dict):
        return {"content": (None, {key: id(value) for key, value in thing.items()})}
    return {
        name: (value, _content(value))
        for name, value in vars(thing).items()
        if not isinstance(value, torch.UntypedStorage)
    }


def _content(value: Any) -> Any:
    if isinstance(value, (list, tuple, set)):
        return list(map(id, value))
    return {key: id(each) for key, each in value.items()} if isinstance(value, dict) else None


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            return name
        (old, old_content), (new, new_content) = before[name], after[name]
        if old is not new or old_content != new_content:
            return name
    return None

"""A correct backend of another design: no stitched graph, everything compiled up front, sqlite.

Neighbouring splitting ops run together. Parts are run by a loop in Python, which forgets a value
after its last use. All ranges are compiled when the backend is called. What was compiled is kept
in a database, by the digest of the code and not by where it stood.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx

sys.path.insert(0, str(Path(__file__).parent))  # it is given to the harness by its path
from cutting import Part, Place, children, cut, known, symbols
from keeping import Store, digest, identity, settled
from keeping import cache_file as cache_file

# its folders and notes have the names of the seed's; its store has not
ABILITIES = ("eager", "splitting", "custom-compiler", "compile-ranges", "cache", "seed-layout")


@dataclass(frozen=True)
class Ends:
    """A range of batch sizes."""

    start: int
    end: int


@dataclass(frozen=True)
class Split:
    """An event: so many parts."""

    pieces: int
    splitting: int


@dataclass(frozen=True)
class Compile:
    """An event: compiled."""

    piece: int
    compile_range: Ends
    compiler: str
    saved: bool


@dataclass(frozen=True)
class CacheHit:
    """An event: loaded."""

    piece: int
    compile_range: Ends
    compiler: str


_open: list[list[Any]] = []


@contextlib.contextmanager
def record_events() -> Iterator[list[Any]]:
    """Whatever happens while this is open."""
    _open.append([])
    mine = _open[-1]
    try:
        yield mine
    finally:
        _open[:] = [each for each in _open if each is not mine]


def tell(event: Any) -> None:
    """Note an event."""
    for each in _open:
        each.append(event)


# -- the backend ----------------------------------------------------------------------------------


class AsItIs:
    """The compiler that does nothing."""

    name = "eager"

    def compile(self, graph: Any, *_: Any) -> tuple[Any, Any]:
        """The graph."""
        return graph, None

    def compute_hash(self, config: Any) -> str:
        """Nothing to tell."""
        return ""

    def initialize_cache(self, *_: Any) -> None:
        """Nothing to keep."""


def compiler_for(options: Any) -> Any:
    """The compiler that is asked for."""
    module, _, name = options.compiler.rpartition(".")
    return getattr(importlib.import_module(module), name)() if module else AsItIs()


def checked(options: Any) -> Any:
    """The options, whose endpoints must ascend up to the maximum, and sizes lie within it."""
    ends, top = list(options.compile_ranges_endpoints), options.max_num_batched_tokens
    if ends != sorted(set(ends)) or any(not 0 < each <= top for each in ends):
        raise ValueError(f"compile_ranges_endpoints {ends} do not ascend within 1 to {top}")
    if wrong := [size for size in options.compile_sizes if not 1 <= size <= top]:
        raise ValueError(f"compile_sizes has {wrong[0]}, which is not within 1 to {top}")
    return options


def ranges(options: Any) -> list[Ends]:
    """Single sizes first, then what lies between the endpoints."""
    top = options.max_num_batched_tokens
    cuts = sorted({each for each in options.compile_ranges_endpoints if each < top} | {top})
    starts = [1, *(each + 1 for each in cuts[:-1])]
    singles = [Ends(each, each) for each in sorted(set(options.compile_sizes))]
    return [*singles, *map(Ends, starts, cuts)]


def _for_any_size(function: Callable[..., Any]) -> Callable[[int | None], Callable[..., Any]]:
    """The code of a piece that is the same for every batch size."""
    return lambda size: function


def concrete(value: Any, size: int, batch: Any) -> Any:
    """An example input for a batch of one size: its own fake tensor, or number."""

    def number(each: Any) -> Any:
        if not isinstance(each, torch.SymInt):
            return each
        result = each.node.expr.subs({batch: size})
        return int(result) if result.is_number else each

    if isinstance(value, torch.Tensor):
        mode = torch._guards.detect_fake_mode(value)
        assert mode is not None
        with mode:
            return torch.empty_strided(
                tuple(map(number, value.shape)),
                tuple(map(number, value.stride())),
                dtype=value.dtype,
                device=value.device,
            )
    return number(value)


class Run:
    """The parts, one after another."""

    def __init__(self, gm: fx.GraphModule, parts: list[Part], batch: int | None) -> None:
        self.gm, self.parts, self.batch = gm, parts, batch
        self.inputs = [node.name for node in gm.graph.find_nodes(op="placeholder")]
        self.nodes = {node.name: node for node in gm.graph.nodes}
        self.output = gm.graph.output_node().args[0]
        self.code: list[Callable[[int | None], Callable[..., Any]]] = []
        wanted = {(node.name, ()) for node in gm.graph.output_node().all_input_nodes}
        last: dict[Place, int] = {}
        for at, part in enumerate(parts):
            for place in (*part.makes, *part.takes):
                last[place] = at
        self.over = [
            [place for place, end in last.items() if end == at and (place[0], ()) not in wanted]
            for at in range(len(parts))
        ]

    def __call__(self, *args: Any) -> Any:
        """What the graph does."""
        values: dict[Place, Any] = {}
        size = None if self.batch is None else args[self.batch]
        for name, value in zip(self.inputs, args, strict=True):
            self._keep(values, name, (), value)
        del args
        for part, code, over in zip(self.parts, self.code, self.over, strict=True):
            made = code(size)(*[values[place] for place in part.takes])
            values.update(zip(part.makes, made, strict=True))
            del made
            for place in over:
                del values[place]
        return fx.node.map_arg(self.output, lambda node: self._whole(values, node))

    def _keep(self, values: dict[Place, Any], name: str, path: Any, value: Any) -> None:
        if (inside := children(value)) is None:
            values[name, path] = value
            return
        for key, each in inside:
            self._keep(values, name, (*path, key), each)

    def _whole(self, values: dict[Place, Any], node: fx.Node) -> Any:
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.gm)

        def build(seen: Any, path: Any) -> Any:
            if not isinstance(seen, (tuple, list)):
                return values[node.name, path]
            inside = [build(each, (*path, at)) for at, each in enumerate(seen)]
            return inside if isinstance(seen, list) else type(seen)(inside)

        return build(known(node), ())


class Backend:
    """For one graph."""

    def __init__(self, options: Any) -> None:
        for op in options.splitting_ops:
            space, _, name = op.partition("::")
            if not hasattr(getattr(torch.ops, space), name.partition(".")[0]) and name:
                raise ValueError(f"there is no op {op}")
        checked(options)
        self.options, self.compiler, self.used = options, compiler_for(options), False

    def _factors(self) -> dict[str, str]:
        options = self.options
        settings = settled(options.compiler_config)
        files = [
            (Path(each).name, Path(each).read_text() if Path(each).is_file() else "")
            for each in sorted(options.traced_files)
        ]
        shape = (options.max_num_batched_tokens, options.compile_sizes,
                 options.compile_ranges_endpoints, options.splitting_ops)  # fmt: skip
        return {
            "env": digest(sys.version, str(torch.__version__)),
            "config_hash": digest(settings, str(shape), options.compiler),
            "code_hash": digest(str(files)),
            "compiler_hash": digest(self.compiler.compute_hash(None)),
        }

    def _folder(self) -> Path | None:
        options, factors = self.options, self._factors()
        if options.cache_root is None:
            return None
        place = f"rank_{options.rank}_{options.data_parallel_index}"
        name = digest(*factors.values())[:12]
        folder = Path(options.cache_root, "torch_compile_cache", name, place, options.prefix)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cache_key_factors.json").write_text(json.dumps(factors))
        except OSError:
            return None
        return folder

    def __call__(self, gm: fx.GraphModule, example_inputs: Any) -> Run:
        """The graph, cut and compiled."""
        if self.used:
            raise RuntimeError("one graph a backend: is there a graph break?")
        self.used = True
        options, folder = self.options, self._folder()
        store = Store(folder)
        self.compiler.initialize_cache(str(folder or ""), folder is None, options.prefix)
        parts = cut(gm, list(options.splitting_ops))
        tell(Split(len(parts), sum(part.splitting for part in parts)))
        given = [known(node) for node in gm.graph.find_nodes(op="placeholder")]
        numbers = [
            (at, each.node.expr) for at, each in enumerate(given) if isinstance(each, torch.SymInt)
        ]
        sizes = set().union(*(symbols(each) for each in given if isinstance(each, torch.Tensor)))
        # a size of a tensor rather than a number that comes beside it
        numbers.sort(key=lambda number: number[1] not in sizes)
        batch = numbers[0] if numbers else (None, None)
        run = Run(gm, parts, batch[0])
        if folder is not None:
            with contextlib.suppress(OSError):
                text = "\n".join(
                    f"class Part{at}:\n" + "".join(f"    {x}\n" for x in part.gm.code.splitlines())
                    for at, part in enumerate(parts)
                )
                (folder / "computation_graph.py").write_text(text)
        for at, part in enumerate(parts):
            if part.splitting:
                run.code.append(_for_any_size(part.gm))
            else:
                run.code.append(self._compiled(store, at, part, batch[1]))
        return run

    def _compiled(self, store: Store, at: int, part: Part, batch: Any) -> Callable[..., Any]:
        made: list[tuple[Ends, Any]] = []
        moves = batch is not None and any(batch in symbols(each) for each in part.examples)
        for ends in ranges(self.options) if moves else ranges(self.options)[-1:]:
            inputs = part.examples
            if ends.start == ends.end and moves:
                inputs = [concrete(each, ends.start, batch) for each in inputs]
            made.append((ends, self._one(store, at, part, inputs, ends)))
        if not moves:
            return lambda size: made[0][1]

        def choose(size: int) -> Any:
            for ends, code in made:
                if ends.start <= size <= ends.end:
                    return code
            raise ValueError(f"no range holds a batch of {size}: {[ends for ends, _ in made]}")

        return choose

    def _one(self, store: Store, at: int, part: Part, inputs: Any, ends: Ends) -> Any:
        name = self.compiler.name
        key = digest(identity(part), str(ends), name)
        handle = store.get(key)
        if handle is not None:
            with contextlib.suppress(Exception):
                loaded = self.compiler.load(handle, part.gm, list(inputs), at, ends)
                tell(CacheHit(at, ends, name))
                return loaded
        settings = copy.deepcopy(dict(self.options.compiler_config))
        code, handle = self.compiler.compile(part.gm, list(inputs), settings, ends, key[:16])
        tell(Compile(at, ends, name, handle is not None and store.put(key, handle)))
        return code


def make_backend(options: Any) -> Backend:
    """As the harness wants it."""
    return Backend(options)

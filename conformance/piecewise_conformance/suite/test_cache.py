"""CACHE: whatever lies in the cache folder, the result is right."""

from __future__ import annotations

import ast
import operator
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance import spy
from piecewise_conformance.boundary import expect_refusal
from piecewise_conformance.facets import Manager
from piecewise_conformance.marks import requirement
from piecewise_conformance.options import Options
from piecewise_conformance.pieces import PieceCase, piece, times
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation
from torch import fx, nn

FILE = "vllm_compile_cache.py"
RANGE = (1, 8)


def manager(subject: Subject, folder: Path, *, disable: bool = False) -> Manager:
    """A fresh manager on ``folder`` that compiles with the spy."""
    return subject.manager(Options(compiler=spy.NAME)).open(folder, disable=disable)


def fill(subject: Subject, folder: Path, *cases: PieceCase) -> None:
    """Compile ``cases`` as pieces 0, 1, ... and save."""
    with spy.spying():
        writer = manager(subject, folder)
        for index, case in enumerate(cases):
            writer.compile(case.gm, case.traced, RANGE, index, len(cases))
        writer.save()


def start(subject: Subject, folder: Path, *cases: PieceCase) -> spy.Log:
    """A later start: compile ``cases`` through a fresh manager and check each result."""
    with spy.spying() as log:
        reader = manager(subject, folder)
        for index, case in enumerate(cases):
            case.check(reader.compile(case.gm, case.traced, RANGE, index, len(cases)))
    return log


def expect_work(log: spy.Log, *, loads: int, compiles: int, what: str) -> None:
    """The spy must have loaded and compiled so many pieces."""
    if (len(log.loads), len(log.compiles)) != (loads, compiles):
        raise Violation(
            what,
            expected=f"{loads} loaded, {compiles} compiled",
            got=f"{len(log.loads)} loaded, {len(log.compiles)} compiled",
        )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` that is no lock."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


@requirement("CACHE-001")
def test_warm_start(subject: Subject, tmp_path: Path) -> None:
    """Three pieces saved are three pieces loaded, by the next start and the one after it."""
    cases = [times(2), times(3), times(5)]
    fill(subject, tmp_path, *cases)
    for _ in range(2):
        expect_work(start(subject, tmp_path, *cases), loads=3, compiles=0, what="a warm start")


@requirement("CACHE-001")
def test_part_of_it_is_new(subject: Subject, tmp_path: Path) -> None:
    """A start that needs one piece more compiles that one, and the next start has it too."""
    fill(subject, tmp_path, times(2))
    cases = [times(2), times(3)]
    with spy.spying() as log:
        second = manager(subject, tmp_path)
        for index, case in enumerate(cases):
            second.compile(case.gm, case.traced, RANGE, index, 2)
        second.save()
    expect_work(log, loads=1, compiles=1, what="a start with one new piece")
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what="the start after it")


@requirement("CACHE-002")
def test_torn_file(subject: Subject, tmp_path: Path) -> None:
    """The cache file cut at every byte: each start computes rightly, and can save again."""
    cases = [times(2), times(3)]
    fill(subject, tmp_path, *cases)
    whole = (tmp_path / FILE).read_bytes()
    for length in range(len(whole)):
        (tmp_path / FILE).write_bytes(whole[:length])
        log = start(subject, tmp_path, *cases)
        if len(log.loads) + len(log.compiles) != 2:
            raise Violation(f"a file cut at byte {length}", expected="2 pieces loaded or compiled")
    fill(subject, tmp_path, *cases)
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what="after a torn file")


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "blank": b"\n\n",
    "null-bytes": b"\x00" * 100,
    "no-utf8": b"\xff\xfe\xfa",
    "list": b"[1, 2]",
    "number": b"7",
    "none": b"None",
    "set": b"{1, 2}",
    "text": b"'text'",
    "unhashable-key": b"{[1]: 2}",
    "prose": b"this is not Python",
    "deep": b"(" * 5000 + b")" * 5000,
    "minus-chain": b"-" * 20_000 + b"1",
    "sum-chain": b"1" + b"+1" * 20_000,
    "json": b'{"a": true, "b": null}',
    "bad-escape": b"{'\\x': 1}",
    "values-of-other-types": b"{((1, 8), 0, 'spy'): 7, ((1, 8), 1, 'spy'): [None]}",
    "values-none": b"{((1, 8), 0, 'spy'): None, ((1, 8), 1, 'spy'): {}}",
    "foreign-values": b"{((1, 8), 0, 'spy'): {'graph_handle': 1, 'cache_key': ('a', 2)}}",
    "bare-handles": b"{((1, 8), 0, 'spy'): ('spy', 'none such'), ((1, 8), 1, 'spy'): ()}",
}


@requirement("CACHE-002")
@pytest.mark.parametrize("name", GARBAGE)
def test_foreign_file(subject: Subject, tmp_path: Path, name: str) -> None:
    """Anything may stand in the cache file: the start compiles, is right, and can save."""
    cases = [times(2), times(3)]
    (tmp_path / FILE).write_bytes(GARBAGE[name])
    with spy.spying():
        for index, case in enumerate(cases):
            opened = manager(subject, tmp_path)
            case.check(opened.compile(case.gm, case.traced, RANGE, index, 2))
    (tmp_path / FILE).write_bytes(GARBAGE[name])
    fill(subject, tmp_path, *cases)
    expect_work(start(subject, tmp_path, *cases), loads=2, compiles=0, what=f"after {name}")


HOSTILE = [
    "__import__('os').system('touch {marker}')",
    "{{((1, 8), 0, 'spy'): __import__('os').system('touch {marker}')}}",
    "{{open('{marker}', 'w'): 1}}",
    "import os\nos.system('touch {marker}')\n{{}}",
    "{{**eval(\"open('{marker}', 'w') and {{}}\")}}",
    "[open('{marker}', 'w') for _ in (1,)]",
    "f\"{{open('{marker}', 'w')}}\"",
    "(lambda: open('{marker}', 'w'))()",
]


@requirement("CACHE-003")
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_file(subject: Subject, tmp_path: Path, number: int) -> None:
    """Code in the cache file is not run, and costs no more than the cache."""
    marker = tmp_path / "marker"
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / FILE).write_text(HOSTILE[number].format(marker=marker))
    start(subject, folder, times(2))
    if marker.exists():
        raise Violation("code in the cache file was run", got=(folder / FILE).read_text()[:300])


@requirement("CACHE-003")
def test_hostile_pickle(subject: Subject, tmp_path: Path) -> None:
    """Neither is a pickle in the place of the cache file, or of a handle, loaded."""
    import pickle

    marker = tmp_path / "marker"
    payload = pickle.dumps(_Bomb(str(marker)))
    folder = tmp_path / "cache"
    folder.mkdir()
    for content in (payload, repr({((1, 8), 0, "spy"): payload}).encode()):
        (folder / FILE).write_bytes(content)
        start(subject, folder, times(2))
        if marker.exists():
            raise Violation("a pickle in the cache folder was loaded")


class _Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


@requirement("CACHE-004")
@pytest.mark.parametrize("name", ["prose", "list", "no-utf8", "text"])
def test_unreadable_file_is_kept(subject: Subject, tmp_path: Path, name: str) -> None:
    """After a save the content of a file that could not be read is still in the folder."""
    (tmp_path / FILE).write_bytes(GARBAGE[name])
    fill(subject, tmp_path, times(2))
    if GARBAGE[name] not in contents(tmp_path).values():
        raise Violation(
            "the content of the unreadable file is gone", got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-004")
def test_partly_readable_file_is_kept(subject: Subject, tmp_path: Path) -> None:
    """So is that of a file of which only some entries could be read."""
    fill(subject, tmp_path, times(2))
    literal = ast.literal_eval((tmp_path / FILE).read_text())
    literal["note"] = "by hand"
    (tmp_path / FILE).write_text(repr(literal))
    fill(subject, tmp_path, times(7), times(3))
    if not any(b"by hand" in each for each in contents(tmp_path).values()):
        raise Violation(
            "an entry that could not be read is gone", got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-005")
def test_disabled_cache(subject: Subject, tmp_path: Path) -> None:
    """A disabled cache loads nothing of a full folder, and leaves every file as it is."""
    case = times(2)
    fill(subject, tmp_path, case)
    before = contents(tmp_path)
    with spy.spying() as log:
        off = manager(subject, tmp_path, disable=True)
        case.check(off.compile(case.gm, case.traced, RANGE, 0, 2))
        off.compile(times(3).gm, times(3).traced, RANGE, 1, 2)
        off.save()
    expect_work(log, loads=0, compiles=2, what="with the cache disabled")
    if contents(tmp_path) != before:
        raise Violation(
            "files changed", expected=str(list(before)), got=str(list(contents(tmp_path)))
        )


@requirement("CACHE-005")
def test_disabled_cache_in_no_folder(subject: Subject, tmp_path: Path) -> None:
    """With the cache disabled the folder need not exist, and is not made."""
    folder = tmp_path / "absent"
    with spy.spying():
        off = manager(subject, folder, disable=True)
        times(2).check(off.compile(times(2).gm, times(2).traced, RANGE))
        off.save()
    if folder.exists():
        raise Violation("the folder of a disabled cache was made")


@requirement("CACHE-006")
def test_nothing_new(subject: Subject, tmp_path: Path) -> None:
    """A warm start that saves leaves the file's content, time and inode alone."""
    fill(subject, tmp_path, times(2))
    before = (tmp_path / FILE).stat()
    os.utime(tmp_path / FILE, ns=(before.st_atime_ns, before.st_mtime_ns - 10**9))
    before = (tmp_path / FILE).stat()
    fill(subject, tmp_path, times(2))
    after = (tmp_path / FILE).stat()
    if (before.st_mtime_ns, before.st_ino) != (after.st_mtime_ns, after.st_ino):
        raise Violation("the cache file was written although nothing was new")


@requirement("CACHE-006")
def test_saving_twice(subject: Subject, tmp_path: Path) -> None:
    """The second of two saves in a row writes nothing."""
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(times(2).gm, times(2).traced, RANGE)
        writer.save()
        (tmp_path / FILE).unlink()
        writer.save()
    if (tmp_path / FILE).exists():
        raise Violation("a second save without anything new wrote the file")


@requirement("CACHE-007")
def test_reader_keeps_the_old_file(subject: Subject, tmp_path: Path) -> None:
    """Who opened the file before a save reads the old content to its end."""
    fill(subject, tmp_path, times(2))
    old = (tmp_path / FILE).read_bytes()
    with (tmp_path / FILE).open("rb") as opened:
        head = opened.read(5)
        fill(subject, tmp_path, times(2), times(3), times(5))
        rest = opened.read()
    if (tmp_path / FILE).read_bytes() == old:
        raise Violation("the save wrote nothing")
    if head + rest != old:
        raise Violation("a reader saw a mix", expected=str(old), got=str(head + rest))


@requirement("CACHE-007")
def test_nothing_is_left_behind(subject: Subject, tmp_path: Path) -> None:
    """After saves no temporary file is in the folder that another save would add to."""
    fill(subject, tmp_path, times(2))
    names = set(contents(tmp_path))
    for factor in (3, 5, 7):
        fill(subject, tmp_path, times(factor))
    if set(contents(tmp_path)) != names:
        raise Violation("files after saves", expected=str(names), got=str(set(contents(tmp_path))))


@requirement("CACHE-008")
def test_failed_compile(subject: Subject, tmp_path: Path) -> None:
    """A failing compiler's error comes out, nothing is stored, and the next try succeeds."""
    case = times(2)
    with spy.spying() as log:
        first = manager(subject, tmp_path)
        log.fail = True
        with expect_refusal("a compile that fails", "the spy was told to fail"):
            first.compile(case.gm, case.traced, RANGE)
        if first.keys():
            raise Violation(
                "a failed compile left an entry", expected="none", got=str(first.keys())
            )
        first.save()
        log.fail = False
        case.check(first.compile(case.gm, case.traced, RANGE))
    (tmp_path / FILE).unlink(missing_ok=True)
    expect_work(start(subject, tmp_path, case), loads=0, compiles=1, what="the next start")


def _linear(bias: bool) -> Callable[..., Any]:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        weight = graph.get_attr("weight")
        arguments = (x, weight, graph.get_attr("bias")) if bias else (x, weight)
        return (graph.call_function(torch.nn.functional.linear, arguments),)

    return body


def _weights(value: float) -> nn.Module:
    root = nn.Module()
    root.register_buffer("weight", torch.full((8, 8), value))
    root.register_buffer("bias", torch.full((8,), 0.5))
    return root


def _calls(function: Any, *rest: Any, **kwargs: Any) -> PieceCase:
    return piece(lambda g, s, x: (g.call_function(function, (x, *rest), kwargs),))


def _twice(swap: bool) -> PieceCase:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        a = graph.call_function(torch.sin, (x,))
        b = graph.call_function(torch.cos, (x,))
        return (graph.call_function(operator.sub, (b, a) if swap else (a, b)),)

    return piece(body)


def _outputs(swap: bool) -> PieceCase:
    def body(graph: fx.Graph, s0: fx.Node, x: fx.Node) -> Any:
        a, b = graph.call_function(torch.sin, (x,)), graph.call_function(torch.cos, (x,))
        return (b, a) if swap else (a, b)

    return piece(body)


OTHERS: dict[str, tuple[Callable[[], PieceCase], Callable[[], PieceCase]]] = {
    "constant": (lambda: times(2), lambda: times(3)),
    "int-for-float-constant": (
        lambda: _calls(torch.full_like, 2, dtype=torch.float64),
        lambda: _calls(torch.full_like, 2.5, dtype=torch.float64),
    ),
    "op": (lambda: _calls(torch.sin), lambda: _calls(torch.cos)),
    "overload": (
        lambda: _calls(torch.ops.aten.sum.default),
        lambda: _calls(torch.ops.aten.sum.dim_IntList, [0]),
    ),
    "keyword": (lambda: _calls(torch.cumsum, dim=0), lambda: _calls(torch.cumsum, dim=1)),
    "keyword-name": (
        lambda: _calls(torch.sum, dim=1, keepdim=True),
        lambda: _calls(torch.sum, dim=1),
    ),
    "dtype": (
        lambda: _calls(torch.Tensor.to, torch.float64),
        lambda: _calls(torch.Tensor.to, torch.float16),
    ),
    "slice": (
        lambda: _calls(operator.getitem, slice(None, 2)),
        lambda: _calls(operator.getitem, slice(2, None)),
    ),
    "list-for-number": (
        lambda: _calls(operator.getitem, [1]),
        lambda: _calls(operator.getitem, 1),
    ),
    "argument-order": (lambda: _twice(False), lambda: _twice(True)),
    "output-order": (lambda: _outputs(False), lambda: _outputs(True)),
    "bias": (
        lambda: piece(_linear(False), root=_weights(1.0)),
        lambda: piece(_linear(True), root=_weights(1.0)),
    ),
    "buffer-content": (
        lambda: piece(_linear(False), root=_weights(1.0)),
        lambda: piece(_linear(False), root=_weights(2.0)),
    ),
    "an-op-more": (
        lambda: times(2),
        lambda: piece(
            lambda g, s, x: (g.call_function(torch.neg, (g.call_function(operator.mul, (x, 2)),)),)
        ),
    ),
    "method-name": (
        lambda: piece(lambda g, s, x: (g.call_method("sin", (x,)),)),
        lambda: piece(lambda g, s, x: (g.call_method("cos", (x,)),)),
    ),
    "input-used": (
        lambda: piece(lambda g, s, x: (g.call_function(operator.mul, (x, s)),)),
        lambda: piece(lambda g, s, x: (g.call_function(operator.mul, (x, x)),)),
    ),
    "piece-dtype": (lambda: times(2), lambda: _with_dtype(torch.float64)),
}


def _with_dtype(dtype: torch.dtype) -> PieceCase:
    # an artifact for float32 returns float32
    return piece(lambda g, s, x: (g.call_function(operator.mul, (x, 2)),), dtype=dtype)


@requirement("CACHE-009")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("way", ["forth", "back"])
def test_other_graph_in_the_same_place(
    subject: Subject, tmp_path: Path, name: str, way: str
) -> None:
    """The artifact of another graph, saved for this place, is not used; afterwards both work."""
    first, second = OTHERS[name] if way == "forth" else reversed(OTHERS[name])
    fill(subject, tmp_path, first())
    log = start(subject, tmp_path, second())
    if not log.compiles:
        raise Violation(
            "a graph was served by the artifact of another",
            expected="a compile",
            got="a load",
            program=f"{first().gm.graph}\n{second().gm.graph}",
        )
    fill(subject, tmp_path, second())
    start(subject, tmp_path, first())


@requirement("CACHE-009")
def test_other_graph_in_one_process(subject: Subject, tmp_path: Path) -> None:
    """Nor is it within one manager."""
    with spy.spying():
        only = manager(subject, tmp_path)
        for factor in (2, 3, 2):
            case = times(factor)
            case.check(only.compile(case.gm, case.traced, RANGE))


@requirement("CACHE-010")
def test_names_do_not_matter(subject: Subject, tmp_path: Path) -> None:
    """A graph with other names for its nodes hits."""

    def named(prefix: str) -> PieceCase:
        case = piece(
            lambda g, s, x: (g.call_function(torch.sin, (g.call_function(operator.mul, (x, 2)),)),)
        )
        for number, node in enumerate(case.gm.graph.nodes):
            if node.op not in ("output", "get_attr"):
                node.name = f"{prefix}_{number}"
                if node.op == "placeholder":
                    node.target = node.name
        case.gm.recompile()
        return case

    fill(subject, tmp_path, named("first"))
    expect_work(start(subject, tmp_path, named("other")), loads=1, compiles=0, what="renamed nodes")


@requirement("CACHE-011")
def test_artifact_is_gone(subject: Subject, tmp_path: Path) -> None:
    """If the compiler cannot load what a handle stands for, the piece is compiled."""
    case = times(2)
    fill(subject, tmp_path, case)
    with spy.spying() as log:
        log.fail_load = True
        reader = manager(subject, tmp_path)
        case.check(reader.compile(case.gm, case.traced, RANGE))
    expect_work(log, loads=0, compiles=1, what="an artifact that cannot be loaded")


UNPRINTABLE: dict[str, Callable[[int], Any]] = {
    "object": lambda number: object(),
    "function": lambda number: len,
    "infinity": lambda number: float("inf"),
    "nan": lambda number: ("spy", float("nan")),
    "path": lambda number: Path("artifact"),
    "dtype": lambda number: ("spy", torch.float32),
    "nested-object": lambda number: {"path": [object()]},
    "frozenset": lambda number: frozenset({1}),
}


@requirement("CACHE-012")
@pytest.mark.parametrize("name", UNPRINTABLE)
def test_unprintable_handle(subject: Subject, tmp_path: Path, name: str) -> None:
    """The compiled piece works, the file stays a literal, and sound entries stay in it."""
    case, sound = times(2), times(3)
    with spy.spying() as log:
        writer = manager(subject, tmp_path)
        writer.compile(sound.gm, sound.traced, RANGE, 0, 2)
        log.handle = UNPRINTABLE[name]
        case.check(writer.compile(case.gm, case.traced, RANGE, 1, 2))
        writer.save()
    try:
        ast.literal_eval((tmp_path / FILE).read_text())
    except (ValueError, SyntaxError) as error:
        raise Violation("the cache file is no literal any more", got=str(error)) from None
    log = start(subject, tmp_path, sound, case)
    expect_work(log, loads=1, compiles=1, what=f"a start after a handle that is a {name}")


@requirement("CACHE-013")
def test_two_writers(subject: Subject, tmp_path: Path) -> None:
    """Managers that both opened an empty folder, and save one after the other, both have effect."""
    cases = [times(2), times(3), times(5)]
    with spy.spying():
        writers = [manager(subject, tmp_path) for _ in cases]
        for index, (writer, case) in enumerate(zip(writers, cases, strict=True)):
            writer.compile(case.gm, case.traced, RANGE, index, 3)
        for writer in writers:
            writer.save()
    expect_work(start(subject, tmp_path, *cases), loads=3, compiles=0, what="three writers")


def _inputs(kind: str, case: PieceCase) -> list[Any]:
    rows, x = case.args(6)
    return {
        "contiguous": [rows, x],
        "transposed": [rows, torch.randn(8, 6).t()],
        "gapped": [rows, torch.randn(6, 16)[:, ::2]],
        "double": [rows, x.double()],
        "number": [rows, 3],
        "tensor-for-number": [torch.tensor(rows), x],
    }[kind]


@requirement("CACHE-014")
@pytest.mark.parametrize("kind", ["transposed", "gapped", "double", "number", "tensor-for-number"])
def test_other_kind_of_inputs(subject: Subject, tmp_path: Path, kind: str) -> None:
    """A single size compiled for contiguous float32 is compiled again for other inputs."""
    case = times(2)
    with spy.spying():
        writer = manager(subject, tmp_path)
        writer.compile(case.gm, _inputs("contiguous", case), (6, 6))
        writer.save()
    with spy.spying() as log:
        manager(subject, tmp_path).compile(case.gm, _inputs("contiguous", case), (6, 6))
    expect_work(log, loads=1, compiles=0, what="the same kind of inputs")
    with spy.spying() as log:
        manager(subject, tmp_path).compile(case.gm, _inputs(kind, case), (6, 6))
    expect_work(log, loads=0, compiles=1, what=f"inputs of another kind ({kind})")


@requirement("CACHE-015")
def test_swapped_handles(subject: Subject, tmp_path: Path) -> None:
    """Two entries whose handles were exchanged do not give each other's results."""
    cases = [times(2), times(3)]
    fill(subject, tmp_path, *cases)
    literal = ast.literal_eval((tmp_path / FILE).read_text())
    (first, one), (second, other) = literal.items()
    swapped = repr(literal)
    for handle in _handles(one):
        for rival in _handles(other):
            marked = swapped.replace(repr(handle), "<first>").replace(repr(rival), "<second>")
            swapped = marked.replace("<first>", repr(rival)).replace("<second>", repr(handle))
    if swapped == repr(literal):
        raise Violation("the file does not hold the compiler's handles", got=swapped)
    (tmp_path / FILE).write_text(swapped)
    start(subject, tmp_path, *cases)
    (tmp_path / FILE).write_text(repr({first: other, second: one}))
    start(subject, tmp_path, *cases)


def _handles(value: Any) -> list[tuple[Any, ...]]:
    if isinstance(value, tuple) and value[:1] == ("spy",):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    return (
        [h for each in inside for h in _handles(each)]
        if isinstance(value, (dict, list, tuple))
        else []
    )

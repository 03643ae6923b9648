"""HASH: which starts share a cache, judged by what they compile and what they compute."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import NOT_OFFERED, Unsupported, Violation
from piecewise_conformance.isolation.child import call_in_child
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.warm_start import expect_cold, expect_warm, start
from piecewise_conformance.testkit.drive import drive
from piecewise_conformance.testkit.pieces import times, tracing
from piecewise_fixtures.programs import PROGRAMS, program
from piecewise_fixtures.programs.base import Program


@requirement("HASH-001")
@pytest.mark.parametrize(
    "name", ["linear-chain", "two-symbols", "two-layers", "piece-without-symbol"]
)
def test_second_start(subject: Subject, tmp_path: Path, name: str) -> None:
    """The second start, and the third, load everything."""
    expect_cold(start(subject, tmp_path, name), "a first start")
    for _ in range(2):
        expect_warm(start(subject, tmp_path, name), "a second start")


@requirement("HASH-001")
def test_second_start_with_ranges(subject: Subject, tmp_path: Path) -> None:
    """So too with several ranges and a single size."""
    options: dict[str, Any] = {"compile_ranges_endpoints": (5,), "compile_sizes": (4,)}
    first = start(subject, tmp_path, sizes=(6, 4, 3), **options)
    expect_cold(first, "a first start")
    expect_warm(start(subject, tmp_path, sizes=(3, 4, 6), **options), "a second start")


@requirement("HASH-001")
@pytest.mark.parametrize("sizes", [(4,), (6, 4), (3, 4), (4, 3), (6, 3, 4), (4, 3, 6)], ids=str)
def test_whatever_came_last(subject: Subject, tmp_path: Path, sizes: tuple[int, ...]) -> None:
    """Whichever range or single size is compiled last, the next start has it."""
    options: dict[str, Any] = {"compile_ranges_endpoints": (5,), "compile_sizes": (4,)}
    start(subject, tmp_path, sizes=sizes, **options)
    again = start(subject, tmp_path, sizes=sizes, **options)
    expect_warm(again, f"a second start for the sizes {sizes}")


@requirement("HASH-001")
def test_second_start_after_another_model(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that another one of the same config came before has its second start, too."""
    monkeypatch.setitem(PROGRAMS, "variant", _variant(2.0, 0.0))
    start(subject, tmp_path, "variant")
    monkeypatch.setitem(PROGRAMS, "variant", _variant(3.0, 1.0))
    start(subject, tmp_path, "variant")
    expect_warm(start(subject, tmp_path, "variant"), "a second start")


@requirement("HASH-002")
@pytest.mark.parametrize("name", ["ops-back-to-back", "thirteen-ops", "two-outputs"])
def test_other_splitting_ops(subject: Subject, tmp_path: Path, name: str) -> None:
    """With more, fewer and no splitting ops on one root, every start computes rightly."""
    all_ops = program(name).splitting_ops
    for ops in (all_ops, (), (*all_ops, "aten::add"), all_ops[:1], all_ops):
        start(subject, tmp_path, name, splitting_ops=ops)


@cache
def _variant(factor: float, bias: float) -> Program:
    """A model of one text and one config, whose constants are attributes."""

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor, self.bias = factor, bias

        def forward(self, x: torch.Tensor) -> Any:
            y = torch.ops.piecewise.scaled(x * self.factor)
            return y + self.bias if self.bias else y * 2

    base = program("linear-chain")
    return Program(
        f"variant-{factor}-{bias}",
        "",
        Model,
        base.inputs,
        base.splitting_ops,
        base.sizes,
        base.dynamic,
        base.features,
    )


@requirement("HASH-002")
def test_other_model(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that differ in a constant or an op, on one root: each start computes rightly."""
    for number, (factor, bias) in enumerate(
        [(2.0, 0.0), (3.0, 0.0), (3.0, 1.0), (2.0, 5.0), (2.0, 0.0)]
    ):
        monkeypatch.setitem(PROGRAMS, f"variant-{number}", _variant(factor, bias))
        start(subject, tmp_path, f"variant-{number}")


@requirement("HASH-003")
def test_traced_files(subject: Subject, tmp_path: Path) -> None:
    """An edit of a traced file is a miss, also back again to another text; a touch is a hit."""
    code, root = tmp_path / "kernel.py", tmp_path / "cache"
    files = (str(code),)
    code.write_text("scale = 2\n")
    expect_cold(start(subject, root, traced_files=files), "a first start")
    os.utime(code, (1, 1))
    expect_warm(start(subject, root, traced_files=files), "a touched file")
    code.write_text("scale = 3\n")
    expect_cold(start(subject, root, traced_files=files), "an edited file")
    code.write_text("scale = 2\n")
    expect_warm(start(subject, root, traced_files=files), "the edit undone")


@requirement("HASH-003")
def test_second_traced_file(subject: Subject, tmp_path: Path) -> None:
    """Every traced file counts, in whatever order they are named."""
    first, second, root = tmp_path / "a.py", tmp_path / "b.py", tmp_path / "cache"
    first.write_text("x = 1\n")
    second.write_text("y = 1\n")
    files = (str(first), str(second))
    expect_cold(start(subject, root, traced_files=files), "a first start")
    expect_warm(start(subject, root, traced_files=files[::-1]), "files in another order")
    second.write_text("y = 2\n")
    expect_cold(start(subject, root, traced_files=files), "the second file edited")


_LONG = "".join(f"a{number} = {number}\n" for number in range(50_000))

EDITS = {
    "indentation": ("if x:\n    y = 1\nz = 2\n", "if x:\n    y = 1\n    z = 2\n"),
    "at-the-end-of-a-long-file": (_LONG, _LONG + "b = 1\n"),
    "in-a-long-file": (_LONG, _LONG.replace("a25000 = 25000", "a25000 = 25001")),
    "emptied": ("x = 1\n", ""),
}


@requirement("HASH-003")
@pytest.mark.parametrize("name", EDITS)
def test_every_edit_counts(subject: Subject, tmp_path: Path, name: str) -> None:
    """Wherever a traced file is edited, it is a miss."""
    code, root = tmp_path / "kernel.py", tmp_path / "cache"
    for text in EDITS[name]:
        code.write_text(text)
        log = start(subject, root, sizes=(6,), traced_files=(str(code),))
        expect_cold(log, f"{name}: a file of {len(text)} characters")


@requirement("HASH-003")
def test_files_of_one_name(subject: Subject, tmp_path: Path) -> None:
    """Of two files of one name in two folders both count, also where text moves to the other."""
    root, texts = (
        tmp_path / "cache",
        [
            ("x = 1\n", "y = 1\n"),
            ("y = 1\n", "x = 1\n"),
            ("x = 1\ny = 1\n", ""),
            ("", "y = 1\n"),
            ("", "z = 1\n"),
        ],
    )
    files = [tmp_path / folder / "model.py" for folder in ("a", "b")]
    for contents in texts:
        for file, text in zip(files, contents, strict=True):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        log = start(subject, root, sizes=(6,), traced_files=tuple(map(str, files)))
        expect_cold(log, f"the files {contents}")


@requirement("HASH-003")
def test_unreadable_traced_file(subject: Subject, tmp_path: Path) -> None:
    """A traced file that is gone, was never one, or is in no known encoding costs no run."""
    (tmp_path / "latin.py").write_bytes(b"name = '\xe9\xff'\n")
    files = ("<string>", str(tmp_path / "gone.py"), str(tmp_path / "latin.py"))
    expect_cold(start(subject, tmp_path / "cache", traced_files=files), "a first start")
    # who cannot tell whether it was edited may compile anew
    start(subject, tmp_path / "cache", traced_files=files)


@requirement("HASH-004")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"max_autotune": True}),
        ({"max_autotune": True}, {"max_autotune": False}),
        ({"epilogue_fusion": 1}, {"epilogue_fusion": 2}),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"nested": {"x": [1, 2]}}, {"nested": {"x": [1, 3]}}),
        ({"flag": "1"}, {"flag": 1}),
        ({"threshold": 0.1}, {"threshold": 0.1 + 2**-40}),
        ({"limit": 10**18}, {"limit": 10**18 + 1}),
        ({}, {"epilogue_fusion": False}),
        ({"a": ""}, {"a": None}),
        ({"order": ["a", "b"]}, {"order": ["b", "a"]}),
        ({"order": ["a", "b"]}, {"order": ["a,b"]}),
    ],
)
def test_compiler_config(subject: Subject, tmp_path: Path, before: Any, after: Any) -> None:
    """A changed setting is a miss; the old one still hits."""
    expect_cold(start(subject, tmp_path, compiler_config=before), "a first start")
    expect_cold(start(subject, tmp_path, compiler_config=after), f"{before} made {after}")
    expect_warm(start(subject, tmp_path, compiler_config=before), f"{before} again")


@requirement("HASH-004")
def test_order_of_settings(subject: Subject, tmp_path: Path) -> None:
    """Settings named in another order are the same settings."""
    start(subject, tmp_path, compiler_config={"a": 1, "b": {"c": 2, "d": 3}})
    log = start(subject, tmp_path, compiler_config={"b": {"d": 3, "c": 2}, "a": 1})
    expect_warm(log, "settings in another order")


@requirement("HASH-005")
def test_moved_root(subject: Subject, tmp_path: Path) -> None:
    """After the root was moved, a start there loads everything."""
    old, new = tmp_path / "old", tmp_path / "else" / "né w"
    expect_cold(start(subject, old), "a first start")
    new.parent.mkdir()
    shutil.move(old, new)
    expect_warm(start(subject, new), "a start on the moved root")
    if old.exists():
        raise Violation("the old root was created again")


@requirement("HASH-005")
@needs("inductor")
def test_moved_artifact(subject: Subject, tmp_path: Path) -> None:
    """What Inductor made lies in the folder, and is loaded where that was moved to."""
    case, old, new = times(2), tmp_path / "old", tmp_path / "else" / "new"
    old.mkdir()
    with torch.no_grad(), tracing(case):
        writer = subject.manager(Options(compiler="inductor")).open(old)
        writer.compile(case.gm, case.traced, (1, 8))
        writer.save()
    new.parent.mkdir()
    shutil.move(old, new)
    with torch.no_grad(), tracing(case):
        reader = subject.manager(Options(compiler="inductor")).open(new)
        loaded = reader.load(case.gm, case.traced, (1, 8))
    if loaded is None:
        raise Violation("an artifact in a folder that was moved", expected="a load", got="None")
    case.check(loaded)


@requirement("HASH-005")
def test_moved_home(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another HOME is no other cache."""
    expect_cold(start(subject, tmp_path / "cache"), "a first start")
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    expect_warm(start(subject, tmp_path / "cache"), "a start with another HOME")


@requirement("HASH-016")
def test_relative_root(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that goes to another folder between two compiles still has its cache."""
    (tmp_path / "other").mkdir()
    for expect in (expect_cold, expect_warm):
        monkeypatch.chdir(tmp_path)
        options: dict[str, Any] = {"cache_root": "cache", "compile_ranges_endpoints": (5,)}
        with spy.spying() as log:
            driven = drive(subject, program("linear-chain"), compiler=spy.NAME, **options)
            driven.check(6)
            monkeypatch.chdir(tmp_path / "other")
            driven.check(4)
        expect(log, "a start on a relative root")


@requirement("HASH-006")
@pytest.mark.parametrize(
    "change", [{"prefix": "draft"}, {"rank": 1}, {"data_parallel_index": 1}], ids=str
)
def test_separate_folders(subject: Subject, tmp_path: Path, change: dict[str, Any]) -> None:
    """Another prefix or rank loads nothing of the first one's, and does not disturb it."""
    subject.need("seed-layout")
    expect_cold(start(subject, tmp_path), "a first start")
    expect_cold(start(subject, tmp_path, **change), f"a start with {change}")
    expect_warm(start(subject, tmp_path), "the first one again")
    expect_warm(start(subject, tmp_path, **change), f"{change} again")


@requirement("HASH-006")
@pytest.mark.parametrize(
    ("first", "second"),
    [("model.main", "model.draft"), ("draft-1", "draft_1"), ("draft1", "draft11")],
)
def test_separate_prefixes(subject: Subject, tmp_path: Path, first: str, second: str) -> None:
    """Prefixes that differ in a late part, or in a mark, are two."""
    subject.need("seed-layout")
    expect_cold(start(subject, tmp_path, prefix=first), "a first start")
    expect_cold(start(subject, tmp_path, prefix=second), f"{first} made {second}")
    expect_warm(start(subject, tmp_path, prefix=first), f"{first} again")


@requirement("HASH-015")
@pytest.mark.parametrize(
    "change", [{"prefix": "draft"}, {"rank": 1}, {"data_parallel_index": 1}], ids=str
)
def test_models_on_one_root(subject: Subject, tmp_path: Path, change: dict[str, Any]) -> None:
    """Two models that differ, the second under another prefix or of another rank, start on one root
    in turn: each result is right, and each finds all that it stored.
    """
    for turn, expect in (("first", expect_cold), ("second", expect_warm), ("third", expect_warm)):
        for name, changes in (("linear-chain", {}), ("two-layers", change)):
            expect(start(subject, tmp_path, name, **changes), f"the {turn} start of {name}")


@requirement("HASH-007")
@slow
def test_other_process(subject: Subject, tmp_path: Path) -> None:
    """What one process stored a process with another hash seed loads."""
    function = "piecewise_conformance.testkit.caches.warm_start:work_of_starts"
    first = call_in_child(subject, function, str(tmp_path))  # off the fork server: with seed 1
    again = call_in_child(subject, function, str(tmp_path), PYTHONHASHSEED="2")
    for what, (compiled, loaded) in first.items():
        if loaded or not compiled:
            raise Violation(f"a first start, {what}", got=f"{compiled} compiled, {loaded} loaded")
        if again[what] != [0, compiled]:
            raise Violation(
                f"a start in another process, {what}",
                expected=f"0 compiled, {compiled} loaded",
                got=f"{again[what][0]} compiled, {again[what][1]} loaded",
            )


@requirement("HASH-008")
@slow
def test_other_torch(subject: Subject, tmp_path: Path) -> None:
    """Another release of torch loads nothing of this one's, and finds its own again."""
    function = "piecewise_conformance.testkit.caches.warm_start:work_with_torch"
    for version, what in ((torch.__version__, "a first start"), ("9.8.7", "another torch")):
        compiled, loaded = call_in_child(subject, function, str(tmp_path), str(version))
        if loaded or not compiled:
            raise Violation(
                what, expected="nothing loaded", got=f"{compiled} compiled, {loaded} loaded"
            )
    compiled, loaded = call_in_child(subject, function, str(tmp_path), "9.8.7")
    if compiled or not loaded:
        raise Violation(
            "a second start with the other torch",
            expected="nothing compiled",
            got=f"{compiled} compiled, {loaded} loaded",
        )


@requirement("HASH-010")
@pytest.mark.parametrize("kind", ["UNBACKED", "BACKED_SIZE_OBLIVIOUS"])
def test_how_shapes_are_traced(subject: Subject, tmp_path: Path, kind: str) -> None:
    """What was compiled for a size of at least two is not loaded where it may be 0 or 1."""
    for traced in ("BACKED", kind):
        for expect in (expect_cold, expect_warm):
            log = start(subject, tmp_path, sizes=(6,), dynamic_shapes=traced)
            expect(log, f"a start with sizes traced {traced}")


@requirement("HASH-011")
def test_compilers_own_hash(subject: Subject, tmp_path: Path) -> None:
    """A compiler whose hash is another is another; with the old one back its entries are hit."""
    expect_cold(start(subject, tmp_path), "a first start")
    with spy.telling("spy 2.0"):
        expect_cold(start(subject, tmp_path), "a start with another hash")
        expect_warm(start(subject, tmp_path), "a second start with that hash")
    expect_warm(start(subject, tmp_path), "a start with the first hash")


@requirement("HASH-009")
def test_declared_variables(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each declared variable at another value is a miss, and at its old one a hit again."""
    if not (variables := subject.get("code_variables")):
        raise Unsupported(f"{NOT_OFFERED} code_variables, or the dict is empty")
    for name, value in variables.items():
        root = tmp_path / name
        monkeypatch.delenv(name, raising=False)
        expect_cold(start(subject, root), "a first start")
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            expect_cold(start(subject, root), f"a start with {name}={value}")
        expect_warm(start(subject, root), f"a start with {name} as it was")

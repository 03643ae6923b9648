"""BACKEND: the folders and the notes for people that the seed promises.

Only subjects that offer ``seed-layout`` are judged by it.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.caches import seed_layout
from piecewise_conformance.testkit.caches.warm_start import start
from piecewise_fixtures.programs import program


@requirement("BACKEND-002")
@pytest.mark.parametrize(
    ("rank", "data_parallel", "prefix"),
    [(0, 0, "backbone"), (3, 0, "backbone"), (0, 2, "eagle_head"), (1, 5, "vision.tower")],
)
def test_layout(
    subject: Subject, tmp_path: Path, rank: int, data_parallel: int, prefix: str
) -> None:
    """Root / torch_compile_cache / hash / rank_i_j / prefix; a device may follow the ranks."""
    subject.need(seed_layout.ABILITY)
    start(subject, tmp_path, rank=rank, data_parallel_index=data_parallel, prefix=prefix)
    folders = [
        folder.relative_to(tmp_path).parts
        for folder in seed_layout.cache_folders(subject, tmp_path)
    ]
    right = [
        parts
        for parts in folders
        if len(parts) == 4
        and (parts[0], parts[3]) == ("torch_compile_cache", prefix)
        and re.fullmatch(rf"rank_{rank}_{data_parallel}(_[a-z].*)?", parts[2])
    ]
    if len(folders) != 1 or folders != right:
        raise Violation(
            "the folder of the cache",
            expected=f"torch_compile_cache/<hash>/rank_{rank}_{data_parallel}/{prefix}",
            got=str(["/".join(parts) for parts in folders]),
        )


def _folder(subject: Subject, root: Path) -> Path:
    folders = seed_layout.cache_folders(subject, root)
    if len(folders) != 1:
        raise Violation("folders created by one start", expected="one", got=str(folders))
    return folders[0]


def _read(path: Path) -> str:
    if not path.is_file():
        names = sorted(each.name for each in path.parent.iterdir())
        raise Violation(f"the cache folder has no {path.name}", got=str(names))
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Violation(f"{path.name} is not UTF-8 text", got=str(error)) from None


FACTORS = ("env", "config_hash", "code_hash", "compiler_hash")  # there may be more


def _factors(folder: Path) -> dict[str, Any]:
    text = _read(folder / "cache_key_factors.json")
    try:
        factors = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Violation("cache_key_factors.json is not JSON", got=str(error)) from None
    if not isinstance(factors, dict) or not set(FACTORS) <= set(factors):
        raise Violation("cache_key_factors.json", expected=str(sorted(FACTORS)), got=text[:300])
    return factors


@requirement("BACKEND-003")
@pytest.mark.parametrize("name", ["linear-chain", "thirteen-ops", "two-symbols"])
def test_notes_for_people(subject: Subject, tmp_path: Path, name: str) -> None:
    """``computation_graph.py`` parses, shows pieces as classes or functions, and calls every
    splitting op; the factors are JSON.
    """
    subject.need(seed_layout.ABILITY)
    start(subject, tmp_path, name)
    folder = _folder(subject, tmp_path)
    text = _read(folder / "computation_graph.py")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Violation("computation_graph.py is not valid Python", got=str(error)) from None
    shown = [each for each in ast.walk(tree) if isinstance(each, (ast.ClassDef, ast.FunctionDef))]
    by_kind = Counter(type(each) for each in shown)
    ops = {op.replace("::", ".") for op in program(name).splitting_ops}
    missing = [op for op in ops if op not in text]
    if missing or max(by_kind.values(), default=0) < 2:
        raise Violation(
            "computation_graph.py", expected=f"pieces, and calls of {sorted(ops)}", got=text[:500]
        )
    _factors(folder)


@requirement("BACKEND-003")
def test_factors_tell_changes(subject: Subject, tmp_path: Path) -> None:
    """A changed setting shows in the hash of the config, and not in what it is no part of."""
    subject.need(seed_layout.ABILITY)
    seen: list[dict[str, Any]] = []
    for config in ({}, {"max_autotune": True}):
        root = tmp_path / str(len(seen))
        start(subject, root, compiler_config=config)
        seen.append(_factors(_folder(subject, root)))
    changed = {name for name in FACTORS if seen[0].get(name) != seen[1].get(name)}
    # the compiler is given the settings, so that its hash may tell them, too
    if changed - {"compiler_hash"} != {"config_hash"}:
        raise Violation("factors that differ", expected="config_hash", got=str(sorted(changed)))


@requirement("BACKEND-002")
@pytest.mark.parametrize("tag", ["", "eagle_head"])
def test_folder_of_a_tag(subject: Subject, tmp_path: Path, tag: str) -> None:
    """Without a prefix the last folder has the name of the tag in force, which is ``backbone``
    where none was set.
    """
    subject.need(seed_layout.ABILITY)
    with subject.context("set_model_tag", tag) if tag else nullcontext():
        start(subject, tmp_path, prefix="", sizes=(6,))
    if (name := _folder(subject, tmp_path).name) != (tag or "backbone"):
        raise Violation(
            "the folder of a backend without a prefix", expected=tag or "backbone", got=name
        )

"""The cache file: save and load, with entries as the Inductor adaptors make them."""

from __future__ import annotations

import ast
import os
from typing import Any

import pytest
from piecewise_reference import CompilationConfig, CompilerManager, Range

from piecewise_benchmarks.measure import LINEAR, timed

SIZES = (100, 1_000, 10_000, 100_000)


def entries(count: int) -> dict[Any, Any]:
    return {
        (Range(1 + i % 7, 8 + i % 7), i, "inductor_standalone"): {
            "graph_handle": (f"{i:064x}", f"artifact_compile_range_1_8_subgraph_{i}-{i:064x}"),
            "cache_key": f"{i:064x}",
        }
        for i in range(count)
    }


def manager(folder: str) -> CompilerManager:
    """One on the cache in ``folder``, through the public surface."""
    made = CompilerManager(CompilationConfig(backend="eager"))
    made.initialize_cache(folder)
    return made


def saved(folder: str, content: dict[Any, Any]) -> CompilerManager:
    """One that saved ``content`` into ``folder``."""
    made = manager(folder)
    made.cache = dict(content)
    made._unsaved = dict(content)  # a compile puts it there; here nothing is compiled
    made.save_to_file()
    return made


@pytest.mark.parametrize("size", SIZES)
def test_save(benchmark: Any, folder: str, size: int) -> None:
    content = entries(size)
    made = manager(folder)

    def setup() -> None:
        if os.path.exists(made.cache_file_path):
            os.unlink(made.cache_file_path)
        made._unsaved = dict(content)

    def check(_: None) -> None:
        with open(made.cache_file_path, encoding="utf-8") as file:
            literal = ast.literal_eval(file.read())  # what vLLM's reader does with the file
        assert {(Range(*key[0]), *key[1:]): value for key, value in literal.items()} == content

    timed(
        benchmark,
        made.save_to_file,
        group="cache save",
        size=size,
        unit="entry",
        order=LINEAR,
        check=check,
        setup=setup,
        rounds=5,
    )


@pytest.mark.parametrize("size", SIZES)
def test_load(benchmark: Any, folder: str, size: int) -> None:
    content = entries(size)
    saved(folder, content)

    def check(made: CompilerManager) -> None:
        assert made.cache == content

    timed(
        benchmark,
        lambda: manager(folder),
        group="cache load",
        size=size,
        unit="entry",
        order=LINEAR,
        check=check,
        rounds=5,
    )


def test_limit_one_entry(benchmark: Any) -> None:
    ((compile_range, index, name), value) = next(iter(entries(1).items()))
    key = ((compile_range.start, compile_range.end), index, name)
    text = f"{{{key!r}: {value!r}}}"

    def check(result: Any) -> None:
        assert result == {key: value}

    timed(
        benchmark,
        lambda: ast.literal_eval(text),
        group="cache load",
        by="limit: ast.literal_eval of one entry",
        size=1,
        unit="entry",
        order=LINEAR,
        check=check,
    )

"""The cache file: save and load, with entries as the Inductor adaptors make them."""

from __future__ import annotations

import ast
import os
from typing import Any

import pytest
from piecewise_conformance.core.options import Options

from piecewise_benchmarks.measure import LINEAR, timed
from piecewise_benchmarks.peers import measured, subject

SIZES = (100, 1_000, 10_000, 100_000)
NAME = "vllm_compile_cache.py"
BY = measured("CompilerManager", "Range")


def entries(by: str, count: int) -> dict[Any, Any]:
    """As many, with keys of the ranges of ``by``."""
    make_range: Any = subject(by).surface["Range"]
    return {
        (make_range(1 + i % 7, 8 + i % 7), i, "inductor_standalone"): {
            "graph_handle": (f"{i:064x}", f"artifact_compile_range_1_8_subgraph_{i}-{i:064x}"),
            "cache_key": f"{i:064x}",
        }
        for i in range(count)
    }


def manager(by: str, folder: str) -> Any:
    """One on the cache in ``folder``, which it has read."""
    return subject(by).manager(Options(compiler="eager")).open(folder).inner


def put(by: str, made: Any, content: dict[Any, Any]) -> None:
    """Into ``made``, as if it had just compiled it: a save writes only what is new."""
    made.cache = dict(content)
    if by == "reference":
        made._unsaved = dict(content)
    else:
        made.is_cache_updated = True


def rounds(by: str, size: int) -> int:
    """A peer takes 10 s and more for the largest file."""
    return 5 if by == "reference" or size < 100_000 else 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by", BY)
def test_save(benchmark: Any, folder: str, by: str, size: int) -> None:
    content = entries(by, size)
    made = manager(by, folder)
    make_range: Any = subject(by).surface["Range"]
    path = os.path.join(folder, NAME)

    def setup() -> None:
        if os.path.exists(path):
            os.unlink(path)
        put(by, made, content)

    def check(_: None) -> None:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if by == "reference":  # what vLLM's reader does with the file
            found = ast.literal_eval(text)
            assert {(make_range(*key[0]), *key[1:]): each for key, each in found.items()} == content
        else:
            assert text.count("cache_key") == size

    timed(
        benchmark,
        made.save_to_file,
        group="cache save",
        by=by,
        size=size,
        unit="entry",
        order=LINEAR,
        check=check,
        setup=setup,
        rounds=rounds(by, size),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by", BY)
def test_load(benchmark: Any, folder: str, by: str, size: int) -> None:
    content = entries(by, size)
    writer = manager("reference", folder)  # of a file that both read
    put("reference", writer, entries("reference", size))
    writer.save_to_file()

    def check(made: Any) -> None:
        assert made.cache == content

    timed(
        benchmark,
        lambda: manager(by, folder),
        group="cache load",
        by=by,
        size=size,
        unit="entry",
        order=LINEAR,
        check=check,
        rounds=rounds(by, size),
    )


def test_limit_one_entry(benchmark: Any) -> None:
    ((compile_range, index, name), value) = next(iter(entries("reference", 1).items()))
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

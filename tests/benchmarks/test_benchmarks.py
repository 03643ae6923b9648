"""The comparison of benchmarks: it must see what changed, and must not see noise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from piecewise_benchmarks import aims
from piecewise_benchmarks.compare import changes, compare_files
from piecewise_benchmarks.graphs import SHAPES, SPLITTING_OPS, inputs_of
from piecewise_benchmarks.results import Figure, growth
from piecewise_benchmarks.table import lines
from piecewise_reference import split_graph


def run(path: Path, spread: float = 0.0, **medians: float) -> str:
    """A file as pytest-benchmark writes it, with these medians in seconds."""
    benchmarks = [
        {
            "name": name,
            "stats": {"median": value, "min": value, "iqr": spread * value},
            "extra_info": {
                "group": "split",
                "by": "limit: node" if name.startswith("limit") else "reference",
                "size": 10,
                "unit": "node",
                "order": 1.0,
            },
        }
        for name, value in medians.items()
    ]
    path.write_text(json.dumps({"benchmarks": benchmarks}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("new", "status"),
    [(1.0, 0), (1.1, 0), (0.92, 0), (1.5, 1), (0.5, 1)],
    ids=["equal", "slower-within", "faster-within", "regression", "gain"],
)
def test_both_ways(tmp_path: Path, new: float, status: int) -> None:
    """A regression and an unexplained gain fail; a change below the threshold does not."""
    first = run(tmp_path / "old.json", split=1.0)
    second = run(tmp_path / "new.json", split=new)
    assert compare_files([first], [second], tmp_path / "page.html") == status


def test_a_meant_change_passes(tmp_path: Path) -> None:
    """A gain that is explained is no failure, and hides none beside it."""
    first = run(tmp_path / "old.json", split=1.0, load=1.0)
    second = run(tmp_path / "new.json", split=0.3, load=1.0)
    assert compare_files([first], [second], tmp_path / "page.html", ["split"]) == 0
    assert compare_files([first], [second], tmp_path / "page.html", ["load"]) == 1


def test_noise_is_learnt_from_repeated_runs(tmp_path: Path) -> None:
    """What the runs of a side differ by is no change; the same step is one, where they agree."""
    noisy = [run(tmp_path / f"a{i}.json", split=value) for i, value in enumerate((0.8, 1.0, 1.2))]
    calm = [run(tmp_path / f"b{i}.json", split=value) for i, value in enumerate((0.99, 1.0, 1.01))]
    after = [run(tmp_path / "c.json", split=1.35)]
    assert compare_files(noisy, after, tmp_path / "page.html") == 0
    assert compare_files(calm, after, tmp_path / "page.html") == 1


def test_the_spread_within_a_run_is_noise(tmp_path: Path) -> None:
    """One run tells something of its noise too."""
    first = run(tmp_path / "old.json", spread=0.4, split=1.0)
    second = run(tmp_path / "new.json", spread=0.4, split=1.35)
    assert compare_files([first], [second], tmp_path / "page.html") == 0


def test_a_slower_machine_is_no_regression(tmp_path: Path) -> None:
    """What the limits changed by is taken off; what changed beside them is seen."""
    first = run(tmp_path / "old.json", split=1.0, limit=1.0)
    second = run(tmp_path / "new.json", split=2.0, limit=2.0)
    third = run(tmp_path / "newer.json", split=1.0, limit=2.0)
    assert compare_files([first], [second], tmp_path / "page.html") == 0
    assert compare_files([first], [third], tmp_path / "page.html") == 1


def test_a_benchmark_that_is_gone_fails(tmp_path: Path) -> None:
    """What is no longer measured could hide anything."""
    first = run(tmp_path / "old.json", split=1.0, load=1.0)
    second = run(tmp_path / "new.json", split=1.0)
    assert compare_files([first], [second], tmp_path / "page.html") == 1


def test_chart_shows_every_benchmark(tmp_path: Path) -> None:
    """The page holds a bar and a verdict a benchmark."""
    first = run(tmp_path / "old.json", split=1.0, load=1.0)
    second = run(tmp_path / "new.json", split=2.0, load=1.0)
    compare_files([first], [second], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<text") == 4
    assert "regression" in page


def figure(size: int, median: float) -> Figure:
    """One of a series."""
    return Figure(f"s{size}", "split", "reference", size, "node", 1.0, median, median, 0.0)


def test_growth_is_fitted() -> None:
    """The exponent comes out, and a series that grows faster than it says is told."""
    assert growth([(10, 1.0), (100, 10.0), (1000, 100.0)]) == pytest.approx(1)
    assert growth([(10, 1.0), (100, 100.0), (1000, 10000.0)]) == pytest.approx(2)
    assert growth([(10, 1.0), (100, 10.0)]) is None
    linear = [figure(10**k, 10.0**k) for k in range(1, 4)]
    square = [figure(10**k, 100.0**k) for k in range(1, 4)]
    assert any("as expected" in line for line in lines(linear))
    assert any("GROWS FASTER" in line for line in lines(square))


def test_changes_name_no_limit() -> None:
    """A limit is the measure, not what is measured."""
    limit = Figure("limit", "split", "limit: node", 10, "node", 1.0, 1.0, 1.0, 0.0)
    assert changes([[limit]], [[limit]]) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_graphs_split_and_compute_the_same(shape: str) -> None:
    """The graphs that are measured are sound: split or not, they give the same."""
    gm = SHAPES[shape](200)
    split_gm, items = split_graph(gm, SPLITTING_OPS)
    args = inputs_of(gm)
    assert any(item.is_splitting_graph for item in items)
    assert torch.equal(gm(*args)[0], split_gm(*args)[0])


def at(group: str, by: str, size: int, median: float) -> Figure:
    """One benchmark of a run."""
    return Figure(f"{group}-{by}-{size}", group, by, size, "x", 1.0, median, median, 0.0)


def test_aims_are_told_as_they_are() -> None:
    """Reached, not reached, and not measured; a size that only one side has is not compared."""
    save = [at("cache save", "reference", 100, 1.0), at("cache save", "vllm", 100, 21.0)]
    alone = at("cache save", "reference", 1000, 100.0)
    slow = [at("cache load", "reference", 100, 2.0), at("cache load", "vllm", 100, 21.0)]
    stitch = [
        at("stitched call", "reference", 8, 1e-4),
        at("stitched call", "limit: the graph unsplit", 8, 1e-4 - 4e-6),
    ]
    told = [*aims.lines([*save, alone, *slow, *stitch])]

    def of(what: str) -> list[str]:
        return [line for line in told if line.strip().startswith(what)]

    assert "measured 21 at 100 (x): reached" in of("cache save")[0]
    assert "measured 10.5 at 100 (x): NOT REACHED" in of("cache load")[0]
    assert "measured 0.5 at 8 (x): reached" in of("stitched call")[0]
    assert all("not measured" in line for line in (*of("stitched call")[1:], *of("copy")))


def test_a_run_that_measures_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It says so, fails, and does not show what an earlier run measured."""
    out = run(tmp_path / "old.json", split=1.0)
    command = [sys.executable, "-m", "piecewise_benchmarks", "run", "--out", out, "-k", "no-such"]
    assert subprocess.run(command, check=False).returncode != 0
    told = capfd.readouterr()
    assert "nothing was measured" in told.err
    assert "Traceback" not in told.err + told.out
    assert "split" not in told.out

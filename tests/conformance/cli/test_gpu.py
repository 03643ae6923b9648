"""What runs on a GPU: its code, as far as that needs none, and what is said without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_benchmarks import gpu_ways
from piecewise_conformance.cli import gpu
from piecewise_conformance.core import environment
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.reporting.report import CONFORMANT, INCOMPLETE, NOT_CONFORMANT
from piecewise_conformance.subject.adapters.reference import subject
from piecewise_conformance.testkit.cudagraphs import llama_graphs

without_gpu = pytest.mark.skipif(environment.missing("gpu") is None, reason="there is a GPU")


@without_gpu
def test_without_a_gpu_each_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Every type and way, and the status of a run that judged nothing."""
    assert gpu.main([]) == INCOMPLETE
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(gpu.DTYPES) * len(gpu.WAYS) == 12
    assert all(": not-run: no GPU" in line for line in printed)


@without_gpu
def test_without_a_gpu_the_run_is_incomplete(tmp_path: Path) -> None:
    """``run --device cuda``: a result for every test, with the reason, and status 3."""
    command = [sys.executable, "-m", "piecewise_conformance", "run", "--device", "cuda"]
    done = subprocess.run(
        [*command, "-k", "GPU or COPY-001", "--jobs", "1", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    lines = (tmp_path / "out" / "report.jsonl").read_text().splitlines()
    header, *results, footer = map(json.loads, lines)
    assert (header["device"], footer["kind"]) == ("cuda", "footer")
    assert len(results) > 12
    assert {(r["status"], r["message"][:6]) for r in results} == {("not-run", "no GPU")}


# Inductor, which torch imports to be reset, warns of itself
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
def test_the_code_for_the_device_runs_on_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways but Inductor's, for one type: right, with captures and replays counted."""
    if (reason := environment.missing("transformers")) is not None:
        pytest.skip(reason)
    monkeypatch.setattr(gpu, "DTYPES", (torch.bfloat16,))
    ways = {name: way for name, way in gpu.WAYS.items() if not way[0]}
    monkeypatch.setattr(gpu, "WAYS", ways)
    found, status = gpu.lines(subject, "cpu")
    assert status == CONFORMANT, found
    assert [line.partition(" (")[0] for line in found] == [
        "bfloat16  piecewise eager: pass",
        "bfloat16  piecewise CUDA graphs: pass",
        "bfloat16  full CUDA graph: pass",
    ]
    # two layers, so three pieces, at three sizes; then six batches
    assert "(9 graphs captured, 18 replayed, " in found[1]
    assert "(3 graphs captured, 6 replayed, " in found[2]


# Inductor imports a module of torch's that warns of itself
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
@pytest.mark.parametrize("way", gpu_ways.WAYS)
def test_each_way_that_is_measured_is_that_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    """What the benchmark times: right, nothing compiled or captured in it, and graphs replayed."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    for need in ("transformers", "inductor"):
        if (reason := environment.missing(need)) is not None:
            pytest.skip(reason)
    torch._dynamo.reset()
    with (
        subject.events() as trace,
        gpu_ways.running(subject, way, "cpu", 8, 1, torch.float32) as decoder,
    ):
        before = {kind: len(trace().of(kind)) for kind in ("Compile", "Capture", "Replay")}
        decoder.check(decoder.call())
        after = {kind: len(trace().of(kind)) for kind in before}
    compiled, captured = ("Inductor" in way or "graph" in way), "graph" in way
    assert (before["Compile"] > 0, before["Capture"] > 0) == (compiled, captured)
    replays = after.pop("Replay") - before.pop("Replay")
    assert replays == {"full CUDA graph": 1}.get(way, before["Capture"])
    assert after == before
    with pytest.raises(Violation):
        decoder.check(torch.zeros(8, 128))


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0),
        ([(3, 5)], 0),
        ([(6, 7), (0, 2), (3, 4)], 3),
        ([(0, 10), (1, 2), (5, 11), (12, 13)], 1),
    ],
)
def test_gaps_between_kernels(spans: list[tuple[float, float]], expected: float) -> None:
    """Time in which no kernel ran, whatever their order, and where some overlap."""
    assert gpu_ways.idle(spans) == expected


def test_what_goes_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong result, something not offered, an error of the backend, and one of ours."""

    def raising(error: Exception) -> tuple[tuple[str, ...], Any]:
        def way(*_: Any) -> None:
            raise error

        return (), way

    theirs = KeyError("weight")
    theirs.from_subject = "the compiled model"  # type: ignore[attr-defined]
    monkeypatch.setattr(gpu, "DTYPES", (torch.float32,))
    ways = {
        "wrong": raising(Violation("output 0 has different values")),
        "lacking": raising(Unsupported("no CUDAGraphWrapper")),
        "broken": raising(theirs),
    }
    monkeypatch.setattr(gpu, "WAYS", ways)
    found, status = gpu.lines(subject, "cpu")
    assert found == [
        "float32   wrong: fail: output 0 has different values",
        "float32   lacking: unsupported: no CUDAGraphWrapper",
        "float32   broken: fail: KeyError: 'weight'",
    ]
    assert status == NOT_CONFORMANT
    monkeypatch.setattr(gpu, "WAYS", {"ours": raising(ValueError("a bug of the harness"))})
    with pytest.raises(ValueError, match="a bug of the harness"):
        gpu.lines(subject, "cpu")


def test_the_rule_on_a_device_is_the_measured_one() -> None:
    """There graphs may choose other kernels: near a float64 run, and no nearer than eager."""
    if (reason := environment.missing("transformers")) is not None:
        pytest.skip(reason)
    from types import SimpleNamespace

    from piecewise_conformance.testkit.drive import drive
    from piecewise_conformance.testkit.models.llama import decoder, one_sequence
    from piecewise_conformance.testkit.oracle import EXACT, Near
    from piecewise_fixtures.forward_context import set_forward_context

    driven = drive(subject, decoder())
    args = driven.program.inputs(3)
    with set_forward_context(one_sequence(3)):
        here: Any = SimpleNamespace(device="cuda")
        assert isinstance(llama_graphs.rule(here, driven, args), Near)
        here.device = "cpu"
        assert llama_graphs.rule(here, driven, args) is EXACT

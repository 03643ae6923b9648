"""The released vLLM on trial: run by the session ``peers``, which installs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed: run by nox -s peers"
)

_COMPILED_BY_THE_PLATFORM = """
import json, sys
from piecewise_conformance.subject.loading import load_subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.drive import drive
from piecewise_fixtures.programs import program
subject = load_subject("vllm")
from vllm.platforms import current_platform
with spy.spying() as log:
    drive(subject, program("linear-chain"), compiler=spy.NAME).check(6)
platform = type(current_platform) if not isinstance(current_platform, type) else current_platform
wrapper = subject.surface["CUDAGraphWrapper"].__base__  # below it only tells what it did
print(json.dumps({
    "platform": f"{platform.__module__}.{platform.__qualname__}",
    "out_of_tree": current_platform.is_out_of_tree(),
    "backend": current_platform.get_compile_backend(),
    "compiles": len(log.compiles),
    "wrapper": f"{wrapper.__module__}.{wrapper.__qualname__}",
}))
"""


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: an import of vLLM changes much, and is made for good."""
    path = os.pathsep.join(each for each in sys.path if each)
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_backend_by_vllms_own_plug_in() -> None:
    """An out-of-tree platform's ``get_compile_backend()`` compiles the pieces inside vLLM, and the
    static-graph wrapper on trial is vLLM's, unmodified.
    """
    done = child("-c", _COMPILED_BY_THE_PLATFORM)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    compiles = found.pop("compiles")
    assert compiles > 1
    assert found == {
        "platform": "piecewise_conformance.subject.adapters.vllm_platform.HarnessPlatform",
        "out_of_tree": True,
        "backend": "piecewise_conformance.subject.adapters.vllm_platform.chosen_compiler",
        "wrapper": "vllm.compilation.cuda_graph.CUDAGraphWrapper",
    }


def test_a_stale_replay_is_reported_by_requirement(tmp_path: Path) -> None:
    """Under the emulator the wrapper captures and replays right, and a replay with an input at
    another address, which computes with the old one, is a failure of GRAPH-012.
    """
    nothing = tmp_path / "none.toml"
    nothing.write_text("")
    keyword = "GRAPH-012 or GRAPH-007 or GRAPH-018"
    arguments = ["run", "--backend", "vllm", "--jobs", "1", "--expectations", str(nothing)]
    out = tmp_path / "out"
    done = child("-m", "piecewise_conformance", *arguments, "-k", keyword, "--out", str(out))
    assert done.returncode == 1, done.stdout + done.stderr
    lines = (out / "report.jsonl").read_text().splitlines()
    results: list[dict[str, Any]] = [each for each in map(json.loads, lines) if "id" in each]
    failed = {each["id"] for each in results if each["status"] != "pass"}
    assert failed == {"GRAPH-012"}
    for each in results:
        if each["id"] == "GRAPH-012":
            assert each["status"] == "fail"
            assert re.search(r"a replay reads input \d where it lay at capture", each["message"])

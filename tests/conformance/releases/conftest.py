"""A stand-in for an interpreter with torch and this project, for sessions without either."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_SCRIPT = """#!{python}
import json, pathlib, sys
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.report import ReportWriter, Result
from piecewise_conformance.reporting.verdict import make_footer
here = pathlib.Path(__file__).parent
about = json.loads((here / "about.json").read_text())
with (here / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:4])[:60].replace("\\n", " ") + "\\n")
arguments = sys.argv[1:]
if arguments[0] == "-c" and "git_version" in arguments[1]:
    if about["broken"]:
        sys.exit("ImportError: libcuda.so")
    print(json.dumps([about["version"], about["version"][::-1], str(here)]))
elif arguments[0] == "-c":  # probes
    for name in arguments[4:]:
        answer = about["probes"].get(name) or about["expected"][name]
        print(json.dumps({{"begin": name}}))
        print(json.dumps({{"name": name, "answer": answer}}))
elif arguments[1].endswith("ladder"):
    for rung in arguments[5:]:
        print(json.dumps({{"begin": rung}}))
        print(json.dumps({{"name": rung, "answer": about["rungs"].get(rung, "holds")}}))
else:
    spec = arguments[arguments.index("--backend") + 1]
    out = pathlib.Path(arguments[arguments.index("--out") + 1])
    writer = ReportWriter(out / "report.jsonl")
    writer.start(dict(subject=dict(name=spec, spec=spec, version=""), versions=dict(torch="2"),
                      device="cpu", seed=0, profiles=["full"], keyword=""))
    results = [Result(i, c, Status(status), **more) for i, c, status, more in about["results"]]
    for each in results:
        writer.add(each)
    if about["dies"]:
        sys.exit("killed")
    writer.finish(make_footer(results, seconds=0, unmatched=about["unmatched"]))
"""

Interpreter = Callable[..., Path]


@pytest.fixture
def interpreter(tmp_path: Path) -> Interpreter:
    """Make an interpreter of a torch ``version`` whose runs have ``results``."""
    from piecewise_conformance.releases.probing import probes

    def make(version: str, results: list[Any] = [], **more: Any) -> Path:  # noqa: B006
        folder = tmp_path / f"torch-{version}" / "bin"
        folder.mkdir(parents=True)
        about = {
            "version": version,
            "results": results,
            "expected": {n: each.answer_for(version)[0] for n, each in probes().items()},
            "probes": {},
            "rungs": {},
            "unmatched": [],
            "broken": False,
            "dies": False,
            **more,
        }
        (folder / "about.json").write_text(json.dumps(about))
        script = folder / "python"
        script.write_text(_SCRIPT.format(python=sys.executable))
        script.chmod(0o755)
        return script

    return make

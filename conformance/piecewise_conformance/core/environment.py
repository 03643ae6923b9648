"""What this machine has, and what it lacks.

Only what a test asks for is probed, once a process. A missing thing is a reason that a person can
act on, never an exception: the run goes on without what needs it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sysconfig
import tempfile
from functools import cache
from pathlib import Path

# Names in it, separated by commas, count as missing: to see what a run says without them.
WITHOUT = "PIECEWISE_CONFORMANCE_WITHOUT"


def missing(name: str) -> str | None:
    """Why a test that needs ``name`` cannot run here, or None if it can."""
    if name not in PROBES:
        raise ValueError(f"{name!r} is not a known need; expected one of {', '.join(PROBES)}")
    if name in [each.strip() for each in os.environ.get(WITHOUT, "").split(",")]:
        return f"the environment variable {WITHOUT} excludes {name}"
    return _probe(name)


@cache
def _probe(name: str) -> str | None:
    return PROBES[name]()


def _inductor() -> str | None:
    """Inductor on CPU compiles C++ against Python's headers, with the compiler that it finds."""
    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        compiler = get_cpp_compiler()
    except Exception as error:
        wanted = f" (CXX is {os.environ['CXX']!r})" if "CXX" in os.environ else ""
        return f"no C++ compiler{wanted}: {_first_line(error)}"
    with tempfile.TemporaryDirectory(prefix="piecewise-probe-") as folder:
        source = Path(folder, "probe.cpp")
        source.write_text("#include <Python.h>\n#include <vector>\nstd::vector<int> v;\n")
        command = [compiler, "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}"]
        command += [str(source), "-o", str(Path(folder, "probe.so"))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the C++ compiler {compiler!r} does not run: {_first_line(error)}"
    if done.returncode == 0:
        return None
    said = next((line for line in done.stderr.splitlines() if "error" in line), "no message")
    return f"the C++ compiler {compiler!r} cannot build an extension: {said.strip()[:200]}"


def _gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "no GPU that torch can use"


def _triton() -> str | None:
    return _package("triton")


def _transformers() -> str | None:
    return _package("transformers")


def _package(name: str) -> str | None:
    found = importlib.util.find_spec(name) is not None
    return None if found else f"{name} is not installed (pip install {name})"


PROBES = {"inductor": _inductor, "gpu": _gpu, "triton": _triton, "transformers": _transformers}


def versions() -> dict[str, str | None]:
    """Versions of all that a verdict may depend on; None for what is not installed."""
    packages = ("piecewise-conformance", "torch", "triton", "transformers", "hypothesis", "pytest")
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    found["torch-git"] = _git_version()
    found["platform"] = platform.platform()
    return found


def _git_version() -> str | None:
    """The commit that torch was built from, read without importing torch."""
    try:
        path = importlib.metadata.distribution("torch").locate_file("torch/version.py")
        text = Path(str(path)).read_text(encoding="utf-8")
    except (importlib.metadata.PackageNotFoundError, OSError):
        return None
    found = re.search(r"^git_version = '(\w+)'", text, flags=re.MULTILINE)
    return found[1] if found else None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]

"""Which part may import which, what none may do, and how long a file may be; read, not run."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "reference" / "piecewise_reference"
FIXTURES = ROOT / "fixtures" / "piecewise_fixtures"
CONFORMANCE = ROOT / "conformance" / "piecewise_conformance"
BENCHMARKS = ROOT / "benchmarks" / "piecewise_benchmarks"
PACKAGES = (REFERENCE, FIXTURES, CONFORMANCE, BENCHMARKS)

DANGEROUS_MODULES = ("pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle")
DANGEROUS_CALLS = ("eval", "exec")
# Each with the reason for which it is right there; anywhere else it is not.
ALLOWED = {
    ("mutants/planting.py", "marshal"): "a mutant's code is made by this very process",
    ("mutants/planting.py", "exec"): "a mutant is the reference's own source, edited",
    ("suite/test_cache.py", "pickle"): "writes the hostile file that a subject must not load",
    ("suite/test_serial.py", "pickle"): "writes the hostile bytes that a subject must not load",
}


def sources(*folders: Path) -> list[Path]:
    """The Python files below ``folders``; that there are some is part of the test."""
    found = sorted(path for folder in folders for path in folder.rglob("*.py"))
    assert found
    return found


def tree(path: Path) -> ast.Module:
    """``path`` parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, package: Path) -> Iterator[str]:
    """What ``path`` imports, wherever in it: full names, with relative ones resolved."""
    own = path.relative_to(package.parent).with_suffix("").parts
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(own[: len(own) - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def foreign(path: Path, package: Path) -> set[str]:
    """The packages that ``path`` imports, the standard library and its own left out."""
    names = {name.partition(".")[0] for name in imports(path, package)}
    return names - sys.stdlib_module_names - {package.name}


def required_by_torch() -> set[str]:
    """The packages that torch itself always requires."""
    always = [each for each in requires("torch") or () if "extra ==" not in each]
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower() for each in always}


def test_relative_imports_are_resolved(tmp_path: Path) -> None:
    """What this file reads from an import statement is what Python would import."""
    package = tmp_path / "pack"
    (package / "inner").mkdir(parents=True)
    path = package / "inner" / "module.py"
    path.write_text("from . import a\nfrom .. import b\nfrom ..c import d\nimport e.f\n")
    assert sorted(imports(path, package)) == ["e.f", "pack.b", "pack.c.d", "pack.inner.a"]
    (package / "inner" / "__init__.py").write_text("def f():\n    from x import y")
    assert list(imports(package / "inner" / "__init__.py", package)) == ["x.y"]


@pytest.mark.parametrize("path", sources(REFERENCE), ids=lambda each: each.name)
def test_the_reference_stands_alone(path: Path) -> None:
    """Torch and what torch requires: no other package, and nothing of this project."""
    allowed = {"torch", "filelock"}
    assert foreign(path, REFERENCE) <= allowed
    assert "filelock" in required_by_torch()


@pytest.mark.parametrize("path", sources(FIXTURES), ids=lambda each: each.name)
def test_fixtures_know_neither_the_harness_nor_the_reference(path: Path) -> None:
    """They are what both are tested with."""
    assert foreign(path, FIXTURES) <= {"torch", "triton", "transformers", "hypothesis"}


@pytest.mark.parametrize("path", sources(CONFORMANCE / "suite"), ids=lambda each: each.name)
def test_the_suite_sees_only_the_subject(path: Path) -> None:
    """The reference is one subject among others."""
    for name in imports(path, CONFORMANCE):
        assert name.partition(".")[0] != "piecewise_reference"
        assert not name.startswith("piecewise_conformance.subject.adapters")


def test_only_subjects_and_mutants_know_the_reference() -> None:
    """The rest of the harness must work for a subject that has nothing to do with it."""
    knowing = {
        path.relative_to(CONFORMANCE).parts[0]
        for path in sources(CONFORMANCE)
        if "piecewise_reference" in foreign(path, CONFORMANCE)
    }
    assert knowing <= {"subjects", "mutants"}


def test_nothing_runs_what_a_file_says() -> None:
    """No pickle, eval or the like, but where there is a reason; and no reason without a use."""
    found = set()
    for package in PACKAGES:
        for path in sources(package):
            where = path.relative_to(package).as_posix()
            for node in ast.walk(tree(path)):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in DANGEROUS_CALLS
                ):
                    found.add((where, node.func.id))
            for name in imports(path, package):
                if (first := name.partition(".")[0]) in DANGEROUS_MODULES:
                    found.add((where, first))
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("folders", "most"),
    [((REFERENCE,), 350), (PACKAGES, 400), ((ROOT / "tests", ROOT / "noxfile.py"), 400)],
    ids=["reference", "packages", "tests"],
)
def test_files_are_short_enough_to_read(folders: tuple[Path, ...], most: int) -> None:
    """A file that grows past this wants to be two."""
    paths = [p for each in folders for p in (sources(each) if each.is_dir() else [each])]
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in paths
    }
    assert not {name: length for name, length in lengths.items() if length > most}


@pytest.mark.parametrize("path", sources(REFERENCE), ids=lambda each: each.name)
def test_every_module_of_the_reference_says_what_it_is(path: Path) -> None:
    """It is there to be read."""
    assert ast.get_docstring(tree(path))

"""The layering of the packages, what no module may import or call, and how long a file may be.

Nothing is imported here: the tests read the sources.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "reference" / "piecewise_reference"
FIXTURES = ROOT / "fixtures" / "piecewise_fixtures"
CONFORMANCE = ROOT / "conformance" / "piecewise_conformance"
BENCHMARKS = ROOT / "benchmarks" / "piecewise_benchmarks"
PACKAGES = (REFERENCE, FIXTURES, CONFORMANCE, BENCHMARKS)

# The layers of each package, the lowest first: its folders, and the modules that lie outside of a
# folder. A module may import from its own layer and from those before it, never from a later one.
# An import inside a function or under ``if TYPE_CHECKING`` counts like any other.
LAYERS = {
    REFERENCE: """
        ranges hashing env events counters platforms model_tag completion
        passes config tracing fastpath compilers cache cudagraph pieces
        serialization splitting backend saving __init__
    """,
    FIXTURES: """
        forward_context effects attention_triton ops llama programs fx_graphs generated __init__
    """,
    CONFORMANCE: """
        core emulation subject isolation testkit suite
        reporting history certificate repros runner mutation fuzzing releases cli __init__ __main__
    """,
    BENCHMARKS: """
        results aims table compare peers measure graphs noise gpu_ways suite __init__ __main__
    """,
}
MOST_MODULES = 16  # of one folder; the folders of test modules named suite may hold more

DANGEROUS_MODULES = ("pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle")
DANGEROUS_CALLS = ("eval", "exec")
# The only uses, each with its reason.
ALLOWED = {
    ("mutation/planting.py", "marshal"): "a mutant's code is made by this very process",
    ("mutation/planting.py", "exec"): "a mutant is the reference's own source, edited",
    (
        "suite/test_cache_corrupt.py",
        "pickle",
    ): "writes the hostile file that a subject must not load",
    ("suite/test_serial.py", "pickle"): "writes the hostile bytes that a subject must not load",
}


def sources(*folders: Path) -> list[Path]:
    """The Python files below ``folders``; at least one, or the test fails."""
    found = sorted(path for folder in folders for path in folder.rglob("*.py"))
    assert found
    return found


def tree(path: Path) -> ast.Module:
    """``path`` parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, package: Path) -> Iterator[str]:
    """The full names that ``path`` imports, also inside functions; relative ones are resolved."""
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


def inner_imports(package: Path) -> dict[str, set[str]]:
    """Every module of ``package``, by its name inside the package, and the modules it imports."""
    names = {
        path: ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        for path in sources(package)
    }
    known = set(names.values())
    found: dict[str, set[str]] = {name: set() for name in known}
    for path, name in names.items():
        for imported in imports(path, package):
            first, _, target = imported.partition(".")
            while target and target not in known:  # the name of something inside a module
                target = target.rpartition(".")[0]
            if first == package.name:
                found[name].add(target or "__init__")
        found[name].discard(name)
    return found


def upward_imports(package: Path, layers: str) -> list[str]:
    """The imports of a later layer, and the modules of no layer, each in words."""
    order = layers.split()
    found = []
    for module, imported in sorted(inner_imports(package).items()):
        layer = module.partition(".")[0]
        if layer not in order:
            found.append(f"{module} belongs to no layer")
            continue
        allowed = set(order[: order.index(layer) + 1])
        found += [
            f"{module} imports {target}"
            for target in sorted(imported)
            if target.partition(".")[0] not in allowed
        ]
    return found


def cycle(package: Path) -> list[str]:
    """Modules of ``package`` that import one another in a circle; empty if there are none."""
    try:
        TopologicalSorter(inner_imports(package)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def required_by_torch() -> set[str]:
    """The packages that torch itself always requires."""
    always = [each for each in requires("torch") or () if "extra ==" not in each]
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower() for each in always}


def test_relative_imports_are_resolved(tmp_path: Path) -> None:
    """The names read from import statements are those that Python would import."""
    package = tmp_path / "pack"
    (package / "inner").mkdir(parents=True)
    path = package / "inner" / "module.py"
    path.write_text("from . import a\nfrom .. import b\nfrom ..c import d\nimport e.f\n")
    assert sorted(imports(path, package)) == ["e.f", "pack.b", "pack.c.d", "pack.inner.a"]
    (package / "inner" / "__init__.py").write_text("def f():\n    from x import y")
    assert list(imports(package / "inner" / "__init__.py", package)) == ["x.y"]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A package with the layers low, high and top, without a cycle or an upward import."""
    files = {
        "low/__init__.py": "",
        "low/a.py": "import torch\nfrom . import b\n",
        "low/b.py": "VALUE = 1\n",
        "high/c.py": "from ..low.b import VALUE\n",
        "top.py": "def f():\n    from .high import c\n",
        "__init__.py": "from .top import f\n",
    }
    for name, text in files.items():
        path = tmp_path / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pack"


def test_a_layered_package_passes(pack: Path) -> None:
    """Imports of lower layers and inside a layer are allowed."""
    assert upward_imports(pack, "low high top __init__") == []
    assert cycle(pack) == []


@pytest.mark.parametrize(
    "text",
    [
        "from ..high import c\n",
        "import pack.high.c\n",
        "def f():\n    from ..high.c import VALUE\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..high.c import VALUE\n",
    ],
    ids=["relative", "absolute", "lazy", "type checking"],
)
def test_an_upward_import_is_found(pack: Path, text: str) -> None:
    """A lower layer that imports a higher one is reported, wherever the import stands."""
    (pack / "low" / "b.py").write_text(text)
    assert upward_imports(pack, "low high top __init__") == ["low.b imports high.c"]
    assert set(cycle(pack)) == {"low.b", "high.c"}


def test_an_import_of_the_package_itself_is_upward(pack: Path) -> None:
    """Only a layer above ``__init__`` may import what the package exports."""
    (pack / "low" / "b.py").write_text("from .. import f\n")
    assert upward_imports(pack, "low high top __init__") == ["low.b imports __init__"]


def test_a_cycle_inside_a_layer_is_found(pack: Path) -> None:
    """Two modules of one folder that import each other are reported, lazy imports included."""
    (pack / "low" / "b.py").write_text("def f():\n    from .a import g\n")
    assert upward_imports(pack, "low high top __init__") == []
    assert set(cycle(pack)) == {"low.a", "low.b"}


def test_a_module_of_no_layer_is_found(pack: Path) -> None:
    """A module outside of the table is reported, and so is one that imports it."""
    (pack / "new.py").write_text("")
    (pack / "top.py").write_text("from . import new\n")
    assert upward_imports(pack, "low high top __init__") == [
        "new belongs to no layer",
        "top imports new",
    ]


@pytest.mark.parametrize("package", LAYERS, ids=lambda each: each.name)
def test_no_layer_imports_a_higher_one(package: Path) -> None:
    """Every module belongs to a layer of the table and imports nothing of a later layer."""
    assert upward_imports(package, LAYERS[package]) == []


@pytest.mark.parametrize("package", LAYERS, ids=lambda each: each.name)
def test_no_modules_import_one_another(package: Path) -> None:
    """The imports of a package have no cycle, inside a layer either."""
    assert cycle(package) == []


@pytest.mark.parametrize("package", LAYERS, ids=lambda each: each.name)
def test_the_table_names_what_exists(package: Path) -> None:
    """Every layer of the table is a folder or a module of the package, and is named once."""
    layers = LAYERS[package].split()
    existing = {module.partition(".")[0] for module in inner_imports(package)}
    assert sorted(layers) == sorted(existing)


def test_packages_import_one_way() -> None:
    """Benchmarks import conformance, and conformance imports fixtures and the reference."""
    ours = {package.name for package in PACKAGES}
    assert {
        package.name: {name for path in sources(package) for name in foreign(path, package)} & ours
        for package in PACKAGES
    } == {
        REFERENCE.name: set(),
        FIXTURES.name: set(),
        CONFORMANCE.name: {REFERENCE.name, FIXTURES.name},
        BENCHMARKS.name: {REFERENCE.name, FIXTURES.name, CONFORMANCE.name},
    }


def test_folders_are_small_enough_to_survey() -> None:
    """No folder holds more than a screenful of modules, but for those of the test modules."""
    counts: dict[str, int] = {}
    for path in sources(*PACKAGES):
        if path.parent.name != "suite":
            folder = path.parent.relative_to(ROOT).as_posix()
            counts[folder] = counts.get(folder, 0) + 1
    assert not {folder: count for folder, count in counts.items() if count > MOST_MODULES}


@pytest.mark.parametrize("path", sources(REFERENCE), ids=lambda each: each.name)
def test_the_reference_stands_alone(path: Path) -> None:
    """The reference imports torch and what torch requires, and nothing else of this project."""
    allowed = {"torch", "filelock"}
    assert foreign(path, REFERENCE) <= allowed
    assert "filelock" in required_by_torch()


@pytest.mark.parametrize("path", sources(FIXTURES), ids=lambda each: each.name)
def test_fixtures_know_neither_the_harness_nor_the_reference(path: Path) -> None:
    """Fixtures import neither the harness nor the reference, which are both tested with them."""
    assert foreign(path, FIXTURES) <= {"torch", "triton", "transformers", "hypothesis"}


@pytest.mark.parametrize("path", sources(CONFORMANCE / "suite"), ids=lambda each: each.name)
def test_the_suite_sees_only_the_subject(path: Path) -> None:
    """No test of the suite imports the reference, which is one subject among others."""
    for name in imports(path, CONFORMANCE):
        assert name.partition(".")[0] != "piecewise_reference"
        assert not name.startswith("piecewise_conformance.subject.adapters")


def test_only_subjects_and_mutants_know_the_reference() -> None:
    """Outside of subject and mutation the harness does not import the reference."""
    knowing = {
        path.relative_to(CONFORMANCE).parts[0]
        for path in sources(CONFORMANCE)
        if "piecewise_reference" in foreign(path, CONFORMANCE)
    }
    assert knowing <= {"subject", "mutation"}


def test_nothing_runs_what_a_file_says() -> None:
    """Only the files in ALLOWED use pickle, eval and the like, and each of them does."""
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
    """No file is longer than the limit of its package; a longer one has to be split."""
    paths = [p for each in folders for p in (sources(each) if each.is_dir() else [each])]
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in paths
    }
    assert not {name: length for name, length in lengths.items() if length > most}


@pytest.mark.parametrize("path", sources(REFERENCE), ids=lambda each: each.name)
def test_every_module_of_the_reference_says_what_it_is(path: Path) -> None:
    """Every module of the reference has a docstring."""
    assert ast.get_docstring(tree(path))

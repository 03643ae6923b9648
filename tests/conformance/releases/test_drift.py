"""Two torches compared by their source: small ones, written by the tests."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.releases import drift, layers, names, sources
from piecewise_conformance.releases.names import Name, leaned_on, used_in
from piecewise_conformance.releases.reading import Reader
from piecewise_conformance.releases.sources import SourceError, Torch, open_torch

OLD = {
    "torch/version.py": "__version__ = '2.13.0'\ngit_version = 'aaaa'\n",
    "torch/__init__.py": "from ._ops import Op as Operator\nfrom torch.things import *\n",
    "torch/_ops.py": "class Op(Base):\n    name: str\n    def call(self, x, *, y=1): ...\n",
    "torch/things.py": "def thing(a: int, b=2):\n    'text'\n    return a\n",
    "torch/_inductor/__init__.py": "def standalone_compile(gm, inputs):\n    return 1\n",
    "torch/_inductor/standalone_compile.py": "def save(path):\n    raise ValueError('no')\n",
    "torch/_inductor/config.py": "size = 1\nold = 2\nclass triton:\n    graphs: bool = False\n",
    "torch/fx/gone.py": "def gone(): ...\n",
}
NEW = {
    **OLD,
    "torch/version.py": "__version__ = '2.15.0'\ngit_version = 'bbbb'\n",
    "torch/_ops.py": "class Op(Base):\n    def call(self, x, *, y=1, z): ...\n"
    "    def new(self): ...\n",
    "torch/things.py": "def thing(a: str, b=2):\n    'other text'\n    # a comment\n    return a\n",
    "torch/_inductor/__init__.py": "def standalone_compile(gm, inputs):\n    return (1,)\n",
    "torch/_inductor/standalone_compile.py": "def save(path):\n    raise RuntimeError('no')\n",
    "torch/_inductor/config.py": "size = 2\nclass triton:\n    graphs: bool = True\n    more = 1\n",
}
del NEW["torch/fx/gone.py"]

NAMES = [
    Name("torch.Operator"),
    Name("torch._ops.Op"),
    Name("torch.thing", body=True),
    Name("torch._inductor.standalone_compile", "Inductor", "compiles", body=True),
    Name("torch._inductor.standalone_compile.save"),
    Name("torch._inductor.config", "Inductor", "settings"),
    Name("torch.fx.gone.gone"),
    Name("torch.add"),
]


def folder(path: Path, files: dict[str, str]) -> Torch:
    """A torch as an environment has it."""
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return Torch(path)


def wheel(path: Path, files: dict[str, str]) -> Torch:
    """A torch as pip downloads it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return Torch(path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Torch, Torch]:
    """The old torch as a wheel, the new one as a folder."""
    old = wheel(tmp_path / "torch-2.13.0-py3-none-any.whl", OLD)
    return old, folder(tmp_path / "site-packages", NEW)


def found(pair: tuple[Torch, Torch]) -> set[tuple[str, str, tuple[str, ...]]]:
    """The changes of NAMES."""
    changes = drift.drift(*pair, NAMES).changes
    return {(each.name, each.kind, each.lines) for each in changes}


def test_each_kind_of_change_is_found(pair: tuple[Torch, Torch]) -> None:
    """Signatures, members, settings, raised errors, bodies, and names that are gone."""
    assert found(pair) == {
        ("torch.Operator", "members", ("-name", "call: +z", "+new (self)")),
        ("torch._inductor.standalone_compile", "body", ("1 lines added, 1 removed",)),
        (
            "torch._inductor.standalone_compile.save",
            "raises",
            ("-ValueError('no')", "+RuntimeError('no')"),
        ),
        (
            "torch._inductor.config",
            "settings",
            ("size: 1 → 2", "-old", "triton.graphs: False → True", "+triton.more 1"),
        ),
        ("torch.fx.gone.gone", "gone", ("a function",)),
    }


def test_nothing_changes_from_a_torch_to_itself(pair: tuple[Torch, Torch]) -> None:
    """A torch has no drift from itself; annotations, comments and docstrings are no change."""
    old, _ = pair
    same = drift.drift(old, old, NAMES)
    assert same.changes == ()
    # torch._ops.Op is torch.Operator, and counts once; torch.add is not defined in Python
    assert (same.compared, same.unknown) == (6, 1)


def test_a_layer_is_that_of_the_file(pair: tuple[Torch, Torch]) -> None:
    """A name without a layer gets the layer of the file that defines it."""
    by_name = {each.name: each.layer for each in drift.drift(*pair, NAMES).changes}
    assert by_name["torch._inductor.standalone_compile.save"] == layers.INDUCTOR
    assert by_name["torch.fx.gone.gone"] == layers.FX
    assert by_name["torch.Operator"] == layers.UNKNOWN


def test_a_function_may_be_called_like_a_module(pair: tuple[Torch, Torch]) -> None:
    """The function wins for the name itself, the module for what is inside of it."""
    reader = Reader(pair[0])
    whole = reader.describe("torch._inductor.standalone_compile")
    inside = reader.describe("torch._inductor.standalone_compile.save")
    assert whole is not None
    assert inside is not None
    assert (whole.kind, whole.facts["signature"]) == ("function", "(gm, inputs)")
    assert inside.facts["signature"] == "(path)"


def test_versions_and_commits_are_shown(pair: tuple[Torch, Torch]) -> None:
    """The text names both torches with the commits that they were built from."""
    changes = drift.drift(*pair, NAMES)
    assert drift.title(changes) == "2.13.0 (aaaa) → 2.15.0 (bbbb)"
    text = drift.as_text(changes, bodies=True)
    assert "-    return 1" in text
    assert "5 changed" in text
    markdown = drift.as_markdown(changes, bodies=True)
    assert "| `torch.fx.gone.gone` | gone | `a function` |" in markdown


def test_names_are_derived_from_imports(tmp_path: Path) -> None:
    """Imports and attributes of what is imported, under their full names."""
    (tmp_path / "user.py").write_text(
        "import torch\nimport torch._inductor.config as config\nfrom torch import fx\n"
        "import os\nos.path.join\ntorch._dynamo.mark_dynamic(1)\nconfig.patch()\nfx.Node.meta\n"
    )
    assert set(used_in([tmp_path])) == {
        "torch._inductor.config",
        "torch.fx",
        "torch._dynamo.mark_dynamic",
        "torch._inductor.config.patch",
        "torch.fx.Node.meta",
    }


def test_the_project_leans_on_what_it_imports() -> None:
    """The reference's imports are among the names, and the names written by hand have reasons."""
    everything = {each.name: each for each in leaned_on()}
    artifact = everything["torch._inductor.standalone_compile.CompiledArtifact"]
    assert any("standalone_adaptor.py" in each for each in artifact.users)
    assert all(each.why for each in everything.values() if each.layer)
    assert len(everything) > 100
    assert names.folders()


def test_this_torch_defines_the_names_written_by_hand() -> None:
    """A name that the installed torch does not define would never be compared."""
    import torch

    reader = Reader(Torch(Path(torch.__file__).parents[1]))
    by_hand = [each.name for each in leaned_on() if each.layer]
    assert [name for name in by_hand if reader.describe(name) is None] == []


def test_sources_are_opened_by_what_is_given(tmp_path: Path) -> None:
    """A folder, a wheel, and a version whose wheel is in the folder of wheels."""
    path = tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl"
    assert wheel(path, OLD).version == "2.13.0"
    assert open_torch(str(path), tmp_path).path == path
    assert open_torch("2.13.0", tmp_path).path == path
    assert open_torch("2.13.0+cpu", tmp_path).git_version == "aaaa"
    tree = folder(tmp_path / "tree", NEW)
    assert open_torch(str(tree.path), tmp_path).version == "2.15.0"


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    """Neither a path nor a version, a file that is no wheel, and a version that pip cannot get."""
    with pytest.raises(SourceError, match="neither a wheel"):
        open_torch("no such thing", tmp_path)
    (tmp_path / "torch.whl").write_text("")
    with pytest.raises(SourceError, match="not a zip archive"):
        open_torch(str(tmp_path / "torch.whl"), tmp_path)
    with pytest.raises(SourceError, match=r"pip cannot download torch 0\.0\.1: ERROR"):
        open_torch("0.0.1", tmp_path / "empty", ["--no-index"])
    assert sources.last_error("x\nERROR: first\nERROR: last\nnote") == "ERROR: last"


def test_the_command(
    pair: tuple[Torch, Torch], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints the drift of the names that the project leans on."""
    old, new = (str(each.path) for each in pair)
    assert main(["drift", old, new, "--wheels", str(tmp_path)]) == 0
    assert "torch._inductor.config – settings" in capsys.readouterr().out
    assert main(["drift", old, "nonsense", "--wheels", str(tmp_path)]) == 2
    assert "neither a wheel" in capsys.readouterr().err

"""Subjects that must not come out conformant, ones that must, and every form of a subject."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from piecewise_conformance.core import environment
from piecewise_conformance.core.options import Options
from piecewise_conformance.core.verdict import Unsupported, Violation
from piecewise_conformance.subject.adapters.rungs import from_object
from piecewise_conformance.subject.loading import LoadError, load_subject
from piecewise_conformance.subject.subject import ABILITIES, SURFACE, Subject
from piecewise_conformance.testkit.drive import drive, options_for
from piecewise_fixtures.programs import program

SUBJECTS = Path(__file__).parents[2] / "subjects"

COMPILERS = SUBJECTS / "compilers.py"
SELECTION = (
    "SPLIT-001 and linear-chain or RANGE-001 or KEY-001 or COMPILER-001"
    " or HASH-001 and piece-without-symbol"
    " or COPY-001 or STITCH-001 and one-tuple"
)
OTHER_DESIGNS = {
    "up_front": "INTERP-001 or INTERP-006 or RANGE-007 or HASH-004 or STITCH-001"
    " or BACKEND-001 or BACKEND-002 or BACKEND-003",
    "renumbered": "SPLIT-001 and fx or SPLIT-004 or SPLIT-005 and fx or SPLIT-014 and fx",
    "sealed": "KEY-001 or KEY-003 or CACHE-001 or CACHE-004 or CACHE-013 or CACHE-015 or COPY",
}
# Caches of several formats, folders of other names, ranges that are sorted and joined.
OTHER_FORMATS = {
    f"stores.py:{name}": "CACHE-002 and torn or CACHE-004 or CACHE-006 or CACHE-012 and object"
    " or CACHE-015 or CACHE-016 and flipped or CACHE-019 and unreadable or CACHE-022"
    for name in ("sqlite", "binary", "json_file", "entries")
} | {"other_names.py": "BACKEND-002 or BACKEND-011 and size or RANGE-004 or RANGE-008"}
STITCHED = "SPLIT-001 and linear-chain or STITCH-001 and (one-tuple or nested)"


@dataclass
class Run:
    """What came of a run."""

    status: int
    said: str
    lines: list[dict[str, Any]]

    @property
    def footer(self) -> dict[str, Any]:
        """The last line of the report."""
        assert self.lines[-1]["kind"] == "footer"
        return self.lines[-1]

    def statuses(self, family: str = "") -> set[str]:
        """Those of the results, of one family or of all."""
        results = [each for each in self.lines if each["kind"] == "result"]
        found = {each["status"] for each in results if each["id"].startswith(family)}
        assert found
        return found


def run(folder: Path, spec: str, keyword: str) -> Run:
    """One run through the command line, in ``folder``."""
    arguments = ["run", "--backend", spec, "--jobs", "1", "-k", keyword, "--out", str(folder)]
    arguments += ["--confirm", "0"]  # how scripts are run is tested elsewhere
    path = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-m", "piecewise_conformance", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    report = folder / "report.jsonl"
    assert report.exists(), done.stdout
    return Run(
        done.returncode, done.stdout, [json.loads(x) for x in report.read_text().split("\n") if x]
    )


def _wanted() -> dict[str, tuple[str, str]]:
    """What is run, by name: the backend, and the tests that it is asked."""
    hostile = ("raises", "returns_none", "returns_input", "unsupported")
    wanted = {name: (str(SUBJECTS / f"{name}.py"), SELECTION) for name in hostile}
    wanted |= {name: (str(SUBJECTS / f"{name}.py"), OTHER_DESIGNS[name]) for name in OTHER_DESIGNS}
    wanted |= {each: (str(SUBJECTS / each), keyword) for each, keyword in OTHER_FORMATS.items()}
    wanted["trusting"] = (f"{SUBJECTS / 'stores.py'}:trusting", "CACHE-001 or CACHE-015")
    for each in ("rewrites", "Keeps"):
        wanted[each] = (f"{COMPILERS}:{each}", "COMPILER and not inductor or KEY-001")
    return wanted


def run_of(name: str, folder: Path) -> Run:
    """The run of that name, in ``folder``."""
    return run(folder, *_wanted()[name])


@pytest.mark.parametrize("name", ["raises", "returns_none", "returns_input"])
def test_a_hostile_subject_is_not_conformant(tmp_path: Path, name: str) -> None:
    """Whatever family is asked, it fails, and no fault of it is taken for the harness's own."""
    done = run_of(name, tmp_path)
    assert done.status == 1, done.said
    assert done.footer["verdict"] == "not conformant"
    assert "NOT CONFORMANT" in done.said
    assert done.statuses() == {"fail"}


def test_a_subject_that_declines_everything(tmp_path: Path) -> None:
    """It is not conformant either: nothing was tested, which is said."""
    done = run_of("unsupported", tmp_path)
    assert done.status == 3, done.said
    assert done.footer["verdict"] == "nothing was tested"
    assert "NOTHING WAS TESTED" in done.said
    assert done.statuses() == {"unsupported"}
    assert "nothing is offered" in done.said


def test_the_ten_lines_of_the_readme(tmp_path: Path) -> None:
    """A file outside the repository is a subject; what it does not offer is shown."""
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.copy(SUBJECTS / "ten_lines.py", outside)
    done = run(tmp_path, str(outside / "ten_lines.py"), STITCHED)
    assert done.status == 0, done.said
    assert done.footer["verdict"].startswith("conformant")
    assert done.statuses("STITCH") == {"pass"}
    # the file has imported split_graph, and so offers it
    assert done.statuses("SPLIT") == {"pass"}


@pytest.mark.parametrize("name", [*OTHER_DESIGNS, *OTHER_FORMATS])
def test_a_correct_backend_of_another_design(tmp_path: Path, name: str) -> None:
    """Other names, numbers and files, merged neighbours, refusals: none of it is a failure."""
    done = run_of(name, tmp_path)
    assert done.status == 0, done.said
    assert done.footer["verdict"].startswith("conformant")
    assert "pass" in done.statuses()
    assert done.statuses() <= {"pass", "unsupported"}


def test_a_database_whose_entries_are_believed(tmp_path: Path) -> None:
    """A cache in any format must not serve a handle that stands under another key."""
    assert run_of("trusting", tmp_path).statuses("CACHE-015") == {"fail"}


@pytest.mark.parametrize("name", ["rewrites", "Keeps"])
def test_a_correct_compiler_alone(tmp_path: Path, name: str) -> None:
    """It is asked for what it is, not to be another compiler that a test would rather have."""
    done = run_of(name, tmp_path)
    assert done.status == 0, done.said
    assert done.footer["verdict"].startswith("conformant")
    assert done.statuses("COMPILER") == {"pass", "unsupported"}
    passed = {each["id"] for each in done.lines if each.get("status") == "pass"}
    assert {f"COMPILER-00{n}" for n in (1, 2, 3, 4, 7)} <= passed


def works(subject: Subject, *names: str, **changes: Any) -> None:
    """The subject runs each program as the program itself does."""
    for name in names:
        driven = drive(subject, program(name), **changes)
        for size in program(name).sizes:
            driven.check(size)


@cache
def dynamo(name: str) -> Subject:
    """The backend ``name`` of torch.compile."""
    return load_subject(f"dynamo:{name}")


@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_programs_through_dynamo(name: str) -> None:
    """Zero lines to write."""
    works(dynamo(name), "one-tuple", "input-updated-by-op", "linear-chain")


@pytest.mark.skipif(
    environment.missing("inductor") is not None, reason=environment.missing("inductor") or ""
)
@pytest.mark.filterwarnings("ignore")  # of torch, about itself
def test_inductor_through_dynamo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured from a float64 run, not to the bit."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    works(dynamo("inductor"), "one-tuple")


def test_what_a_backend_of_dynamo_is_not_asked() -> None:
    """Neither splitting nor ranges nor a cache."""
    with pytest.raises(Unsupported, match="compile-ranges"):
        dynamo("eager").backend(Options(compiler="eager", compile_sizes=(4,)))
    with pytest.raises(Unsupported, match="does not offer split_graph"):
        dynamo("eager").split(torch.fx.GraphModule({}, torch.fx.Graph()), [])
    with pytest.raises(Unsupported, match="inductor"):
        dynamo("aot_eager").backend(Options(compiler="inductor"))


def test_the_lines_of_the_readme(tmp_path: Path) -> None:
    """What it tells an author to write is a subject, wherever the file is."""
    readme = (SUBJECTS.parents[1] / "README.md").read_text()
    blocks = [each.partition("```")[0] for each in readme.split("```python\n")[1:]]
    (lines,) = [each for each in blocks if "def make_backend(" in each]
    assert lines.count("\n") <= 10
    (tmp_path / "my_backend.py").write_text(lines)
    (tmp_path / "my_project.py").write_text(
        "class MyBackend:\n"
        "    def __init__(self, splitting_ops): assert type(splitting_ops) is list\n"
        "    def __call__(self, graph, example_inputs): return graph.forward\n"
    )
    works(load_subject(str(tmp_path / "my_backend.py")), "linear-chain")


COMPILER = """
def compile_piece(graph, example_inputs):
    print("compiles", flush=True)
    return graph.forward
"""


def test_a_function_is_a_compiler(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three lines; the reference splits, and asks it once for each ordinary piece."""
    path = tmp_path / "a_compiler.py"
    path.write_text(COMPILER)
    subject = load_subject(f"{path}:compile_piece")
    works(subject, "linear-chain")
    assert capsys.readouterr().out.count("compiles") > 1
    assert not subject.offers("CompilerManager")  # nothing of it can be cached
    assert subject.can("splitting")


def test_a_function_that_compiles_wrongly_is_seen(tmp_path: Path) -> None:
    """The author's code is under test, not the reference around it."""
    path = tmp_path / "a_list.py"
    path.write_text(
        "def f(graph, inputs):\n    return lambda *args: tuple(each + 1 for each in graph(*args))\n"
    )
    with pytest.raises(Violation, match="different values"):
        works(load_subject(f"{path}:f"), "linear-chain")


class Interface:
    """An object with the seed's compiler interface, which counts."""

    name = "mine"

    def __init__(self) -> None:
        self.compiled: list[tuple[int, int]] = []

    def initialize_cache(
        self, cache_dir: str, disable_cache: bool = False, prefix: str = ""
    ) -> None:
        """No folder is needed."""

    def compute_hash(self, vllm_config: Any) -> str:
        """Always the same."""
        return "mine"

    def compile(
        self, graph: Any, inputs: Any, config: Any, compile_range: Any, key: Any = None
    ) -> tuple[Callable[..., Any], Any]:
        """The graph as it is, and a handle."""
        self.compiled.append((compile_range.start, compile_range.end))
        return graph.forward, {"number": len(self.compiled)}

    def load(self, handle: Any, graph: Any, *rest: Any) -> Callable[..., Any]:
        """The graph that is given."""
        return graph.forward  # type: ignore[no-any-return]


def test_an_object_with_the_interface_is_a_compiler(tmp_path: Path) -> None:
    """With a manager and a cache of the reference's around it; also a class of such objects."""
    mine = Interface()
    subject = from_object(mine, name="mine", origin="here")
    works(subject, "linear-chain", compile_sizes=(4,), cache_root=str(tmp_path))
    assert (4, 4) in mine.compiled
    assert subject.offers("CompilerManager")
    works(from_object(Interface, name="mine", origin="here"), "one-tuple")


@pytest.mark.parametrize("name", ["rewrites", "PerGraph", "decorated"])
def test_forms_of_a_compiler(name: str) -> None:
    """Whatever can be called with a graph and inputs, also where the graph is used up by it."""
    subject = load_subject(f"{COMPILERS}:{name}")
    works(subject, "linear-chain", compile_ranges_endpoints=(5,))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gives_nothing", "returned None, expected a callable"),
        ("gives_a_pair", "returned a tuple of .*, expected a callable"),
        ("GivesNothing", r"returned None, expected \(callable, handle\)"),
    ],
)
def test_a_compiler_that_answers_wrongly(name: str, words: str) -> None:
    """Told in its own terms, and not by what stumbles over it later."""
    with pytest.raises(Exception, match=words):
        works(load_subject(f"{COMPILERS}:{name}"), "linear-chain")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Partial", r"has no load\(\); it cannot be called as compile\(graph, example_inputs, "),
        ("NeedsAnArgument", "needs arguments; pass an instance instead"),
        ("Nameless", "has the name None"),
    ],
)
def test_a_compiler_that_cannot_be_called(name: str, words: str) -> None:
    """One error, before anything is run, that tells all that is wrong."""
    with pytest.raises(LoadError, match=words):
        load_subject(f"{COMPILERS}:{name}")


# -- what is a subject -------------------------------------------------------------------------


def make_backend(options: Any) -> Any:
    """For subjects that are only looked at."""


@pytest.mark.parametrize(
    "found", [object(), 3, None, "text", lambda: 0, lambda one: 0, lambda a, b, c: 0, int]
)
def test_what_is_no_subject(found: Any) -> None:
    """Told with where it came from and with all forms that there are."""
    with pytest.raises(TypeError, match="over-there is not a subject; pass a module or object"):
        from_object(found, name="x", origin="over-there")


@pytest.mark.parametrize("abilities", [("splitting", "flying"), {"flying"}])
def test_an_unknown_ability(abilities: Any) -> None:
    """A typo there would make tests unsupported in silence."""
    found = SimpleNamespace(make_backend=make_backend, ABILITIES=abilities)
    with pytest.raises(
        TypeError, match=r"over-there has unknown names \['flying'\]; known are eager, "
    ):
        from_object(found, name="x", origin="over-there")


def test_abilities_that_are_a_text() -> None:
    """A forgotten comma in a tuple of one is an error, and not letters."""
    found = SimpleNamespace(make_backend=make_backend, ABILITIES="splitting")
    with pytest.raises(TypeError, match="ABILITIES of over-there"):
        from_object(found, name="x", origin="over-there")


def test_usual_abilities() -> None:
    """Of a make_backend little is expected; with the seed's VllmBackend, all of it."""
    little = from_object(SimpleNamespace(make_backend=make_backend), name="x", origin="x")
    assert little.abilities == {"splitting"}
    much = from_object(SimpleNamespace(VllmBackend=object), name="x", origin="x")
    assert much.abilities == set(ABILITIES)
    nothing = SimpleNamespace(make_backend=make_backend, ABILITIES=())
    assert from_object(nothing, name="x", origin="x").abilities == set()


def test_a_subject_as_it_is() -> None:
    """Also as the attribute ``subject``; only names of the surface are taken from an object.

    Its origin is what was given to find it: a fresh process finds it there again.
    """
    ready = Subject("ready", "here", {})
    for given in (ready, SimpleNamespace(subject=ready)):
        found_ready = from_object(given, name="x", origin="x")
        assert (found_ready.name, found_ready.origin) == ("ready", "x")
        assert found_ready.surface is ready.surface
    found = SimpleNamespace(Range=int, other=1, __version__="2.1")
    taken = from_object(found, name="x", origin="y")
    assert (taken.name, taken.origin, taken.version) == ("x", "y", "2.1")
    assert list(taken.surface) == ["Range"]
    assert set(taken.surface) < set(SURFACE)


def test_answers_of_the_wrong_form_are_violations() -> None:
    """A facet checks the form before a test looks at what it says."""
    names = {each: lambda *args, **kwargs: None for each in SURFACE}
    subject = Subject("none", "here", names, frozenset(ABILITIES))
    for ask in (
        lambda: subject.split(None, []),
        lambda: subject.range(1, 2),
        lambda: subject.copy_and_call([], [], print),
        lambda: subject.backend(options_for(subject, program("linear-chain"))),
    ):
        with pytest.raises(Violation):
            ask()

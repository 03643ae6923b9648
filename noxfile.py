"""The sessions of the project; ``nox -l`` lists them.

Every session takes two arguments of its own after ``--``: ``--torch VERSION`` and, any number of
times, ``--install REQUIREMENT``. All others go to what the session runs. ``--torch latest`` is the
newest version in the declared range.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nox
import nox.project

TORCH = "2.13.0"
PACKAGES = {
    "piecewise_reference": "reference",
    "piecewise_conformance": "conformance",
    "piecewise_fixtures": "fixtures",
    "piecewise_benchmarks": "benchmarks",
}
HERE = Path(__file__).parent
PYPROJECT = nox.project.load_toml(HERE / "pyproject.toml")
# Which versions of torch work, as the last `nox -s releases` that was committed has shown.
SUMMARY = HERE / "docs" / "releases" / "summary.toml"

# A process a core; one that has nothing left takes half of what another one has still to do.
WORKERS = ("-n", "auto", "--maxprocesses", "8", "--dist", "worksteal")
PYTEST = ("python", "-m", "pytest", "-rs", *WORKERS)

PEERS = {"vllm": "vllm==0.33.0", "sglang": "sglang==0.5.23"}
PEERS_IMPORT = HERE / ".ci" / "peers.txt"

nox.needs_version = ">=2025.2.9"  # the first with nox.project.dependency_groups
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]


class Own(NamedTuple):
    """The arguments of every session, and the ``rest``, which are for what the session runs."""

    torch: str
    requirements: list[str]
    rest: list[str]


def own(session: nox.Session) -> Own:
    """Read ``--torch VERSION`` and ``--install REQUIREMENT``, or ``--torch=VERSION`` and so on."""
    torch = TORCH
    requirements: list[str] = []
    rest: list[str] = []
    arguments = iter(session.posargs)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in ("--torch", "--install"):
            rest.append(argument)
            continue
        if not equals and not (value := next(arguments, "")):
            session.error(f"{name} needs a value, as in {name} VALUE or {name}=VALUE")
        if name == "--torch":
            torch = nox.project.load_toml(SUMMARY)["newest"] if value == "latest" else value
        else:
            requirements.append(value)
    return Own(torch, requirements, rest)


# What this run of nox has installed, so that `tests`, which is many steps, builds the project once.
_installed: set[tuple[str, ...]] = set()


def install(session: nox.Session, *groups: str, without: Iterable[str] = ()) -> list[str]:
    """Install torch, the project as its users get it, and dependency ``groups``.

    Requirements of ``--install`` that are in ``without`` are left out. Returns the arguments for
    what the session runs.
    """
    torch, requirements, rest = own(session)
    extra = [each for each in requirements if each not in without]
    # Not editable: what is tested is what a wheel holds. pip builds a path again at each call.
    project = (f"torch=={torch}", ".[models,triton]", *extra)
    if (session.name, *project) not in _installed:
        session.install(*project)
        _installed.add((session.name, *project))
    install_groups(session, *groups)
    return rest


def install_groups(session: nox.Session, *groups: str) -> None:
    """Install dependency ``groups`` of pyproject.toml."""
    if groups:
        session.install(*nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def conformance(session: nox.Session) -> None:
    """Test a backend: nox -s conformance -- --backend SPEC (default: the reference).

    A peer, ``--backend vllm`` or ``sglang``, goes to the session ``peers``, and so into an
    environment of its own; ``--install vllm==0.32.0`` there tests another release.
    """
    if (peer := _backend(session.posargs)) in PEERS:
        session.notify(f"peers(peer='{peer}')", session.posargs)
        return
    session.run("python", "-m", "piecewise_conformance", "run", *install(session))


@nox.session
@nox.parametrize("peer", list(PEERS))
def peers(session: nox.Session, peer: str) -> None:
    """The released vLLM, and the released SGLang, each in an environment of its own."""
    wheels = [each for each in own(session).requirements if each.startswith(peer)]
    rest = install(session, without=wheels)
    install_peers(session, *(wheels or [PEERS[peer]]))
    if peer == "vllm" and not rest:  # what the tests session cannot run; any argument is for `run`
        session.run("python", "-m", "pytest", "tests/conformance/subject/test_peers.py")
    if _backend(rest) is None:
        rest += ["--backend", peer, "--out", f"conformance-report-{peer}"]
    session.run("python", "-m", "piecewise_conformance", "run", *rest)


def install_peers(session: nox.Session, *wheels: str) -> None:
    """Install the wheels of peers without their dependencies, among which is another torch."""
    session.install("--no-deps", *wheels)
    session.install("-r", str(PEERS_IMPORT), f"torch=={own(session).torch}")


def _backend(arguments: list[str]) -> str | None:
    """The value of ``--backend SPEC`` or ``--backend=SPEC``."""
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--backend":
            return value if equals else next(iter(arguments[at + 1 :]), None)
    return None


@nox.session
def smoke(session: nox.Session) -> None:
    """See in half a minute whether a backend's adapter works at all: the smoke profile."""
    rest = install(session)
    session.run("python", "-m", "piecewise_conformance", "run", "--profile", "smoke", *rest)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Search on among programs nobody wrote: nox -s fuzz -- --backend SPEC --minutes N."""
    session.run("python", "-m", "piecewise_conformance", "fuzz", *install(session))


@nox.session
def crosses(session: nox.Session) -> None:
    """Modes of a backend in combination, every three together: nox -s crosses -- --backend SPEC."""
    rest = install(session)
    command = ("python", "-m", "piecewise_conformance", "run", "--family", "CROSS")
    session.run(*command, *rest, env={"PIECEWISE_CROSSES": "3"})


@nox.session(name="fuzz-mutants")
def fuzz_mutants(session: nox.Session) -> None:
    """How soon the search finds each mutant that a program can show, and how short: a table."""
    rest = install(session)
    module = "piecewise_conformance.fuzzing.mutants"
    session.run("python", "-m", module, "--json", "fuzz-mutants.json", *rest)


@nox.session
def gpu(session: nox.Session) -> None:
    """The suite on a GPU with real CUDA graphs, and the decoder's figures there."""
    rest = install(session)
    session.run("python", "-m", "piecewise_conformance.cli.gpu", success_codes=[0, 1, 3])
    session.run("python", "-m", "piecewise_conformance", "run", "--device", "cuda", *rest)


@nox.session
def releases(session: nox.Session) -> None:
    """Validate versions of torch: nox -s releases -- 2.13.0 2.15.0; read docs/releases.md."""
    rest = install(session)
    given = ("--project", str(HERE), "--peer-requirements", str(PEERS_IMPORT))
    session.run("python", "-m", "piecewise_conformance", "releases", *given, *rest)


@nox.session(name="bisect-nightlies")
def bisect_nightlies(session: nox.Session) -> None:
    """Find the nightly of torch with which a case began to fail; read docs/releases.md."""
    rest = install(session)
    given = ("--project", str(HERE), "--peer-requirements", str(PEERS_IMPORT))
    session.run("python", "-m", "piecewise_conformance", "bisect-nightlies", *given, *rest)


@nox.session
def tests(session: nox.Session) -> None:
    """Run lint, types, unit, docs, conformance and a few mutants, in this order: what CI runs."""
    # Called here rather than queued by session.notify, so that all of them share the environment of
    # this session: in one of its own each step would install torch, which has several gigabytes.
    if rest := own(session).rest:
        session.error(
            f"tests was given {' '.join(rest)}, but takes only --torch and --install; "
            "give other arguments to one of its steps, as in: nox -s unit -- -k NAME"
        )
    for step in (lint, types, unit, docs, conformance, few_mutants):
        step(session)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style of the code with ruff."""
    install_groups(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the packages, the tests and this file with mypy."""
    install(session, "types")
    mypy = (
        "mypy",
        f"--config-file={HERE / 'pyproject.toml'}",
        f"--cache-dir={HERE / '.mypy_cache'}",
    )
    # From another folder: the installed packages are checked, not the checkout.
    with session.chdir(session.create_tmp()):
        session.run(*mypy, *(part for name in PACKAGES for part in ("-p", name)))
        session.run(*mypy, str(HERE / "noxfile.py"), str(HERE / "tests"))


@nox.session
def unit(session: nox.Session) -> None:
    """Run the self-tests, except those of the documentation."""
    rest = install(session, "tests")
    session.run(*PYTEST, "tests", "--ignore=tests/docs", *rest)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build; check links, commands, programs and the changelog."""
    rest = install(session, "docs")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)
    sphinx = ("sphinx-build", "--quiet", "--fresh-env", "--fail-on-warning", "--keep-going")
    session.run(*sphinx, "docs", "docs/_build")
    session.run(*PYTEST, "tests/docs", *rest)


@nox.session
def coverage(session: nox.Session) -> None:
    """Report which branches the self-tests reach: a table, and htmlcov/index.html."""
    rest = install(session, "tests")
    session.run("coverage", "erase")
    session.run("coverage", "run", *PYTEST[1:], "tests", *rest)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "html", "--quiet")
    session.run("coverage", "report")


@nox.session
def mutants(session: nox.Session) -> None:
    """The kill matrix: every mutant must fail just what it declares. Also as mutants.json."""
    _mutants(session)


@nox.session(name="few-mutants")
def few_mutants(session: nox.Session) -> None:
    """A few mutants by which every requirement is failed once; all of them take half an hour."""
    _mutants(session, "--covering")


def _mutants(session: nox.Session, *arguments: str) -> None:
    module = "piecewise_conformance.mutation"
    rest = install(session)
    session.run("python", "-m", module, "--json", "mutants.json", *arguments, *rest)


@nox.session
def mutation(session: nox.Session) -> None:
    """Standard mutation operators over the reference: nox -s mutation -- --resume; takes hours."""
    rest = install(session, "mutation")
    session.run("python", "-m", "piecewise_conformance.mutation.systematic", *rest)


@nox.session
def repros(session: nox.Session) -> None:
    """The script of every failure of every mutant must fail in a fresh process; takes an hour."""
    session.run("python", "-m", "piecewise_conformance.mutation.repros", *install(session))


@nox.session
def programs(session: nox.Session) -> None:
    """What self-tests show of hundreds of drawn programs, shown of thousands: ten minutes."""
    rest = install(session)
    folder = "tests/conformance/emulation"
    emulation = (f"{folder}/test_emulation_generated.py", f"{folder}/test_emulation_programs.py")
    session.run(*PYTEST, *emulation, *rest, env={"PIECEWISE_PROGRAMS": "5000"})
    generated = "tests/fixtures/test_generated.py"
    session.run(*PYTEST, generated, *rest, env={"PIECEWISE_PROGRAMS": "2000"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure: nox -s bench [-- --peers] [--out FILE]; read docs/benchmarks.md."""
    rest = install(session, "bench")
    if "--peers" in rest:
        install_peers(session, *PEERS.values())
    session.run("python", "-m", "piecewise_benchmarks", "run", *rest)


@nox.session(name="bench-compare")
def bench_compare(session: nox.Session) -> None:
    """Compare two measurements: nox -s bench-compare -- OLD NEW; fails on any change, both ways."""
    rest = install(session, "bench")
    session.run("python", "-m", "piecewise_benchmarks", "compare", *rest)


@nox.session
def merge(session: nox.Session) -> None:
    """One report of the reports of all shards: nox -s merge -- DIR... --out DIR."""
    session.run("python", "-m", "piecewise_conformance", "merge", *install(session))


@nox.session
def nightly(session: nox.Session) -> None:
    """What CI runs each night, into nightly/: nox -s nightly -- --device cpu|cuda.

    With PIECEWISE_CHANNEL=nightly torch comes from the index PIECEWISE_NIGHTLY_INDEX. Benchmarks
    run twice, since only a change that both runs show counts. A failed requirement does not fail
    the session: the history judges it.
    """
    rest = install(session, "bench")
    if os.environ.get("PIECEWISE_CHANNEL") == "nightly":
        index = os.environ.get("PIECEWISE_NIGHTLY_INDEX") or session.error(
            "PIECEWISE_CHANNEL is nightly, but PIECEWISE_NIGHTLY_INDEX names no index"
        )
        session.install("--pre", "--upgrade", "--index-url", index, "torch")
    command = ("python", "-m", "piecewise_conformance", "run", "--out", "nightly/report")
    session.run(*command, *rest, success_codes=[0, 1, 3])
    if "cuda" in rest:
        for number in (1, 2):
            out = f"nightly/benchmarks-{number}.json"
            module = ("python", "-m", "piecewise_benchmarks", "run")
            session.run(*module, "-k", "latency", "--out", out)


@nox.session
def history(session: nox.Session) -> None:
    """Append what lies in a folder, render and judge: nox -s history -- NIGHTS [DIR]."""
    folders = install(session)
    if not folders:
        session.error("name the folder that holds what the nightly sessions wrote")
    to = folders[1] if len(folders) > 1 else "history"
    found = [*Path(folders[0]).rglob("report.jsonl"), *Path(folders[0]).rglob("benchmarks-*.json")]
    if not found:
        session.error(f"{folders[0]} holds no report.jsonl and no benchmarks-*.json")
    command = ("python", "-m", "piecewise_conformance", "history")
    link = os.environ.get("PIECEWISE_LINK", "")
    session.run(*command, "append", *map(str, sorted(found)), "--to", to, "--link", link)
    session.run(*command, "render", to)
    session.run(*command, "judge", to)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, compare it with the tracked files, and run it in a clean environment."""
    folder = Path(session.create_tmp()) / "wheel"
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), ".")
    (wheel,) = folder.glob("*.whl")
    check_contents(session, wheel)
    torch = own(session).torch
    session.install(f"torch=={torch}")
    session.install("--force-reinstall", "--no-deps", str(wheel))
    session.install(f"torch=={torch}", str(wheel))
    with session.chdir(session.create_tmp()):
        session.run("piecewise-conformance", "list")


def check_contents(session: nox.Session, wheel: Path) -> None:
    """The wheel holds the tracked files of the packages, all of them and no others."""
    tracked = set()
    for package, folder in PACKAGES.items():
        path = f"{folder}/{package}"
        listed = subprocess.run(
            ["git", "ls-files", "-z", path], cwd=HERE, capture_output=True, text=True, check=True
        )
        tracked |= {each.removeprefix(f"{folder}/") for each in listed.stdout.split("\0") if each}
    with zipfile.ZipFile(wheel) as archive:
        packed = {each for each in archive.namelist() if ".dist-info/" not in each}
    if tracked != packed:
        session.error(
            f"the wheel lacks {sorted(tracked - packed)} and has besides {sorted(packed - tracked)}"
        )
    session.log(f"the wheel holds the {len(packed)} tracked files of its packages")

"""The sessions of the project; ``nox -l`` lists them.

Every session takes two arguments of its own after ``--``: ``--torch VERSION`` and, any number of
times, ``--install REQUIREMENT``. All others go to what the session runs.
"""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

import nox

TORCH = "2.13.0"
PACKAGES = {
    "piecewise_reference": "reference",
    "piecewise_conformance": "conformance",
    "piecewise_fixtures": "fixtures",
    "piecewise_benchmarks": "benchmarks",
}
HERE = Path(__file__).parent

# A process a core; one that has nothing left takes half of what another one has still to do.
WORKERS = ("-n", "auto", "--maxprocesses", "8", "--dist", "worksteal")

PEERS = {"vllm": "vllm==0.33.0", "sglang": "sglang==0.5.23"}
PEERS_IMPORT = HERE / ".ci" / "peers.txt"

nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]


def install(session: nox.Session, *tools: str, arguments: Iterable[str] | None = None) -> list[str]:
    """Install torch, the project as its users get it, and ``tools``; the arguments left over."""
    torch, extra, rest = TORCH, [], []
    arguments = iter(session.posargs if arguments is None else arguments)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in ("--torch", "--install"):
            rest.append(argument)
            continue
        if not equals and (value := next(arguments, "")) == "":
            session.error(f"{name} needs a value")
        if name == "--torch":
            torch = value
        else:
            extra.append(value)
    # Not editable: what is tested is what a wheel holds. pip builds a path anew each time.
    session.install(f"torch=={torch}", ".[models,triton]", *tools, *extra)
    return rest


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
    own, others = [], []
    arguments = iter(session.posargs)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name == "--install":
            value = value if equals else next(arguments, "")
            (own if value.startswith(peer) else others).append(f"--install={value}")
        else:
            others.append(argument)
    rest = install(session, arguments=others)
    wheels = [each.removeprefix("--install=") for each in own] or [PEERS[peer]]
    install_peers(session, *wheels)
    if peer == "vllm" and not rest:  # what the tests session cannot run; any argument is for `run`
        session.run("python", "-m", "pytest", str(HERE / "tests" / "test_peers.py"))
    if _backend(rest) is None:
        rest += ["--backend", peer, "--out", f"conformance-report-{peer}"]
    session.run("python", "-m", "piecewise_conformance", "run", *rest)


def install_peers(session: nox.Session, *wheels: str) -> None:
    """Install the wheels of peers without their dependencies, among which is another torch."""
    session.install("--no-deps", *wheels)
    torch = _argument(session.posargs, "--torch") or TORCH
    session.install("-r", str(PEERS_IMPORT), f"torch=={torch}")


def _argument(arguments: list[str], wanted: str) -> str | None:
    """The value of the argument ``wanted``, as ``--name value`` or ``--name=value``."""
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == wanted:
            return value if equals else next(iter(arguments[at + 1 :]), None)
    return None


def _backend(arguments: list[str]) -> str | None:
    return _argument(arguments, "--backend")


@nox.session
def smoke(session: nox.Session) -> None:
    """See in half a minute whether a backend's adapter works at all: the smoke profile."""
    rest = install(session)
    session.run("python", "-m", "piecewise_conformance", "run", "--profile", "smoke", *rest)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Search on among programs nobody wrote: nox -s fuzz -- --backend SPEC --minutes N."""
    session.run("python", "-m", "piecewise_conformance", "fuzz", *install(session))


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
def tests(session: nox.Session) -> None:
    """The project's own tests: lint, types, self-tests, the reference's conformance, mutants."""
    rest = install(session, "mypy", "playwright", "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    # By package name, from elsewhere: the installed packages are checked, not the checkout.
    packages = [part for name in PACKAGES for part in ("-p", name)]
    config = str(HERE / "pyproject.toml")
    cache = f"--cache-dir={HERE / '.mypy_cache'}"
    with session.chdir(session.create_tmp()):
        session.run("mypy", f"--config-file={config}", cache, *packages)
    session.run("python", "-m", "pytest", "tests", "-rs", *WORKERS, *rest)
    session.run("python", "-m", "piecewise_conformance", "run")
    session.run("python", "-m", "piecewise_conformance.mutation")


@nox.session
def mutants(session: nox.Session) -> None:
    """The kill matrix: every mutant must fail just what it declares. Also as mutants.json."""
    rest = install(session)
    session.run("python", "-m", "piecewise_conformance.mutation", "--json", "mutants.json", *rest)


@nox.session
def repros(session: nox.Session) -> None:
    """The script of every failure of every mutant must fail in a fresh process; takes an hour."""
    session.run("python", "-m", "piecewise_conformance.mutation.repros", *install(session))


@nox.session
def programs(session: nox.Session) -> None:
    """What self-tests show of hundreds of drawn programs, shown of thousands: ten minutes."""
    rest = install(session)
    run = ("python", "-m", "pytest", *WORKERS)
    emulation = ("tests/test_emulation_generated.py", "tests/test_emulation_programs.py")
    session.run(*run, *emulation, *rest, env={"PIECEWISE_PROGRAMS": "5000"})
    session.run(*run, "tests/test_generated.py", *rest, env={"PIECEWISE_PROGRAMS": "2000"})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure: nox -s bench [-- --peers] [--out FILE]; read docs/benchmarks.md."""
    rest = install(session, "pytest-benchmark")
    if "--peers" in rest:
        install_peers(session, *PEERS.values())
    session.run("python", "-m", "piecewise_benchmarks", "run", *rest)


@nox.session(name="bench-compare")
def bench_compare(session: nox.Session) -> None:
    """Compare two measurements: nox -s bench-compare -- OLD NEW; fails on any change, both ways."""
    rest = install(session, "pytest-benchmark")
    session.run("python", "-m", "piecewise_benchmarks", "compare", *rest)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, compare it with the tracked files, and run it in a clean environment."""
    folder = Path(session.create_tmp()) / "wheel"
    for old in folder.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), ".")
    (wheel,) = folder.glob("*.whl")
    check_contents(session, wheel)
    torch = next(
        (b for a, b in zip(session.posargs, session.posargs[1:], strict=False) if a == "--torch"),
        TORCH,
    )
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

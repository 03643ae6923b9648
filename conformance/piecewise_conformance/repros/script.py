"""The text of a script: what failed on top, then the test, then what it needs, as comments.

What it needs of the harness is kept as comments because they need no quoting: the script unpacks
them into a folder of its own and imports from there, and so do the processes that it starts.
"""

from __future__ import annotations

import ast
import importlib.metadata
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..reporting.script_text import FILES
from ..subject.registry import BACKENDS, SCHEME_SOURCES, SCHEMES, registered
from .sources import CONFORMANCE, PACKAGES, REFERENCE, file_of, needed

STANDALONE = f"{CONFORMANCE}.repros.standalone"
_LINES = 40  # of one text

# Parts of the harness that load a subject, of which a script has those for its own.
_REFERENCE, _COMPILER, _DYNAMO = (
    f"{CONFORMANCE}.subject.adapters.{name}" for name in ("reference", "compiler_rung", "dynamo")
)
_BY_NEED = (_REFERENCE, _COMPILER, _DYNAMO)

_UNPACK = '''\
def _unpack() -> None:
    """Write the files at the end of this script into a folder, and import from there."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="piecewise-repro-"))
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    files, lines = {}, None
    for line in pathlib.Path(__file__).read_text(encoding="utf-8").split("\\n"):
        if line.startswith("#: "):
            lines = files.setdefault(folder / line[3:], [])
        elif lines is not None and line.startswith("#|"):
            lines.append(line[3:])
    for path, lines in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\\n".join(lines), encoding="utf-8")
    sys.path.insert(0, str(folder))
    known = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{known}" if known else str(folder)


_unpack()
'''


@dataclass(frozen=True)
class Loading:
    """How a script loads the subject: by ``spec``, with ``modules`` and ``files`` in it."""

    spec: str
    needs: str  # what must be installed, for people
    modules: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None
    folder: str = ""  # where the run was started, if the subject is found from there


def loading_of(spec: str, folder: Path | None = None) -> Loading:
    """How a script loads the subject that a run in ``folder`` knows as ``spec``."""
    folder = folder or Path.cwd()
    kind, _, rest = spec.partition(":")
    if spec == "reference":
        return Loading(spec, "piecewise_reference", (_REFERENCE,))
    if kind == "dynamo":
        return Loading(spec, f"what has torch.compile's backend {rest}", (_DYNAMO,))
    if sources := registered(SCHEME_SOURCES).get(kind):
        files = {f"{REFERENCE}/{file}": text for file, text in sources.load()(rest).items()}
        needs = f"nothing else: the reference is in it, changed into {spec}"
        return Loading("reference", needs, (_REFERENCE, REFERENCE), files)
    any_rung = (_REFERENCE, _COMPILER)
    if scheme := registered(SCHEMES).get(kind):
        return Loading(spec, f"{scheme.module}, which loads {spec}", any_rung)
    if (target := registered(BACKENDS).get(spec)) and target.module.startswith(CONFORMANCE):
        platform = f"{target.module}_platform"
        return Loading(spec, spec, (target.module, platform))
    head, colon, attribute = spec.rpartition(":")
    file, attribute = (head, attribute) if colon and head.endswith(".py") else (spec, "")
    if file.endswith(".py"):
        path = (folder / Path(file).expanduser()).resolve()
        spec = f"{path}:{attribute}" if attribute else str(path)
        return Loading(spec, str(path), (*any_rung, *_imports(path)))
    name = (target.module if target else spec).partition(":")[0]
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    return Loading(spec, name, (*any_rung, *_imports(path)), folder=str(folder.resolve()))


def _imports(path: Path) -> list[str]:
    """What the subject's own file imports of ours."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
    return [each for each in found if each.partition(".")[0] in PACKAGES and file_of(each)]


def bundle(head: str, body: str, loading: Loading, *, modules: Iterable[str] = ()) -> str:
    """A script: the docstring ``head``, then ``body``, which may import from the harness.

    ``modules`` are further parts of the harness that it needs.
    """
    wanted = {*modules, *loading.modules, STANDALONE, f"{CONFORMANCE}.subject.loading"}
    if _COMPILER in wanted:
        wanted.add(REFERENCE)
    without = {each for each in _BY_NEED if each not in wanted}
    without |= {REFERENCE} - wanted
    files = needed([body], wanted, without=without)
    files.update(loading.files or {})
    files.update(_metadata(files))
    parts = [
        f'"""{_quoted(head).strip()}\n"""',
        "from __future__ import annotations",
        "import atexit\nimport os\nimport pathlib\nimport shutil\nimport sys\nimport tempfile",
        f"\n{_UNPACK}",
    ]
    if loading.folder:
        parts.append(f"sys.path.append({loading.folder!r})  # where the run was started")
    text = "\n\n".join(parts).rstrip("\n") + "\n\n" + body.strip("\n") + "\n"
    return f"{text}\n\n{FILES}\n{''.join(_embedded(files))}"


def _metadata(files: Mapping[str, str]) -> dict[str, str]:
    """What an installation says of entry points, for those of them that are in the script."""
    try:
        installed = importlib.metadata.distribution("piecewise-conformance")
    except importlib.metadata.PackageNotFoundError:
        return {}
    groups: dict[str, list[str]] = {}
    for each in installed.entry_points:
        if f"{each.module.replace('.', '/')}.py" in files:
            groups.setdefault(each.group, []).append(f"{each.name} = {each.value}")
    folder = f"piecewise_conformance-{installed.version}.dist-info"
    text = "\n".join(f"[{group}]\n" + "\n".join(lines) for group, lines in groups.items())
    about = f"Metadata-Version: 2.1\nName: piecewise-conformance\nVersion: {installed.version}\n"
    return {f"{folder}/METADATA": about, f"{folder}/entry_points.txt": f"{text}\n"}


def _embedded(files: Mapping[str, str]) -> Iterable[str]:
    for name, text in files.items():
        lines = text.split("\n")
        yield f"#\n#: {name}\n"
        yield "".join(f"#| {each}\n" if each else "#|\n" for each in lines)


def said(label: str, text: str) -> str:
    """A text of a result for the head of a script; nothing for none."""
    lines = text.strip("\n").splitlines() if text.strip() else []
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... {len(lines) - _LINES} lines more, in the report"]
    if not lines:
        return ""
    return textwrap.indent("\n".join([f"{label}{lines[0]}", *lines[1:]]), "    ") + "\n"


def commented(title: str, text: str) -> str:
    """``text`` as a comment under ``title``."""
    lines = "".join(f"# {each}".rstrip() + "\n" for each in text.strip("\n").splitlines())
    return f"# --- {title} ---\n#\n{lines}"


def _quoted(text: str) -> str:
    """``text`` for between triple quotes."""
    return text.replace("\\", "\\\\").replace('"""', "'''").replace("\0", "\\0")


def call(backend: str, test: str, case: str, **settings: Any) -> str:
    """The last lines of a script: run ``test``, and exit as it went."""
    given = [test, repr(case), f"backend={backend!r}"]
    given += [f"{name}={value!r}" for name, value in settings.items() if value]
    module, _, name = STANDALONE.rpartition(".")
    arguments = ", ".join(given)
    return (
        f'if __name__ == "__main__":\n    from {module} import {name}\n\n'
        f"    raise SystemExit({name}.main({arguments}))\n"
    )

"""The text of a script: what failed on top, then the test, then the call that judges it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.tracebacks import unfolded
from ..subject.registry import BACKENDS, SCHEMES, registered

HARNESS = "piecewise_conformance"
_LINES = 12  # of one text: the report has all of it


@dataclass(frozen=True)
class Loading:
    """How a script loads the subject: by ``spec``, which may be looked for in ``folder``."""

    spec: str
    needs: str = ""  # what must be installed besides the harness, for people
    folder: str = ""


def loading_of(spec: str, folder: Path | None = None) -> Loading:
    """How a script loads the subject that a run in ``folder`` knows as ``spec``."""
    folder = folder or Path.cwd()
    kind, _, rest = spec.partition(":")
    if kind == "dynamo":
        return Loading(spec, f"the package that provides torch.compile's backend {rest}")
    if scheme := registered(SCHEMES).get(kind):
        return Loading(spec, "" if _is_ours(scheme.module) else scheme.module)
    if target := registered(BACKENDS).get(spec):
        brought = spec == "reference" or not _is_ours(target.module)
        return Loading(spec, "" if spec == "reference" else target.module if brought else spec)
    head, colon, attribute = spec.rpartition(":")
    file, attribute = (head, attribute) if colon and head.endswith(".py") else (spec, "")
    if file.endswith(".py"):
        path = (folder / Path(file).expanduser()).resolve()
        return Loading(f"{path}:{attribute}" if attribute else str(path), str(path))
    return Loading(spec, spec.partition(":")[0], str(folder.resolve()))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == HARNESS


def assemble(head: str, body: str, call: str, loading: Loading) -> str:
    """A script: the docstring ``head``, then ``body``, then the ``call`` with its status."""
    parts = [f'"""{_quoted(head).strip()}\n"""', "from __future__ import annotations", body]
    if loading.folder:
        found = f"sys.path.append({loading.folder!r})  # the folder that the run was started in"
        call = f"import sys\n\n{found}\n{call}"
    parts.append(f'if __name__ == "__main__":\n{textwrap.indent(call.strip(), "    ")}')
    return "\n\n".join(each.strip("\n") for each in parts) + "\n"


def needs_of(loading: Loading) -> str:
    """What a script needs, for people."""
    more = f" and {loading.needs}" if loading.needs else ""
    return f"`pip install piecewise-conformance`{more}"


def said(label: str, text: str) -> str:
    """A text of a result for the head of a script; nothing for none."""
    lines = unfolded(text.strip("\n"))[0].splitlines() if text.strip() else []
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... {len(lines) - _LINES} lines more, in the report"]
    if not lines:
        return ""
    return textwrap.indent("\n".join([f"{label}{lines[0]}", *lines[1:]]), "    ") + "\n"


def commented(title: str, text: str, most: int) -> str:
    """``text`` as a comment under ``title``, cut after ``most`` lines."""
    lines = text.strip("\n").splitlines()
    if len(lines) > most:
        lines = [*lines[:most], f"... {len(lines) - most} lines more, in the report"]
    comment = "".join(f"# {each}".rstrip() + "\n" for each in lines)
    return f"# --- {title} ---\n#\n{comment}"


def _quoted(text: str) -> str:
    """``text`` for between triple quotes."""
    return text.replace("\\", "\\\\").replace('"""', "'''").replace("\0", "\\0")


def call(loading: Loading, id: str, case: str, **settings: Any) -> str:
    """The last lines of a script: judge the test in it, and exit as it went."""
    given = ["__file__", repr(id), repr(case), f"backend={loading.spec!r}"]
    given += [f"{name}={value!r}" for name, value in settings.items() if value]
    arguments = f"{', '.join(given[:3])},\n    {', '.join(given[3:])},"
    return (
        f"from {HARNESS}.runner import replay\n\n"
        f"status = replay.main(\n    {arguments}\n)\nraise SystemExit(status)"
    )

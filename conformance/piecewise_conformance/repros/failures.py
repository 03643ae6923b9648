"""The scripts of a run: one for each failing result, of which a sample is run at once."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..core.requirements import Requirement
from ..core.suite_scan import Citation, scan
from ..reporting.report import NOT_RUN, Result
from .confirm import confirm
from .part import part_of
from .script import Loading, assemble, call, commented, loading_of, needs_of, said

FOLDER = "repros"

_HEAD = """\
{id} fails for {backend}: {case}

{sentence}
{told}
Exit status: 1 if the test fails, 0 if it passes, 3 without a verdict. If the subject crashes or
hangs the test, it crashes or hangs this script.
Needs {needs}.{more}
Seen with {versions}, device {device}.
"""


class Scripts:
    """Writes the scripts of one report into its folder."""

    def __init__(
        self,
        out: Path,
        header: Mapping[str, Any],
        requirements: Mapping[str, Requirement],
        *,
        suite: Path | None = None,
        spec: Path | None = None,
        memory: int = 0,
    ) -> None:
        self.out, self.header, self.requirements = out, header, requirements
        self.memory = memory
        self.folders = {"suite": suite, "spec": spec}
        self.loading: Loading = loading_of(header["subject"]["spec"])
        self.tests = {
            (each.requirement, _function(each).removeprefix("test_")): each
            for each in scan(suite).values()
        }

    def write(self, result: Result) -> str | None:
        """The script of ``result``, relative to the report; None if its test is not known."""
        plain = result.case.partition("[")[0]
        test = self.tests.get((result.id, plain))
        if test is None:
            return None
        name = f"{_file_name(result)}.py"
        path = self.out / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(result, test), encoding="utf-8")
        return f"{FOLDER}/{name}"

    def text(self, result: Result, test: Citation) -> str:
        """The text of a script."""
        body = _part(test.path, _function(test).partition(".")[0])
        needs = sorted(set(re.findall(r"\bneeds\(([^)]*)\)", body)))
        versions, device = self.header["versions"], self.header["device"]
        head = _HEAD.format(
            id=result.id,
            backend=self.header["subject"]["spec"],
            case=result.case,
            sentence=self._sentence(result),
            told="".join(
                [
                    said("", f"{result.status.value}: {result.message}"),
                    said("expected  ", result.expected),
                    said("got       ", result.got),
                ]
            ),
            needs=needs_of(self.loading),
            more=f" The test asks for {' and '.join(needs)} besides." if needs else "",
            versions=", ".join(f"{k} {v}" for k, v in versions.items() if k in _TOLD and v),
            device=device,
        )
        judged = call(
            self.loading,
            result.id,
            result.case,
            seed=self.header["seed"],
            device="" if device == "cpu" else device,
            memory=self.memory,
            **{name: str(path.resolve()) for name, path in self.folders.items() if path},
        )
        squeezed = re.sub(r"\n{3,}", "\n\n", body)
        test_text = f"# --- The test ---\n\n{squeezed}"
        text = assemble(head, test_text, judged, self.loading)
        if not result.program.strip():
            return text
        room = max(_FEW, _SHORT - text.count("\n") - _FRAME)
        program = commented("The program", result.program, room)
        return assemble(head, f"{program}\n\n{test_text}", judged, self.loading)

    def _sentence(self, result: Result) -> str:
        found = self.requirements.get(result.id)
        return textwrap.indent(textwrap.fill(found.sentence, 92), "    ") + "\n" if found else ""


_SHORT = 100  # lines of a script that a person reads as a whole
_FEW = 6  # lines of a program, at least
_FRAME = 6  # lines around a program
_TOLD = ("torch", "triton", "python")


def _function(test: Citation) -> str:
    """The name of the function, behind that of its class if it has one."""
    return ".".join(test.node.split("::")[1:])


@cache
def _part(path: Path, name: str) -> str:
    return part_of(path.read_text(encoding="utf-8"), name)


def _file_name(result: Result) -> str:
    words = re.sub(r"[^\w.]+", "-", f"{result.id}-{result.case}", flags=re.ASCII).strip("-.")
    digest = hashlib.sha256(result.case.encode()).hexdigest()[:6]
    return f"{words[:80]}-{digest}" if "[" in result.case else words[:80]


def with_scripts(
    scripts: Scripts, results: Sequence[Result], *, jobs: int, seconds: float, timeout: float
) -> list[Result]:
    """``results``, the failing ones with their scripts and what came of those that were run.

    Run is one case of each test, in ``seconds`` altogether; 0 runs none.
    """
    for old in (scripts.out / FOLDER).glob("*.py"):
        old.unlink()
    written = {each.key: path for each in results if each.failing and (path := scripts.write(each))}
    chosen = list(_sample(each for each in results if each.key in written)) if seconds else []
    reruns = confirm(
        [(scripts.out / written[each.key], each) for each in chosen],
        jobs=jobs,
        seconds=seconds,
        timeout=timeout,
    )
    none = NOT_RUN if seconds else None  # nothing was asked for, so nothing is missing
    came = {each.key: rerun.came for each, rerun in zip(chosen, reruns, strict=True)}
    return [
        dataclasses.replace(each, repro=written[each.key], repro_run=came.get(each.key, none))
        if each.key in written
        else each
        for each in results
    ]


def _sample(results: Iterable[Result]) -> Iterator[Result]:
    """The quickest failing case of each test, those of other requirements before second tests."""
    best: dict[tuple[str, str], Result] = {}
    for each in results:
        key = each.id, each.case.partition("[")[0]
        if key not in best or each.seconds < best[key].seconds:
            best[key] = each
    rounds: dict[str, int] = {}
    ordered = []
    for each in best.values():
        ordered.append((rounds.setdefault(each.id, 0), each))
        rounds[each.id] += 1
    yield from (each for _, each in sorted(ordered, key=lambda pair: pair[0]))

"""Run the probes on a torch, in processes of its interpreter, and compare what they answer.

A process that dies, or that is silent for too long, costs the probe that it was running; the next
process goes on with those that are left.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.version import Version

_HERE = Path(__file__).parent
_TABLE = _HERE / "probes.toml"
_SILENCE = 600.0  # seconds without a line after which a process is ended
_START = (
    "import sys; sys.path.append(sys.argv[1]); from probes.child import main; "
    "main(sys.argv[3:], sys.argv[2])"
)
TIMEOUT = "timeout"


@dataclass(frozen=True)
class Probe:
    """A probe. ``expected`` has its answer by the first version that answers so."""

    name: str
    layer: str
    about: str
    expected: Mapping[str, str]

    def answer_for(self, version: str) -> tuple[str, str]:
        """The answer that is expected of torch ``version``, and the version that it is known of.

        A local part such as ``+cpu`` and the suffix of a nightly do not count. A torch that is
        older than all that are listed is expected to answer as the oldest of those.
        """
        wanted = Version(Version(version).base_version)
        known = sorted(self.expected, key=Version)
        fitting = [each for each in known if Version(each) <= wanted]
        as_of = fitting[-1] if fitting else known[0]
        return self.expected[as_of], as_of


@dataclass(frozen=True)
class Answer:
    """What a probe answered on one torch, and what was expected."""

    probe: Probe
    got: str
    expected: str
    as_of: str  # the version that the expectation was taken from

    @property
    def inconclusive(self) -> bool:
        """Whether the process died or was ended, so that there is no answer."""
        return self.got == TIMEOUT or self.got.startswith("no answer")

    @property
    def moved(self) -> bool:
        """Whether the answer is not the expected one."""
        return not self.inconclusive and self.got != self.expected


@cache
def probes() -> dict[str, Probe]:
    """All probes by name, in the order of the table."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {
        each["name"]: Probe(each["name"], each["layer"], each["about"], each["expected"])
        for each in table["probe"]
    }


def versions_run() -> list[str]:
    """The versions of torch that the expectations were run on."""
    ran: list[str] = tomllib.loads(_TABLE.read_text(encoding="utf-8"))["ran"]
    return ran


def ask(
    python: Path,
    version: str,
    names: Sequence[str] = (),
    *,
    patch: Path | None = None,
    silence: float = _SILENCE,
) -> list[Answer]:
    """What the probes ``names``, by default all, answer on the torch of the interpreter ``python``.

    ``patch`` is a Python file with a fault to be planted in torch first.
    """
    wanted = list(names) or list(probes())
    got = answers(python, wanted, patch=patch, silence=silence)
    return [Answer(probes()[n], got[n], *probes()[n].answer_for(version)) for n in wanted]


def answers(
    python: Path, names: Sequence[str], *, patch: Path | None = None, silence: float = _SILENCE
) -> dict[str, str]:
    """The answer of each probe; for one without an answer, why there is none."""
    found: dict[str, str] = {}
    while left := [name for name in names if name not in found]:
        process = _Process(python, left, patch, silence)
        found.update(process.answers)
        stopped = process.began or left[0]
        if stopped not in found:
            found[stopped] = process.why
    return found


class _Process:
    """One process that runs probes until it ends. ``began`` is the probe that it was running."""

    def __init__(
        self, python: Path, names: Sequence[str], patch: Path | None, silence: float
    ) -> None:
        self.answers: dict[str, str] = {}
        self.began = ""
        self.why = ""
        command = [str(python), "-c", _START, str(_HERE), str(patch or ""), *names]
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )
            lines: queue.Queue[str | None] = queue.Queue()
            threading.Thread(target=_read, args=(process, lines), daemon=True).start()
            try:
                while (line := lines.get(timeout=silence)) is not None:
                    self._take(line)
                status = process.wait()
                errors.seek(0)
                last = (errors.read().strip().splitlines() or ["no message"])[-1]
                self.why = f"no answer: exit status {status}, {last[:120]}"
            except queue.Empty:
                self.why = TIMEOUT
            finally:
                process.kill()
                process.wait()

    def _take(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:  # something that torch printed
            return
        if isinstance(said, dict) and "begin" in said:
            self.began = said["begin"]
        elif isinstance(said, dict) and "answer" in said:
            self.answers[said["name"]] = said["answer"]


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        for line in stream:
            lines.put(line)
    lines.put(None)

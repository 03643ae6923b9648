"""Run the probes on a torch, in processes of its interpreter, and compare what they answer."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.version import Version

from . import processes

_HERE = Path(__file__).parent
_TABLE = _HERE / "probes.toml"
_START = (
    "import sys; sys.path.append(sys.argv[1]); from probes.child import main; "
    "main(sys.argv[3:], sys.argv[2])"
)


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
        return processes.inconclusive(self.got)

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
    silence: float = processes.SILENCE,
) -> list[Answer]:
    """What the probes ``names``, by default all, answer on the torch of the interpreter ``python``.

    ``patch`` is a Python file with a fault to be planted in torch first.
    """
    wanted = list(names) or list(probes())
    head = [str(python), "-c", _START, str(_HERE), str(patch or "")]
    got = processes.answers(lambda left: [*head, *left], wanted, silence=silence)
    return [Answer(probes()[n], got[n], *probes()[n].answer_for(version)) for n in wanted]

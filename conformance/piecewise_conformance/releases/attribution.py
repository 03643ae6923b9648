"""Whose change a failure was: evidence from layers replaced, from moved probes and from frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import layers, processes
from .failures import Signature
from .ladder import RUNGS, fails
from .probing import Answer

HIGH, MEDIUM, LOW = "high", "medium", "low"


@dataclass(frozen=True)
class Attribution:
    """A layer, how sure it is, and what speaks for it."""

    layer: str
    confidence: str
    evidence: tuple[str, ...]


def climb(
    python: Path,
    case: str,
    subject: str = "reference",
    *,
    patch: Path | None = None,
    rungs: Sequence[str] = tuple(RUNGS),
) -> dict[str, str]:
    """How the program of ``case`` went at each rung, on the torch of ``python``."""
    head = [str(python), "-m", "piecewise_conformance.releases.ladder"]
    head += [str(patch or ""), subject, case]
    return processes.answers(lambda left: [*head, *left], rungs)


def attribute(
    new: Mapping[str, str],
    old: Mapping[str, str],
    moved: Sequence[Answer] = (),
    signature: Signature | None = None,
) -> Attribution:
    """The layer that moved from the ``old`` torch to the ``new`` one.

    ``new`` and ``old`` are the answers of the rungs; a rung counts that fails on the new torch and
    holds on the old one. Without such a rung of torch's own, the probes that moved decide, then the
    layer of the innermost frame.
    """
    evidence: list[str] = []
    by_rung = ""
    lost = [rung for rung in RUNGS if fails(new.get(rung)) and not fails(old.get(rung))]
    if lost:
        lowest = lost[0]
        by_rung = RUNGS[lowest]
        evidence.append(f"the rung {lowest!r} {new[lowest]}, and holds on the good torch")
    elif both := [rung for rung in RUNGS if fails(new.get(rung)) and fails(old.get(rung))]:
        by_rung = RUNGS[both[0]]
        evidence.append(f"the rung {both[0]!r} fails on both torches")
    by_probe = list(dict.fromkeys(each.probe.layer for each in moved))
    evidence += [
        f"probe {each.probe.name}: {each.got!r}, expected {each.expected!r}" for each in moved
    ]
    by_frame = ""
    if signature is not None and signature.frame:
        by_frame = layers.layer_of_file(signature.frame.partition(" ")[0])
        evidence.append(f"raised in {signature.frame}")
    return _decided(by_rung, by_probe, by_frame, tuple(evidence))


def _decided(
    by_rung: str, by_probe: Sequence[str], by_frame: str, evidence: tuple[str, ...]
) -> Attribution:
    of_torch = by_rung not in ("", layers.REFERENCE, layers.SUBJECT, layers.UNKNOWN)
    if of_torch:
        agrees = by_rung in by_probe or by_rung == by_frame
        return Attribution(by_rung, HIGH if agrees else MEDIUM, evidence)
    # no layer of torch fails on its own: what the subject leans on has changed, or the subject has
    if len(by_probe) == 1:
        return Attribution(by_probe[0], HIGH if by_frame == by_probe[0] else MEDIUM, evidence)
    if by_frame and by_frame != layers.UNKNOWN:
        return Attribution(by_frame, MEDIUM if by_frame in by_probe else LOW, evidence)
    if by_rung and by_rung != layers.UNKNOWN:
        return Attribution(by_rung, LOW if by_probe else MEDIUM, evidence)
    return Attribution(layers.UNKNOWN, LOW, evidence)

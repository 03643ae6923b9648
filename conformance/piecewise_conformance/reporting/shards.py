"""Shards: a run in parts on several machines, and the report that their reports make together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .report import DIGEST, REPORT, RESUME_KEYS, Report, ReportError, Result, read_report


@dataclass(frozen=True)
class Shard:
    """Part ``number`` (from 1) of ``of`` parts."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard that ``3/8`` names; ValueError for anything else."""
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ValueError(f"{text!r} is not a shard; expected K/N with 1 <= K <= N, such as 3/8")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, id: str, case: str) -> bool:
        """Whether a case is of this part: the same in each process and on each machine."""
        digest = hashlib.sha256(f"{id}\0{case}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1


# The kernel of the machine may differ between the machines of one CI; all else may not.
_MAY_DIFFER = ("platform",)


def merge(folders: Sequence[Path]) -> tuple[dict[str, Any], list[Result], float]:
    """Header, results and seconds of all shards together; ReportError if they are not one run."""
    reports = [(folder, read_report(folder / REPORT)) for folder in folders]
    first_folder, first = reports[0]
    seen: dict[int, Path] = {}
    cases: dict[tuple[str, str], Path] = {}
    of = 0
    for folder, report in reports:
        shard = _shard(folder, report)
        before, now = (each.header.get(DIGEST) for each in (first, report))
        if before != now:
            raise ReportError(
                f"{folder} was run on other files of the subject (digest {now}) than "
                f"{first_folder} (digest {before}); run all shards on the same files"
            )
        for key in ("schema", *RESUME_KEYS):
            before, now = (_comparable(each.header.get(key)) for each in (first, report))
            if key != "shard" and before != now:
                raise ReportError(
                    f"{folder} was run with {key} {now!r}, but {first_folder} with {before!r}"
                )
        of = of or shard.of
        if shard.of != of:
            raise ReportError(
                f"{folder} is one of {shard.of} shards, but {first_folder} is one of {of}"
            )
        if shard.number in seen:
            raise ReportError(f"{folder} and {seen[shard.number]} are both shard {shard}")
        seen[shard.number] = folder
        for result in report.results:
            if result.key in cases:
                where = cases[result.key]
                raise ReportError(f"{' '.join(result.key)} has a result in {folder} and in {where}")
            if not shard.has(*result.key):
                raise ReportError(
                    f"{folder} has a result for {' '.join(result.key)}, which is not in {shard}"
                )
            cases[result.key] = folder
    if missing := [str(Shard(n, of)) for n in range(1, of + 1) if n not in seen]:
        raise ReportError(f"missing shards: {', '.join(missing)}")
    header = {**first.header, "shard": None, "merged_from": of}
    results = sorted((each for _, r in reports for each in r.results), key=lambda each: each.key)
    seconds = sum(float((r.footer or {}).get("seconds", 0.0)) for _, r in reports)
    return header, results, seconds


def _shard(folder: Path, report: Report) -> Shard:
    if not report.complete:
        raise ReportError(f"{folder} is incomplete; finish it with run --resume")
    if not report.header.get("shard"):
        raise ReportError(f"{folder} is not a shard; it was run without --shard")
    try:
        return Shard.parse(report.header["shard"])
    except ValueError as error:
        raise ReportError(f"{folder}: {error}") from error


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: each for key, each in value.items() if key not in _MAY_DIFFER}
    return value

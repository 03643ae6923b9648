"""Failures of a subject on two torches: signatures, and which torch they are of.

A signature is the requirement, the exception, and the innermost frame of torch or of the subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..core.tracebacks import FOLDED
from ..core.verdict import Status
from ..reporting.report import Result

NEW, BOTH, ONLY_OLD, INCONCLUSIVE = "new", "both", "only-old", "inconclusive"
BUCKETS = (NEW, INCONCLUSIVE, BOTH, ONLY_OLD)

_FAILING = (Status.FAIL, Status.CRASH, Status.TIMEOUT, Status.XFAIL)
_UNKNOWN = (Status.ERROR, Status.NOT_RUN)
_FRAME = re.compile(r'File "(?P<path>[^"]+)", line \d+, in (?P<name>\S+)')
_RAISED = re.compile(r"\b([A-Za-z_][\w.]*(?:Error|Exception|Unsupported|Failure|Failed))\b")
_PACKAGE = re.compile(r".*/(?:site-packages|dist-packages)/")
_IGNORED = ("piecewise_conformance/", "piecewise_fixtures/", "/pytest", "/pluggy", "lib/python")


@dataclass(frozen=True)
class Signature:
    """What failures of one cause share."""

    requirement: str
    exception: str  # a class, or the status where nothing was raised
    frame: str  # file and function; empty where nothing was raised

    def __str__(self) -> str:
        where = f" in {self.frame}" if self.frame else ""
        return f"{self.requirement}: {self.exception}{where}"


@dataclass(frozen=True)
class Row:
    """The failures of one signature in one bucket."""

    signature: Signature
    bucket: str
    results: tuple[Result, ...]

    @property
    def smallest(self) -> Result:
        """The failure with the smallest program; one without a program comes last."""
        return min(self.results, key=lambda each: (not each.program, len(each.program), each.case))


def signature_of(result: Result) -> Signature:
    """The signature of one failure."""
    text = f"{result.message}\n{result.got}"
    raised = _RAISED.search(text)
    exception = raised[1].rpartition(".")[2] if raised else result.status.value
    return Signature(result.id, exception, _innermost(result.got))


def _innermost(got: str) -> str:
    """The innermost frame of torch or of the subject, without the folders around the package."""
    _, folded, every = got.partition(FOLDED)
    found = ""
    for match in _FRAME.finditer(every if folded else got):
        path = _PACKAGE.sub("", match["path"])
        if not any(part in path for part in _IGNORED):
            found = f"{path} {match['name']}"
    return found


def compare(
    new: Iterable[Result], old: Iterable[Result] | None, *, known: bool = False
) -> list[Row]:
    """The failures of both runs by bucket and signature, the worst bucket first.

    ``old`` is None where the twin did not run to its end: then all failures are inconclusive.
    Failures that are known on both sides are left out unless they are asked for by ``known``.
    """
    after = {each.key: each for each in new}
    before = None if old is None else {each.key: each for each in old}
    found: dict[tuple[str, Signature], list[Result]] = {}
    for key in sorted({**after, **(before or {})}):
        now, was = after.get(key), (before or {}).get(key)
        bucket = _bucket(now, was, before is not None)
        shown = was if bucket == ONLY_OLD else now or was
        if bucket is None or shown is None:
            continue
        if not known and bucket == BOTH and shown.status is Status.XFAIL:
            continue
        found.setdefault((bucket, signature_of(shown)), []).append(shown)
    rows = [Row(signature, bucket, tuple(some)) for (bucket, signature), some in found.items()]
    return sorted(rows, key=lambda row: (BUCKETS.index(row.bucket), -len(row.results)))


def _bucket(now: Result | None, was: Result | None, has_twin: bool) -> str | None:
    """The bucket of a case; None if it fails on neither side."""
    fails, failed = (each is not None and each.status in _FAILING for each in (now, was))
    if not fails and not failed:
        unknown = now is not None and now.status is Status.ERROR
        return INCONCLUSIVE if unknown else None
    if not has_twin:
        return INCONCLUSIVE if fails else None
    if was is not None and was.status is Status.TIMEOUT:
        # the machine may have been slow: a timeout of the twin is no evidence
        return BOTH if now is not None and now.status is Status.TIMEOUT else INCONCLUSIVE
    if fails and failed:
        return BOTH
    other = was if fails else now
    if other is None or other.status in _UNKNOWN:
        return INCONCLUSIVE
    return NEW if fails else ONLY_OLD


def totals(rows: Sequence[Row]) -> Mapping[str, int]:
    """How many tests each bucket has."""
    return {b: sum(len(row.results) for row in rows if row.bucket == b) for b in BUCKETS}

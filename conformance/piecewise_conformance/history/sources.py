"""Make entries of what runs write: ``report.jsonl``, and the JSON file of benchmarks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..reporting.report import REPORT, read_report
from .entry import Entry, Figure, HistoryError


def entry_of(path: Path, *, job: str = "", link: str = "", level: str = "") -> Entry:
    """The entry of a report, given by its folder or its ``report.jsonl``, or of benchmarks."""
    if path.is_dir():
        path = path / REPORT
    make = _of_benchmarks if path.suffix == ".json" else _of_report
    return make(path, job, link, level)


def _of_report(path: Path, job: str, link: str, level: str) -> Entry:
    report = read_report(path)
    header, footer = report.header, report.footer or {}
    if not header.get("started"):
        raise HistoryError(f"{path} does not say when the run started")
    versions = header["versions"]
    return Entry(
        kind="report",
        started=header["started"],
        subject=header["subject"]["name"],
        torch=versions.get("torch") or "",
        torch_git=versions.get("torch-git") or "",
        device=header["device"],
        machine=header.get("machine", ""),
        level=level or str(header.get("level") or "+".join(header["profiles"])),
        job=job,
        link=link,
        verdict=footer.get("verdict", "incomplete"),
        exit_status=footer.get("exit_status", 3),
        totals={key: count for key, count in footer.get("totals", {}).items() if count},
        failing=tuple(sorted({each.id for each in report.results if each.failing})),
    )


def _of_benchmarks(path: Path, job: str, link: str, level: str) -> Entry:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        about, figures = content["machine_info"], tuple(_figures(content["benchmarks"]))
        if not figures:
            raise HistoryError(f"{path} holds no benchmarks")
        return Entry(
            kind="benchmarks",
            started=content["datetime"],
            subject=about.get("subject", "reference"),
            torch=about["torch"],
            torch_git=about.get("torch-git") or "",
            device=about["device"],
            machine=about.get("gpu", ""),
            level=level,
            job=job,
            link=link,
            figures=figures,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"{path} is not a file of benchmarks: {error!r}") from error


def _figures(benchmarks: list[Mapping[str, Any]]) -> Iterator[Figure]:
    for each in benchmarks:
        info, stats = each["extra_info"], each["stats"]
        group, by, size = info["group"], info["by"], info["size"]
        if "grown_mb" not in info:
            yield Figure(group, by, size, "s", _short(stats["median"]), _short(stats["iqr"]))
        for name, value in info.get("bytes", {}).items():
            yield Figure(name, by, size, "B", value)
        for name, value in info.get("seconds", {}).items():
            yield Figure(name, by, size, "s", _short(value))


def _short(value: float) -> float:
    """``value`` with the four digits that a measurement is worth, so that entries stay small."""
    if not value or not math.isfinite(value):
        return value
    return round(value, 3 - math.floor(math.log10(abs(value))))

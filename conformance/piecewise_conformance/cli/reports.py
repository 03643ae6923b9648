"""The commands that run no test: ``diff``, ``render``, ``merge``, ``verify``, ``new-backend``."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..certificate import verify, write_certificate
from ..core.requirements import load
from ..reporting.compare import as_markdown, as_text, compare
from ..reporting.expectations import unmatched_of
from ..reporting.html_report import write_html
from ..reporting.junit import write_junit
from ..reporting.report import (
    CONFORMANT,
    NOT_CONFORMANT,
    REPORT,
    USAGE,
    ReportError,
    ReportWriter,
    Result,
    read_report,
)
from ..reporting.shards import merge
from ..reporting.terminal import print_report
from ..reporting.verdict import (
    exit_status,
    level_result,
    make_footer,
    requirements_of,
    scope_of,
)
from .new_backend import write_adapter


def add_to(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    diff = commands.add_parser("diff", help="show what changed between two reports")
    diff.add_argument("old", type=Path, metavar="OLD", help="the folder of the older report")
    diff.add_argument("new", type=Path, metavar="NEW", help="the folder of the newer report")
    diff.add_argument(
        "--markdown", action="store_true", help="print Markdown for a pull request comment"
    )
    render = commands.add_parser(
        "render", help="write report.html for one or several runs, side by side"
    )
    render.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="the folder of a report"
    )
    render.add_argument("--out", type=Path, metavar="FILE", help="default: report.html in DIR")
    merging = commands.add_parser("merge", help="merge the reports of all shards into one")
    merging.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="the folder of a shard's report"
    )
    merging.add_argument("--out", type=Path, default=Path("conformance-report"), metavar="DIR")
    verifying = commands.add_parser("verify", help="check a certificate against its report")
    verifying.add_argument("certificate", type=Path, metavar="CERTIFICATE")
    verifying.add_argument("report", type=Path, metavar="REPORT", help="report.jsonl or its folder")
    new = commands.add_parser("new-backend", help="write an adapter file to start from")
    new.add_argument(
        "path", type=Path, metavar="PATH", help="the file to write, such as my_backend.py"
    )


def _told(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, with what is wrong with a file as a message and exit status 2."""

    def inner(options: argparse.Namespace) -> int:
        try:
            return command(options)
        except (ReportError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return USAGE

    return inner


def _diff(options: argparse.Namespace) -> int:
    found = compare(read_report(options.old / REPORT), read_report(options.new / REPORT))
    print(as_markdown(found) if options.markdown else as_text(found))
    return found.exit_status


def _render(options: argparse.Namespace) -> int:
    out = options.out or options.folders[0] / "report.html"
    write_html(out, [(each, read_report(each / REPORT)) for each in options.folders], load())
    print(f"report: {out}")
    return CONFORMANT


def _merge(options: argparse.Namespace) -> int:
    if options.out.resolve() in [each.resolve() for each in options.folders]:
        raise ReportError(f"--out {options.out} is the folder of a shard; choose another folder")
    header, results, seconds = merge(options.folders)
    writer = ReportWriter(options.out / REPORT)
    writer.start(header)
    for each in results:
        writer.add(each)
        _take_script(each, options.folders, options.out)
    unmatched = unmatched_of(header, results)
    requirements = load()
    scope = scope_of(results, requirements_of(header, requirements), header["device"])
    level = level_result(header, results)
    writer.finish(
        make_footer(results, seconds=seconds, unmatched=unmatched, scope=scope, level=level)
    )
    write_junit(options.out / "junit.xml", results)
    report = read_report(writer.path)
    write_html(options.out / "report.html", [(options.out, report)], requirements)
    print_report(sys.stdout, report, requirements, unmatched=unmatched, folder=options.out)
    if told := write_certificate(options.out, requirements):
        print(told)
    return exit_status(results, unmatched=len(unmatched))


def _take_script(result: Result, folders: Sequence[Path], out: Path) -> None:
    """Copy the script of ``result`` from the shard that has it; its name is of that case alone."""
    for folder in folders if result.repro else ():
        script = folder / str(result.repro)
        inside = script.resolve().is_relative_to(folder.resolve())
        if inside and script.is_file():
            target = out / str(result.repro)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(script, target)


def _verify(options: argparse.Namespace) -> int:
    path = options.report / REPORT if options.report.is_dir() else options.report
    certificate, wrong = verify(options.certificate, path, load())
    for each in wrong:
        print(f"{options.certificate}: {each}", file=sys.stderr)
    if wrong:
        return NOT_CONFORMANT
    print(f"{options.certificate} is valid: {certificate}")
    return CONFORMANT


def _new_backend(options: argparse.Namespace) -> int:
    write_adapter(options.path)
    print(f"wrote {options.path}; test it with")
    print(f"python -m piecewise_conformance run --profile smoke --backend {options.path}")
    return CONFORMANT


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "diff": _told(_diff),
    "render": _told(_render),
    "merge": _told(_merge),
    "verify": _told(_verify),
    "new-backend": _told(_new_backend),
}

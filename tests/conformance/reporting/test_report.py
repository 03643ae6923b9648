"""Reports: their lines, their verdict, and the two forms for people and for CI."""

from __future__ import annotations

import io
import json
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.junit import write_junit
from piecewise_conformance.reporting.report import (
    PREVIOUS,
    Report,
    ReportError,
    ReportWriter,
    Result,
    exit_status,
    how_to_run,
    make_footer,
    read_report,
    verdict,
)
from piecewise_conformance.reporting.terminal import print_report
from piecewise_conformance.runner.run import wrong_keyword

HEADER = {
    "subject": {"name": "s", "spec": "s", "version": ""},
    "versions": {"torch": "2"},
    "device": "cpu",
    "seed": 0,
    "profiles": ["full"],
    "keyword": "",
}


def result(status: str, level: str = "MUST", case: str = "case", message: str = "") -> Result:
    """A result of MINI-001."""
    return Result("MINI-001", case, Status(status), message, level=level)


@pytest.mark.parametrize(
    ("statuses", "problem", "expected"),
    [
        ("pass", "", 0),
        ("pass unsupported not-run xfail", "", 0),
        ("pass should-fail should-crash", "", 0),
        ("should-fail", "", 0),
        ("pass fail", "", 1),
        ("pass crash", "", 1),
        ("pass timeout", "", 1),
        ("fail", "", 1),
        ("pass xpass", "", 1),
        ("pass should-xpass", "", 1),
        ("pass error", "", 3),
        ("pass should-error", "", 3),
        ("pass fail error", "", 3),
        ("pass", "interrupted", 3),
        ("pass fail", "interrupted", 3),
        ("", "", 3),
        ("unsupported", "", 3),
        ("not-run", "", 3),
        ("xfail unsupported", "", 3),
    ],
)
def test_exit_status(statuses: str, problem: str, expected: int) -> None:
    """Errors beat failures, only a MUST counts, and where nothing was judged nothing conforms."""
    results = [
        result(each.removeprefix("should-"), "SHOULD" if each.startswith("should-") else "MUST")
        for each in statuses.split()
    ]
    assert exit_status(results, problem=problem) == expected


def test_a_subject_that_offers_nothing_is_not_conformant() -> None:
    """The verdict says in words that nothing was tested."""
    assert verdict([result("unsupported")]) == "nothing was tested"


def test_read_what_was_written(tmp_path: Path) -> None:
    """A report comes back as it was written, lone surrogates included."""
    writer = ReportWriter(tmp_path / "report.jsonl")
    results = [result("pass"), result("fail", message="two\nlines \udc80 ü")]
    writer.start(HEADER)
    for each in results:
        writer.add(each)
    assert not read_report(writer.path).complete
    writer.finish(make_footer(results, seconds=1.5))
    report = read_report(writer.path)
    assert report.complete
    assert report.results == results
    assert report.footer is not None
    assert report.footer["totals"]["fail"] == 1
    assert report.footer["families"]["MINI"]["pass"] == 1
    assert report.footer["verdict"] == "not conformant"
    kinds = [json.loads(line)["kind"] for line in writer.path.read_text().splitlines()]
    assert kinds == ["header", "result", "result", "footer"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """A run that died in writing leaves all results but the last, and no footer."""
    writer = ReportWriter(tmp_path / "report.jsonl")
    writer.start(HEADER)
    writer.add(result("pass"))
    with writer.path.open("a") as file:
        file.write('{"kind": "footer", "tot')
    report = read_report(writer.path)
    assert report.torn
    assert not report.complete
    assert report.results == [result("pass")]
    assert writer.go_on(HEADER) == [result("pass")]
    writer.add(result("fail"))
    assert [each.status for each in read_report(writer.path).results] == ["pass", "fail"]


@pytest.mark.parametrize(
    "text", ["", "\n", "{}\n", "nonsense\n", '{"kind": "result"}\n', '{"kind":"header"}\n[]\n']
)
def test_what_is_no_report_is_an_error(tmp_path: Path, text: str) -> None:
    """Damage other than a torn end is not passed over."""
    path = tmp_path / "report.jsonl"
    path.write_text(text)
    with pytest.raises(ReportError):
        read_report(path)


def test_resuming_needs_the_same_run(tmp_path: Path) -> None:
    """A missing, a complete and another run's report are each refused, and say why."""
    writer = ReportWriter(tmp_path / "report.jsonl")
    with pytest.raises(ReportError, match="cannot be read"):
        writer.go_on(HEADER)
    writer.start(HEADER)
    with pytest.raises(ReportError, match="begun with seed 0, not 1"):
        writer.go_on({**HEADER, "seed": 1})
    writer.finish(make_footer([], seconds=0))
    with pytest.raises(ReportError, match="complete"):
        writer.go_on(HEADER)


def test_an_old_report_is_kept(tmp_path: Path) -> None:
    """A new run moves the report of the one before aside."""
    writer = ReportWriter(tmp_path / "report.jsonl")
    writer.start({**HEADER, "seed": 1})
    writer.start({**HEADER, "seed": 2})
    assert read_report(writer.path).header["seed"] == 2
    assert read_report(tmp_path / PREVIOUS).header["seed"] == 1


@pytest.mark.parametrize("case", ["plain", "same[a-b]", "x[a::b-(1, 2)]", "x[and-or not]"])
def test_the_command_for_one_case_is_one_that_pytest_takes(case: str) -> None:
    """A case of any name gives an expression that -k can parse."""
    words = shlex.split(how_to_run("my file.py:x", "MINI-001", case, seed=3))
    assert words[:6] == [
        "python",
        "-m",
        "piecewise_conformance",
        "run",
        "--backend",
        "my file.py:x",
    ]
    assert words[6:8] == ["--seed", "3"]
    assert words[-1].startswith("MINI-001 and ")
    assert wrong_keyword(words[-1]) is None


def test_a_wrong_keyword_expression_is_told() -> None:
    """Before anything is run."""
    assert wrong_keyword("SPLIT-004 and (") is not None


def test_junit(tmp_path: Path) -> None:
    """Each status has its tag; what XML cannot hold is replaced."""
    statuses = ["pass", "fail", "crash", "error", "not-run", "xpass"]
    write_junit(
        tmp_path / "junit.xml",
        [result(each, case=each, message="\x1b[31m<red> \udc80") for each in statuses],
    )
    suite = ET.parse(tmp_path / "junit.xml").getroot()[0]
    assert suite.attrib["tests"] == "6"
    assert (suite.attrib["failures"], suite.attrib["errors"], suite.attrib["skipped"]) == (
        "2",
        "2",
        "1",
    )
    tags = [case[0].tag if len(case) else "" for case in suite]
    assert tags == ["", "failure", "error", "error", "skipped", "failure"]
    assert suite[1].attrib["name"] == "MINI-001 fail"


def test_terminal_report_of_many_cases() -> None:
    """Three cases of a requirement are printed, the rest counted; reasons are told once."""
    results = [result("fail", case=f"case{n}", message="no") for n in range(5)]
    results += [result("unsupported", case=f"u{n}", message="no song") for n in range(7)]
    stream = io.StringIO()
    print_report(stream, Report(HEADER, results), {})
    text = stream.getvalue()
    assert "case2" in text
    assert "case3" not in text
    assert "and 2 more" in text
    assert "7 no song" in text
    assert "\x1b" not in text
    assert text.rstrip().splitlines()[-1] == "NOT CONFORMANT  (5 fail, 7 unsupported)"

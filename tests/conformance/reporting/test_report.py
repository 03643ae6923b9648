"""Reports: their lines, their verdict, and the two forms for people and for CI."""

from __future__ import annotations

import io
import json
import shlex
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.requirements import Requirement, load
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.junit import write_junit
from piecewise_conformance.reporting.report import (
    PREVIOUS,
    Report,
    ReportError,
    ReportWriter,
    Result,
    how_to_run,
    read_report,
)
from piecewise_conformance.reporting.signatures import signature
from piecewise_conformance.reporting.terminal import print_report
from piecewise_conformance.reporting.verdict import exit_status, make_footer, scope_of, verdict
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
    with pytest.raises(ReportError, match="started with seed 0, not 1"):
        writer.go_on({**HEADER, "seed": 1})
    writer.start({**HEADER, "subject_digest": "abc"})
    with pytest.raises(ReportError, match="other files of the subject") as told:
        writer.go_on({**HEADER, "subject_digest": "def"})
    assert "\n" not in str(told.value)
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


def test_the_command_for_one_case_works_as_printed() -> None:
    """It names this interpreter, the requirement, the case and a folder of its own."""
    case = "x[a::b-(1, 2)]"
    command = how_to_run("my file.py:x", "MINI-001", case, seed=3, out="report/alone")
    given = ["run", "--backend", "my file.py:x", "--seed", "3", "--id", "MINI-001"]
    given += ["--case", case, "--out", "report/alone"]
    assert shlex.split(command) == [sys.executable, "-m", "piecewise_conformance", *given]


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


def printed(results: list[Result], requirements: dict[str, Requirement] | None = None) -> str:
    """The report on a terminal."""
    stream = io.StringIO()
    print_report(stream, Report(HEADER, results), requirements or {})
    return stream.getvalue()


def test_terminal_report_of_many_cases() -> None:
    """One case of a cause is printed, two are named, the rest counted; reasons are told once."""
    results = [result("fail", case=f"case{n}", message="no") for n in range(5)]
    results += [result("unsupported", case=f"u{n}", message="no song") for n in range(7)]
    text = printed(results)
    assert "case2" in text
    assert "case3" not in text
    assert "and 2 more" in text
    assert "7 no song" in text
    assert "\x1b" not in text
    assert text.rstrip().splitlines()[-2:] == ["5 fail, 7 unsupported", "NOT CONFORMANT"]


RAISED = "the subject raised AttributeError: no attribute 'x', in "


def test_failures_of_one_cause_are_one_block() -> None:
    """Nineteen failures of one missing attribute are printed once, with the IDs that they fail."""
    results = [
        Result(f"MINI-{n % 6:03}", f"case{n}", Status.FAIL, f"{RAISED}call {n}", level="MUST")
        for n in range(19)
    ]
    results += [Result("MINI-007", "other", Status.FAIL, "it lied", level="SHOULD")]
    text = printed(results)
    assert text.count("no attribute 'x'") == 1
    assert "19 fail, 6 requirements, one cause" in text
    assert "MINI-005 (3)" in text
    assert text.index("no attribute") < text.index("it lied")


def test_wrong_results_are_printed_first() -> None:
    """Causes are printed by consequence, before the number of failures and the level count."""
    results = [
        Result("MINI-001", f"a{n}", Status.FAIL, "slow", consequence="performance")
        for n in range(3)
    ]
    results += [
        Result("MINI-002", "b", Status.FAIL, "lies", level="SHOULD", consequence="wrong-result"),
        Result("MINI-003", "c", Status.FAIL, "dies", consequence="crash"),
        Result("MINI-004", "d", Status.FAIL, "unnamed"),
    ]
    text = printed(results)
    places = [text.index(each) for each in ("lies", "dies", "slow", "unnamed")]
    assert places == sorted(places)
    assert "MINI-002 (SHOULD, wrong-result, 1 fail)" in text


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("output 0 differs in call 4", "output 1 differs in call 5", True),
        (f"{RAISED}split_graph", f"{RAISED}backend", True),
        ("cannot read /tmp/x/1.py", "cannot read /home/b.py", True),
        ("it died at 0x7f12 ...", "it died at 0x8a ...", True),
        ("output 0 has other strides", "output 0 has other values", False),
        ("first\nsecond", "first\nanother", True),
    ],
)
def test_signatures(one: str, other: str, alike: bool) -> None:
    """Numbers, addresses and paths do not tell causes apart; words and statuses do."""
    mine, theirs = result("fail", message=one), result("fail", message=other)
    assert (signature(mine) == signature(theirs)) is alike
    assert signature(mine) != signature(result("crash", message=one))


def asked(number: int, **more: Any) -> dict[str, Requirement]:
    """A spec of ``number`` requirements, and one of a GPU."""
    made = replace(load()["RANGE-001"], family="MINI", profiles=frozenset({"core"}))
    found = {f"MINI-{n:03}": replace(made, id=f"MINI-{n:03}", **more) for n in range(1, 1 + number)}
    return {**found, "GPU-001": replace(made, id="GPU-001", profiles=frozenset({"gpu"}))}


@pytest.mark.parametrize(
    ("statuses", "of", "expected"),
    [
        ("pass", 1, "conformant"),
        ("pass", 203, "conformant in part (1 of 203 requirements judged)"),
        ("pass xfail xfail", 1, "known failures only (2 tests of 1 requirement)"),
        (
            "pass xfail",
            24,
            "known failures only (1 test of 1 requirement; 1 of 24 requirements judged)",
        ),
        ("pass fail", 24, "not conformant"),
        ("unsupported", 24, "nothing was tested"),
    ],
)
def test_the_verdict_says_what_it_is(statuses: str, of: int, expected: str) -> None:
    """A verdict on a part, or with known failures, is not called conformant without reserve."""
    results = [result(each) for each in statuses.split()]
    spec = asked(of)
    assert verdict(results, scope=scope_of(results, spec)) == expected
    words, bracket, rest = expected.partition(" (")
    assert printed(results, spec).rstrip().endswith(f"{words.upper()}{bracket}{rest}")


def test_what_is_in_scope() -> None:
    """A requirement of a GPU counts there alone, and a retired one nowhere."""
    results = [result("pass"), Result("GPU-001", "case", Status.NOT_RUN)]
    assert scope_of(results, asked(1)).whole
    assert str(scope_of(results, asked(1), "cuda")) == "1 of 2 requirements judged"
    assert scope_of([], asked(3, retired="2.0 why")).of == 0

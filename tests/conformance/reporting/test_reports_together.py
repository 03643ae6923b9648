"""Reports compared, merged and refused; expectations; the adapter to start from."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.compare import as_markdown, compare
from piecewise_conformance.reporting.expectations import (
    Expectation,
    Expected,
    accept,
    check_ids,
    load_expectations,
    unmatched_of,
)
from piecewise_conformance.reporting.report import (
    Report,
    ReportError,
    ReportWriter,
    Result,
    read_report,
)
from piecewise_conformance.reporting.schema import VERSION, check_line
from piecewise_conformance.reporting.shards import Shard, merge
from piecewise_conformance.reporting.verdict import make_footer
from piecewise_conformance.runner.run import Settings, run

MINIATURE = Path(__file__).parents[2] / "miniature"
HEADER = {
    "subject": {"name": "s", "spec": "s", "version": "0.33.0"},
    "versions": {"torch": "2.13.0", "platform": "a"},
    "device": "cpu",
    "seed": 0,
    "profiles": ["full"],
    "keyword": "",
}


def result(case: str, status: str = "pass", level: str = "MUST") -> Result:
    """A result of SPLIT-001."""
    return Result("SPLIT-001", case, Status(status), level=level)


def report(*results: Result) -> Report:
    """A complete report."""
    return Report(dict(HEADER), list(results), make_footer(results, seconds=1))


def write(folder: Path, *results: Result, end: bool = True, **header: object) -> Path:
    """A report on disk."""
    writer = ReportWriter(folder / "report.jsonl")
    writer.start({**HEADER, **header})
    for each in results:
        writer.add(each)
    if end:
        writer.finish(make_footer(results, seconds=1))
    return folder


# -- diff --


@pytest.mark.parametrize(
    ("old", "new", "kind", "status"),
    [
        ("pass", "fail", "newly_failing", 1),
        ("pass", "xfail", "newly_failing", 1),
        ("unsupported", "crash", "newly_failing", 1),
        ("fail", "pass", "newly_passing", 0),
        ("not-run", "pass", "newly_passing", 0),
        ("xfail", "xpass", "newly_passing", 0),
        ("pass", "unsupported", "no_longer_judged", 1),
        ("fail", "not-run", "no_longer_judged", 1),
        ("fail", "xfail", "", 0),
        ("fail", "timeout", "", 0),
        ("unsupported", "not-run", "", 0),
        ("", "pass", "appeared", 0),
        ("", "fail", "appeared", 1),
        ("pass", "", "disappeared", 0),
    ],
)
def test_diff(old: str, new: str, kind: str, status: int) -> None:
    """Each change is of one kind, and only what went bad fails."""
    found = compare(*(report(*([result("c", each)] if each else [])) for each in (old, new)))
    kinds = ("newly_failing", "newly_passing", "no_longer_judged", "appeared", "disappeared")
    assert [name for name in kinds if getattr(found, name)] == ([kind] if kind else [])
    assert found.exit_status == status


def test_diff_of_a_should() -> None:
    """A SHOULD that went bad is shown and fails nothing."""
    found = compare(report(result("c")), report(result("c", "fail", "SHOULD")))
    assert found.newly_failing
    assert found.exit_status == 0


def test_diff_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is the comparison's; an incomplete report is 3, an unreadable one 2."""
    old = str(write(tmp_path / "old", result("c")))
    new = str(write(tmp_path / "new", result("c", "fail")))
    torn = str(write(tmp_path / "torn", result("c"), end=False))
    assert main(["diff", old, new]) == 1
    assert "SPLIT-001 c: pass → fail" in capsys.readouterr().out
    assert main(["diff", new, old, "--markdown"]) == 0
    assert "newly passing: 1" in capsys.readouterr().out
    assert main(["diff", old, torn]) == 3
    assert main(["diff", old, str(tmp_path / "none")]) == 2


def test_markdown_keeps_a_case_in_its_cell() -> None:
    """Bars and backticks of a case do not break the table."""
    text = as_markdown(compare(report(), report(result("a|b`c", "fail"))))
    assert "| SPLIT-001 | `a\\|b'c` | – | fail |" in text


# -- shards --


def test_shards_are_a_partition() -> None:
    """Each case is in exactly one of the shards, and no shard is empty of many."""
    cases = [("SPLIT-001", str(n)) for n in range(400)]
    parts = [[c for c in cases if Shard(n, 8).has(*c)] for n in range(1, 9)]
    assert sorted(case for part in parts for case in part) == sorted(cases)
    assert all(parts)


@pytest.mark.parametrize("text", ["", "3", "0/8", "9/8", "a/b", "1/0", "-1/2", "1/2/3"])
def test_no_shard(text: str) -> None:
    """Is refused."""
    with pytest.raises(ValueError, match="not a shard"):
        Shard.parse(text)


def shards(tmp_path: Path) -> tuple[list[Path], list[Result]]:
    """Two shards of ten results."""
    results = [result(str(n)) for n in range(10)]
    folders = [
        write(
            tmp_path / str(n),
            *[r for r in results if Shard(n, 2).has(*r.key)],
            shard=f"{n}/2",
            versions={"torch": "2.13.0", "platform": str(n)},
        )
        for n in (1, 2)
    ]
    return folders, results


def test_merge(tmp_path: Path) -> None:
    """All results are there, and the merged report is complete; kernels may differ."""
    folders, results = shards(tmp_path)
    out = tmp_path / "out"
    assert main(["merge", *map(str, folders), "--out", str(out)]) == 0
    merged = read_report(out / "report.jsonl")
    assert merged.complete
    assert [each.key for each in merged.results] == sorted(each.key for each in results)
    assert (out / "report.html").exists()
    assert (out / "junit.xml").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("subject", {"name": "t", "spec": "t", "version": ""}),
        ("seed", 1),
        ("device", "cuda"),
        ("versions", {"torch": "2.14.1"}),
        ("subject_digest", "another"),
        ("cases", ["SPLIT-001 a"]),
        ("shard", "1/2"),
        ("shard", "2/3"),
        ("shard", None),
        ("expectations", "x.toml"),
    ],
)
def test_merge_refuses_what_does_not_belong(key: str, value: object, tmp_path: Path) -> None:
    """Other subjects, seeds, versions; the same shard twice; what is no shard."""
    folders, _ = shards(tmp_path)
    path = folders[1] / "report.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(first), key: value}) + "\n" + "".join(rest))
    with pytest.raises(ReportError):
        merge(folders)


def test_merge_refuses_what_is_missing(tmp_path: Path) -> None:
    """A shard that is not there, or one without a footer."""
    folders, _ = shards(tmp_path)
    with pytest.raises(ReportError, match="missing shards: 2/2"):
        merge(folders[:1])
    path = folders[1] / "report.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ReportError, match="incomplete"):
        merge(folders)


# -- schema --


def test_older_reports_are_readable(tmp_path: Path) -> None:
    """One without a version, as 0.1 wrote it; a newer one than this is refused, with the reason."""
    path = tmp_path / "report.jsonl"
    old = {"kind": "header", **HEADER}
    path.write_text(json.dumps(old) + "\n")
    assert read_report(path).header == old
    path.write_text(json.dumps({**old, "schema": VERSION + 1}) + "\n")
    with pytest.raises(ReportError, match="newer"):
        read_report(path)


@pytest.mark.parametrize(
    "line",
    [
        [],
        {"kind": "song"},
        {"kind": ["header"]},
        {"kind": "result", "id": "A-1", "case": "c"},
        {"kind": "result", "id": "A-1", "case": "c", "status": "maybe"},
        {"kind": "result", "id": "A-1", "case": "c", "status": "pass", "level": "MAY"},
        {"kind": "result", "id": 1, "case": "c", "status": "pass"},
        {"kind": "header", **HEADER, "seed": True},
        {"kind": "header", **HEADER, "subject": {"name": "s"}},
        {"kind": "header", **HEADER, "schema": 0},
        {"kind": "footer"},
    ],
)
def test_a_wrong_line(line: object) -> None:
    """Is told from a right one."""
    with pytest.raises(ValueError, match=r"."):
        check_line(line)


# -- expectations --


def expected(*entries: Expectation) -> Expected:
    """What is expected of the run of HEADER."""
    return Expected(entries, HEADER)


def test_an_expected_failure() -> None:
    """Of that status is an xfail that says why; of another it stays what it is; a pass is xpass."""
    judge = expected(Expectation("SPLIT-001", "a[*]", reason="known")).judge
    assert judge(result("a[b]", "fail")).status is Status.XFAIL
    assert "known" in judge(result("a[b]", "fail")).message
    assert judge(result("a[b]", "crash")).status is Status.CRASH
    assert judge(result("a[b]")).status is Status.XPASS
    assert judge(result("a[b]", "error")).status is Status.ERROR
    assert judge(result("ab", "fail")).status is Status.FAIL


@pytest.mark.parametrize(
    ("version", "torch", "applies"),
    [("<0.34", "", True), (">=0.34", "", False), ("", "<2.14", True), ("<0.34", ">=2.14", False)],
)
def test_versions(version: str, torch: str, applies: bool) -> None:
    """Outside of the versions that it is about nothing is expected, and nothing unmatched."""
    found = expected(Expectation("SPLIT-001", version=version, torch=torch))
    assert (found.judge(result("c", "fail")).status is Status.XFAIL) == applies
    assert bool(found.unmatched([])) == applies


def test_accept_writes_what_is_refused_until_it_has_reasons(tmp_path: Path) -> None:
    """Accepted entries match the very cases; without a reason the file is refused."""
    path = tmp_path / "expectations" / "s.toml"
    odd = result('a[*] "b"\n\\', "fail")
    assert accept(path, [odd, result("good"), result("t", "timeout")]) == 2
    with pytest.raises(ReportError, match="has no reason"):
        load_expectations(path)
    path.write_text(path.read_text().replace('reason = ""', 'reason = "known"'))
    found = expected(*load_expectations(path))
    assert found.judge(odd).status is Status.XFAIL
    assert found.judge(result("t", "timeout")).status is Status.XFAIL


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[song]",
        "expect = 1",
        "[[expect]]\nreason = 'r'",
        "[[expect]]\nrequirement = 'A-1'\nreason = ' '",
        "[[expect]]\nrequirement = 'A-1'\nreason = 'r'\nstatus = 'error'",
        "[[expect]]\nrequirement = 'A-1'\nreason = 'r'\nversion = 'new'",
        "[[expect]]\nrequirement = 'A-1'\nreason = 'r'\ncase = 1",
        "[[expect]]\nrequirement = 'A-1'\nreason = 'r'\nsong = 'x'",
    ],
)
def test_a_wrong_file_of_expectations(text: str, tmp_path: Path) -> None:
    """Is refused, with its name."""
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"s\.toml"):
        load_expectations(path)


def test_a_narrow_run_says_nothing_of_what_is_unmatched(tmp_path: Path) -> None:
    """Only a run of everything can tell that an expectation matches nothing."""
    path = tmp_path / "s.toml"
    path.write_text("[[expect]]\nrequirement = 'A-1'\nreason = 'r'\n")
    header = {**HEADER, "expectations": str(path)}
    assert unmatched_of(header, []) == ["A-1 * (fail)"]
    for narrow in ({"keyword": "x"}, {"shard": "1/2"}, {"profiles": ["smoke"]}):
        assert unmatched_of({**header, **narrow}, []) == []


def test_an_expectation_of_an_unknown_requirement() -> None:
    """Is an error that says which there are; so is one of a retired requirement."""
    spec = load()
    with pytest.raises(
        ReportError, match=r"s\.toml: unknown requirement 'SPLIT-999'; SPLIT has SPLIT-0"
    ):
        check_ids("s.toml", [Expectation("SPLIT-999"), Expectation("SPLIT-001")], spec)
    retired = {"A-1": replace(spec["SPLIT-001"], id="A-1", retired="2.0 moved")}
    with pytest.raises(ReportError, match="A-1 is retired"):
        check_ids("s.toml", [Expectation("A-1")], retired)
    check_ids("s.toml", [Expectation("SPLIT-001")], spec)


def test_a_run_with_expectations(tmp_path: Path) -> None:
    """A known failure passes the run; a crash as well; --accept writes what is not known."""
    path = tmp_path / "known.toml"
    given = {
        "backend": str(MINIATURE / "echo.py"),
        "jobs": 1,
        "suite": MINIATURE / "suite",
        "spec": MINIATURE / "spec",
        "keyword": "MINI-001 and pass or (fail and not raise and not by_ and not impolite)",
        "expectations": path,
    }
    settings = Settings(**given, out=tmp_path / "a", accept=True)  # type: ignore[arg-type]
    assert run(settings, io.StringIO()) == 1
    assert run(Settings(**given, out=tmp_path / "b"), io.StringIO()) == 2  # type: ignore[arg-type]
    path.write_text(path.read_text().replace('reason = ""', 'reason = "known"'))
    assert run(Settings(**given, out=tmp_path / "c"), io.StringIO()) == 0  # type: ignore[arg-type]
    found = read_report(tmp_path / "c" / "report.jsonl").results
    assert [each.case for each in found if each.status is Status.XFAIL] == ["fail"]
    assert (tmp_path / "c" / "report.html").exists()


# -- new-backend --


def test_new_backend(tmp_path: Path) -> None:
    """What is written can be loaded, and is never written over."""
    path = tmp_path / "mine" / "my_backend.py"
    assert main(["new-backend", str(path)]) == 0
    from piecewise_conformance.subject.loading import load_subject

    assert load_subject(str(path)).surface["make_backend"]
    path.write_text("mine")
    assert main(["new-backend", str(path)]) == 2
    assert path.read_text() == "mine"

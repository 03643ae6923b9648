"""A whole run, on a miniature suite that has every status, and on subjects that break it."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from piecewise_conformance.core import environment
from piecewise_conformance.reporting.report import Result, how_to_run, read_report
from piecewise_conformance.reporting.selected import Selected
from piecewise_conformance.runner.run import Settings, run

MINIATURE = Path(__file__).parents[2] / "miniature"
TWO = ("MINI-002 pass_after_all", "MINI-003 impolite")


def mini(out: Path, **changes: object) -> Settings:
    """A run of the miniature."""
    given: dict[str, object] = {
        "backend": str(MINIATURE / "echo.py"),
        "jobs": 1,
        "out": out,
        "timeout": 2.0,
        "suite": MINIATURE / "suite",
        "spec": MINIATURE / "spec",
    }
    return Settings(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """The folder, the output and the exit status of one run of everything."""
    out = tmp_path_factory.mktemp("whole")
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environment.WITHOUT, "triton")
        # What a user has set for pytest of their own must not matter.
        patch.setenv("PYTEST_ADDOPTS", "--no-such-option")
        status = run(mini(out, jobs=2), stream)
    return out, stream.getvalue(), status


def results(out: Path) -> dict[str, Result]:
    """The results by their cases."""
    return {each.case: each for each in read_report(out / "report.jsonl").results}


def test_every_status(whole: tuple[Path, str, int]) -> None:
    """Each test has the status that its name says, whatever the tests before it did."""
    found = results(whole[0])
    assert len(found) == 16
    for case, each in found.items():
        word = case.replace("_", "-").replace("impolite", "fail")
        assert word.startswith(each.status.value), (case, each)


def test_durations(tmp_path: Path) -> None:
    """The requirements that took longest are told, as many as are asked for."""
    stream = io.StringIO()
    run(mini(tmp_path, keyword="pass", durations=1), stream)
    told = stream.getvalue().partition("slowest requirements")[2]
    assert "MINI-001" in told.splitlines()[1]


def test_messages(whole: tuple[Path, str, int]) -> None:
    """A result says what happened in terms that its reader knows."""
    found = results(whole[0])
    assert found["fail"].expected == "the truth"
    assert found["fail"].got == "\\udc80 lone"
    assert found["fail"].program == "print(1)"
    assert "the subject raised ValueError: told to" in found["fail_by_exception"].message
    assert "exit status 3" in found["crash[exit]"].message
    assert "SIGSEGV" in found["crash[segfault]"].message
    assert "echo.py" in found["crash[segfault]"].message
    assert "echo.py" in found["timeout"].message
    assert found["unsupported"].message == "the subject does not offer song"
    assert "excludes triton" in found["not_run"].message
    assert "cannot clean up" in found["error_in_teardown"].message


def test_outputs(whole: tuple[Path, str, int]) -> None:
    """There are a footer, a junit.xml and a terminal report that agree; errors decide."""
    out, text, status = whole
    assert status == 3
    footer = read_report(out / "report.jsonl").footer
    assert footer is not None
    assert footer["results"] == 16
    assert footer["exit_status"] == 3
    assert footer["should_failures"] == 1
    assert ET.parse(out / "junit.xml").getroot()[0].attrib["tests"] == "16"
    assert "The subject, when it is asked for it, survives." in text
    assert f"run alone: {sys.executable} -m piecewise_conformance run --backend" in text
    assert "INCOMPLETE: THE HARNESS HAD ERRORS" in text
    assert text.rstrip().endswith(f"report: {out / 'report.jsonl'}")


def test_each_failure_has_a_script(whole: tuple[Path, str, int]) -> None:
    """Failures, crashes and hangs show in a process of their own, one case of each test."""
    out, text, _ = whole
    failing = {case: each for case, each in results(out).items() if each.failing}
    came: dict[str, set[str | None]] = {}
    for case, each in failing.items():
        assert (out / str(each.repro)).is_file()
        came.setdefault(case.partition("[")[0], set()).add(each.repro_run)
    assert all(each in ({"failed"}, {"failed", "not run"}) for each in came.values()), came
    assert not any(each.repro for each in results(out).values() if not each.failing)
    assert f"script:    {sys.executable} {out / 'repros' / 'MINI-'}" in text
    assert "(it fails there too)" in text


def test_a_profile_selects(tmp_path: Path) -> None:
    """Only what the profile asks for is run, and a SHOULD fails nothing."""
    assert run(mini(tmp_path, profiles=("inductor",)), io.StringIO()) == 0
    assert list(results(tmp_path)) == ["impolite"]


def test_a_keyword_selects_by_id_and_case(tmp_path: Path) -> None:
    """Either is a word of the expression."""
    assert run(mini(tmp_path, keyword="MINI-002 and after_all"), io.StringIO()) == 0
    assert list(results(tmp_path)) == ["pass_after_all"]


@pytest.mark.parametrize(
    ("selected", "cases"),
    [
        (Selected(families=("MINI",), cases=("impolite",)), ["impolite"]),
        (Selected(cases=TWO), ["impolite", "pass_after_all"]),
        (Selected(ids=("MINI-002",), cases=("impolite", "pass_after_all")), ["pass_after_all"]),
    ],
)
def test_families_ids_and_cases_select(
    tmp_path: Path, selected: Selected, cases: list[str]
) -> None:
    """A case is named by itself or with its requirement; the header says what was selected."""
    assert run(mini(tmp_path, selected=selected), io.StringIO()) == 0
    assert sorted(results(tmp_path)) == cases
    header = read_report(tmp_path / "report.jsonl").header
    assert Selected.from_header(header) == Selected(
        selected.families, selected.ids, tuple(sorted(selected.cases))
    )


def test_a_failure_runs_alone_as_it_is_printed(tmp_path: Path) -> None:
    """One case, reported into a folder of its own."""
    case, out = "holds_its_sizes[1-4]", tmp_path / "alone"
    command = how_to_run("reference", "RANGE-001", case, out=str(out))
    done = subprocess.run(shlex.split(command), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(results(out)) == [case]
    assert [each.name for each in tmp_path.iterdir()] == ["alone"]


def test_a_test_is_run_alone_into_a_folder_in_the_report(whole: tuple[Path, str, int]) -> None:
    """So that the report that the failure is from stays as it is."""
    command = shlex.split(results(whole[0])["fail"].how_to_run)
    assert command[0] == sys.executable
    assert command[-6:-1] == ["--id", "MINI-001", "--case", "fail", "--out"]
    # relative where the report is below the current folder, as it is under nox
    assert Path(command[-1]).resolve() == (whole[0] / "alone").resolve()


def test_nothing_selected_is_no_verdict(tmp_path: Path) -> None:
    """And the report stays without a footer."""
    stream = io.StringIO()
    assert run(mini(tmp_path, keyword="nothing_has_this_name"), stream) == 3
    assert "no test was selected" in stream.getvalue()
    assert not read_report(tmp_path / "report.jsonl").complete


def test_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has no result is run; torn lines are mended; the report becomes complete."""
    settings = mini(tmp_path, keyword="MINI-001 and pass or after_all")
    assert run(settings, io.StringIO()) == 0
    path = tmp_path / "report.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    kept = [json.loads(line)["case"] for line in lines[1:3]]
    path.write_text("".join(lines[:3]) + lines[3][:20])
    tally = tmp_path / "tally"
    monkeypatch.setenv("MINIATURE_TALLY", str(tally))
    assert run(mini(tmp_path, keyword=settings.keyword, resume=True), io.StringIO()) == 0
    again = {name.removeprefix("test_") for name in tally.read_text().splitlines()}
    assert len(again) == 2
    assert not again & set(kept)
    report = read_report(path)
    assert report.complete
    assert {each.case for each in report.results} == again | set(kept)


def test_nothing_to_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error."""
    assert run(mini(tmp_path, resume=True), io.StringIO()) == 2
    assert "report.jsonl cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import os; os._exit(0)", "exit status 0"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("while True: pass", "not finished after"),
        ("def f(:", "syntax error in"),
    ],
)
def test_a_subject_that_cannot_be_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, says: str
) -> None:
    """Exit status 2 and one message, whatever the import does; an old report is left alone."""
    path = tmp_path / "bad.py"
    path.write_text(code)
    (tmp_path / "report.jsonl").write_text("old")
    assert run(mini(tmp_path, backend=str(path), timeout=1.0), io.StringIO()) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert says in said
    assert (tmp_path / "report.jsonl").read_text() == "old"


def test_workers_that_die_before_their_first_test(tmp_path: Path) -> None:
    """The run ends by itself, without a verdict."""
    path = tmp_path / "bad.py"
    path.write_text(
        "import os\nif 'PYTEST_XDIST_WORKER' in os.environ: os._exit(1)\nmake_backend = print\n"
    )
    stream = io.StringIO()
    assert run(mini(tmp_path, backend=str(path), jobs=2), stream) == 3
    assert "INCOMPLETE" in stream.getvalue()


def test_the_plugin_imports_no_torch() -> None:
    """So that a usage error comes at once."""
    code = "import sys, piecewise_conformance.runner.plugin as _; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

"""The history in files: two writers, a writer that was killed, lines that somebody edited."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.history.entry import HistoryError, from_line
from piecewise_conformance.history.store import append, read
from piecewise_conformance.reporting.report import ReportWriter, Result
from piecewise_conformance.reporting.verdict import make_footer


def test_an_entry_survives_the_file(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    """What is read is what was written, in a file of its day; twice is once."""
    entries = [synthetic.benchmarks(synthetic.last), synthetic.report(synthetic.last)]
    assert append(tmp_path, entries) == 2
    assert append(tmp_path, entries) == 0
    assert sorted(read(tmp_path), key=lambda each: each.kind) == entries
    assert [each.name for each in tmp_path.glob("*.jsonl")] == ["2026-11-28.jsonl"]


def test_a_killed_writer_costs_its_own_line(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    """A part of a line is left out with a warning, and the next line is whole."""
    one, two = synthetic.report(synthetic.last), synthetic.benchmarks(synthetic.last)
    path = tmp_path / "2026-11-28.jsonl"
    path.write_text(two.to_line()[:100])
    append(tmp_path, [one])
    with pytest.warns(UserWarning, match="left out"):
        assert read(tmp_path) == [one]


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.replace('"conformant"', '"not conformant"'),
        lambda line: line.replace('"schema":1', '"schema":2'),
        lambda line: "[]",
        lambda line: "{",
        lambda line: json.dumps({**json.loads(line), "more": 1}),
    ],
    ids=["verdict", "schema", "list", "torn", "key"],
)
def test_an_edited_line_is_refused(edit: object, synthetic: SimpleNamespace) -> None:
    """The id is the digest of the content."""
    line = synthetic.report(synthetic.last).to_line()
    assert from_line(line).verdict == "conformant"
    assert callable(edit)
    with pytest.raises(ValueError, match=r".+"):
        from_line(edit(line))


def test_two_writers_at_once(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    """Two processes append to the same day; no line is lost or torn, the shared ones come once."""
    made = [
        dataclasses.replace(synthetic.report(synthetic.last), job=str(number))
        for number in range(60)
    ]
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=append, args=(tmp_path, each)) for each in (made[:40], made[20:])
    ]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert [each.exitcode for each in writers] == [0, 0]
    assert {each.job for each in read(tmp_path)} == {str(number) for number in range(60)}
    assert (tmp_path / "2026-11-28.jsonl").read_text().count("\n") == 60


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )


def test_two_clones_of_a_branch(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    """Two clones append to the same day; the second rebases without a conflict, and has both."""
    first, second, shared = tmp_path / "first", tmp_path / "second", tmp_path / "shared.git"
    _git(tmp_path, "init", "-q", "--bare", str(shared))
    _git(tmp_path, "init", "-q", "-b", "history", str(first))
    _git(first, "remote", "add", "origin", str(shared))
    append(first, [synthetic.report(synthetic.last)])
    _git(first, "add", ".")
    _git(first, "commit", "-q", "-m", "a")
    _git(first, "push", "-q", "origin", "history")
    _git(tmp_path, "clone", "-q", "-b", "history", str(shared), str(second))
    for folder, entry in (
        (first, synthetic.benchmarks(synthetic.last)),
        (second, synthetic.benchmarks(synthetic.last, subject="vllm")),
    ):
        append(folder, [entry])
        _git(folder, "commit", "-q", "-a", "-m", "b")
    _git(first, "push", "-q", "origin", "history")
    _git(second, "pull", "-q", "--rebase", "origin", "history")
    assert len(read(second)) == 3
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=second, check=True, capture_output=True, text=True
    )
    assert ".lock" not in tracked.stdout


def write_report(folder: Path) -> None:
    """A report with one failure."""
    header = {
        "subject": {"name": "s", "spec": "s", "version": ""},
        "versions": {"torch": "2.14.0.dev20261101+cpu", "torch-git": "abc"},
        "device": "cpu",
        "seed": 0,
        "profiles": ["full"],
        "keyword": "",
        "started": "2026-11-28T01:02:03+00:00",
    }
    results = [Result("SPLIT-001", "a", Status.FAIL), Result("SPLIT-002", "a", Status.PASS)]
    writer = ReportWriter(folder / "report.jsonl")
    writer.start(header)
    for each in results:
        writer.add(each)
    writer.finish(make_footer(results, seconds=0))


def write_benchmarks(path: Path) -> None:
    """The file of one benchmark, with memory and the time of a start next to its time."""
    info = {
        "group": "GPU latency",
        "by": "full CUDA graph",
        "size": 8,
        "bytes": {"pool memory": 2**20},
        "seconds": {"startup": 1.23456},
    }
    content = {
        "datetime": "2026-11-28T03:00:00+00:00",
        "machine_info": {"torch": "2.13.0", "torch-git": "abc", "device": "cuda", "gpu": "H200"},
        "benchmarks": [{"extra_info": info, "stats": {"median": 0.0012345678, "iqr": 0.0}}],
    }
    path.write_text(json.dumps(content))


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report and benchmarks are appended by the command line, judged, and rendered."""
    write_report(tmp_path / "run")
    write_benchmarks(tmp_path / "benchmarks.json")
    history = tmp_path / "history"
    words = ["history", "append", str(tmp_path / "run"), str(tmp_path / "benchmarks.json")]
    words += ["--to", str(history), "--job", "nightly", "--link", "https://example.org/1"]
    assert main(words) == 0
    assert "2 of 2" in capsys.readouterr().out
    report, figures = read(history)
    assert (report.subject, report.torch_git, report.level) == ("s", "abc", "full")
    assert (report.series.channel, report.exit_status) == ("nightly", 1)
    assert report.failing == ("SPLIT-001",)
    assert [(f.group, f.unit, f.value) for f in figures.figures] == [
        ("GPU latency", "s", 0.001235),
        ("pool memory", "B", 2**20),
        ("startup", "s", 1.235),
    ]
    assert main(["history", "judge", str(history)]) == 1
    assert "SPLIT-001" in capsys.readouterr().out
    assert main(["history", "render", str(history)]) == 0
    assert "https://example.org/1" in (history / "index.html").read_text()


def test_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder or a file that is not there is one line, and exit status 2."""
    with pytest.raises(HistoryError, match="not a folder"):
        read(tmp_path / "no")
    (tmp_path / "b.json").write_text("{}")
    for run in ("no", "b.json"):
        assert main(["history", "append", str(tmp_path / run), "--to", str(tmp_path / "h")]) == 2
        assert capsys.readouterr().err.startswith("error: ")

"""What is said before the suite starts: whose fault it is that something does not work."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.reporting.report import read_report
from piecewise_conformance.runner.preflight import probe
from piecewise_conformance.runner.run import Settings, run
from piecewise_conformance.subject.adapters import reference
from piecewise_conformance.subject.loading import load_subject
from piecewise_conformance.subject.subject import Subject

SUBJECTS = Path(__file__).parents[2] / "subjects"

# A backend, and an adapter for it: two files, as they mostly are.
BACKEND = """
import os

def split_graph(graph, ops):
    return graph, {items}

class Backend:
    def __init__(self, ops):
        self.ops = ops

    def __call__(self, graph, inputs):
        {body}
        return graph.forward
"""
ADAPTER = """
import my_project

ABILITIES = ("eager", "splitting")


def split_graph(graph, splitting_ops):
    return my_project.split_graph(graph, splitting_ops)


def make_backend(options):
    return my_project.Backend({argument}list(options.splitting_ops))
"""


@pytest.fixture
def adapted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes the subject of an adapter and a backend with the faults given."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(*, body: str = "pass", items: str = "[]", argument: str = "") -> Subject:
        (tmp_path / "my_project.py").write_text(BACKEND.format(body=body, items=items))
        (tmp_path / "my_backend.py").write_text(ADAPTER.format(argument=argument))
        return load_subject(str(tmp_path / "my_backend.py"))

    yield make
    for name in ("my_project", "my_backend"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("spec", ["reference", str(SUBJECTS / "ten_lines.py"), "dynamo:eager"])
def test_of_what_works_nothing_is_said(spec: str) -> None:
    """Nor of what is not offered."""
    assert probe(load_subject(spec)) == []


def test_a_subject_that_declines() -> None:
    """It is not broken."""
    assert probe(load_subject(str(SUBJECTS / "unsupported.py"))) == []


def test_a_broken_adapter(adapted: Any, tmp_path: Path) -> None:
    """A call that the backend does not have is the adapter's, with its file and line."""
    (words,) = probe(adapted(argument="operations="))
    assert words.startswith("the adapter is at fault: make_backend: TypeError: ")
    line = ADAPTER.splitlines().index(
        "    return my_project.Backend({argument}list(options.splitting_ops))"
    )
    assert words.endswith(f"({tmp_path / 'my_backend.py'}:{line + 1})")


def test_a_broken_subject(adapted: Any, tmp_path: Path) -> None:
    """What is raised below the adapter is the subject's."""
    (words,) = probe(adapted(body="raise ValueError('no such op')"))
    assert words.startswith("the subject is at fault: make_backend: ValueError: no such op (")
    assert f"{tmp_path / 'my_project.py'}:" in words


def test_a_library_that_was_called_wrongly(adapted: Any, tmp_path: Path) -> None:
    """An error that torch raises is of who called torch."""
    (words,) = probe(adapted(body="__import__('torch').zeros(2) + __import__('torch').zeros(3)"))
    assert words.startswith("the subject is at fault: make_backend: RuntimeError: ")
    assert f"{tmp_path / 'my_project.py'}:" in words


def test_an_answer_of_another_form(adapted: Any, tmp_path: Path) -> None:
    """The adapter is there to put it right."""
    (words,) = probe(adapted(items="None"))
    assert words.startswith("the adapter is at fault: split_graph: split_graph did not return")
    assert f"({tmp_path / 'my_backend.py'}:" in words


def test_a_wrong_result(adapted: Any) -> None:
    """An answer of the right form is the subject's, right or wrong."""
    body = "return lambda *args: tuple(each + 1 for each in graph(*args))"
    assert probe(adapted(body=body)) == [
        "the subject is at fault: make_backend: output 0 for 6 tokens has different values"
    ]


def test_a_signature_that_the_harness_does_not_know() -> None:
    """There is no frame to blame: the function itself is named."""

    def split_graph(graph: Any) -> Any:
        return graph

    (words, nothing) = probe(Subject("s", "s", {"split_graph": split_graph}))
    assert words.startswith("the adapter is at fault: split_graph: TypeError: ")
    line = split_graph.__code__.co_firstlineno
    assert words.endswith(f"({__file__}:{line})")
    assert nothing == "nothing works: 1 of 1 calls failed"


FAULT = "the subject is at fault: make_backend:"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(3)", f"{FAULT} the process ended itself with exit status 3"),
        ("os.kill(os.getpid(), 11)", f"{FAULT} the process died from SIGSEGV"),
        # nobody's fault: the machine may be busy
        ("\n        while True: pass", "make_backend: no answer within 3 seconds"),
    ],
)
def test_a_subject_that_ends_or_holds_its_process(adapted: Any, body: str, said: str) -> None:
    """The process that asks is another one; what worked before is not in doubt."""
    (words,) = probe(adapted(body=body), seconds=3)
    assert words.startswith(said)


def test_nothing_stays_of_it() -> None:
    """No file, no process, no graph of Dynamo's."""
    before, pid = torch._dynamo.utils.counters["frames"].copy(), os.getpid()
    processes = children()
    probe(reference.subject)
    assert os.getpid() == pid
    assert torch._dynamo.utils.counters["frames"] == before
    assert children() <= processes


def children() -> set[str]:
    """The processes that this one has started, those of other tests included."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {child for each in tasks for child in each.read_text().split()}


def test_it_is_said_before_the_suite_and_in_the_report(adapted: Any, tmp_path: Path) -> None:
    """The suite runs all the same, and its verdict is what it was."""
    adapted(argument="operations=")
    stream = io.StringIO()
    out = tmp_path / "out"
    settings = Settings(
        backend=str(tmp_path / "my_backend.py"), jobs=1, out=out, keyword="STITCH-001 and one-tuple"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
        assert run(settings, stream) == 1
    text = stream.getvalue()
    words = "the adapter is at fault: make_backend: TypeError"
    assert words in text.partition("of 1 tests")[0]
    header = read_report(out / "report.jsonl").header
    assert [each[: len(words)] for each in header["probe"]] == [words]

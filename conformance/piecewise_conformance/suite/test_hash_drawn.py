"""HASH: starts with drawn changes of what they are given, one after another on one root."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import warm_start
from piecewise_conformance.testkit.drive import drive, options_for
from piecewise_fixtures.programs import program

_value = st.sampled_from([True, 1, 1.0, "1", None, [1], [[1]], {"a": 1}, 0, -0.0, ""])
# what compiled code depends on: a change of any of it is a miss
CODE = {
    "compiler_config": st.dictionaries(st.sampled_from(["a", "b", "a b"]), _value, max_size=2),
    "code": st.sampled_from(["x = 1\n", "x = 2\n", "x = 1"]),
    "prefix": st.sampled_from(["backbone", "draft", "backbone2"]),
    "rank": st.integers(0, 1),
    "data_parallel_index": st.integers(0, 1),
    "compiler": st.sampled_from([spy.NAME, spy.OTHER_NAME]),
}
# for whom it is compiled: a cache that finds code by its content may load what another one stored
OWNERS = ("prefix", "rank", "data_parallel_index")
# what chooses or cuts the pieces: with it changed, whatever is loaded must be right
PIECES = {
    "splitting_ops": st.sampled_from(
        [("piecewise::scaled",), (), ("piecewise::scaled", "aten::add")]
    ),
    "compile_sizes": st.sampled_from([(), (4,)]),
    "compile_ranges_endpoints": st.sampled_from([(), (5,)]),
}
# what no code depends on: with only that changed, a start is a warm one
ELSEWHERE = st.sampled_from(["", "root moved", "files touched", "HOME", "order of settings"])

_change = st.one_of(*[st.tuples(st.just(name), new) for name, new in (CODE | PIECES).items()])
_step = st.tuples(st.one_of(st.none(), _change), ELSEWHERE)
_first: dict[str, Any] = {
    "compiler_config": {},
    "code": "x = 1\n",
    "prefix": "backbone",
    "rank": 0,
    "data_parallel_index": 0,
    "compiler": spy.NAME,
    "splitting_ops": ("piecewise::scaled",),
    "compile_sizes": (),
    "compile_ranges_endpoints": (),
}


def _exactly(value: Any) -> str:
    """A text for a setting: no order of a dict's keys, and 1, 1.0 and True apart."""
    if isinstance(value, Mapping):
        return repr(sorted((key, _exactly(each)) for key, each in value.items()))
    return repr(value)


def _start(subject: Subject, root: Path, code: Path, asked: dict[str, Any]) -> spy.Log:
    code.write_text(asked["code"])
    changes = {name: each for name, each in asked.items() if name != "code"}
    chosen = program("linear-chain")
    subject.restart()
    with spy.spying() as log:
        driven = drive(subject, chosen, cache_root=str(root), traced_files=(str(code),), **changes)
        driven.check(4)
    return log


@requirement("HASH-010")
@slow
@settings(
    max_examples=3,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(_step, min_size=4, max_size=5))
@example(steps=[(("compiler_config", {"a": each}), "") for each in (1, True, 1.0, "1", 1)])
@example(steps=[(("rank", 1), ""), (("rank", 0), ""), (("data_parallel_index", 1), "")])
@example(steps=[(None, each) for each in ("root moved", "files touched", "HOME")])
def test_drawn_changes(subject: Subject, steps: list[tuple[Any, str]]) -> None:
    """A start compiles what no earlier one had, loads all of one that was, and is always right."""
    subject.check_offers(_options(subject))
    seen: dict[str, str] = {}  # of what code depends on: how the pieces were cut last
    contents: set[str] = set()
    asked = dict(_first)
    told = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        root, code = Path(folder) / "root", Path(folder) / "kernel.py"
        for number, (change, elsewhere) in enumerate([(None, ""), *steps]):
            if change is not None:
                asked[change[0]] = change[1]
            if elsewhere == "root moved" and root.exists():
                root = Path(shutil.move(root, Path(folder) / f"root{number}"))
            elif elsewhere == "HOME":
                environment.setenv("HOME", f"{folder}/home{number}")
            elif elsewhere == "files touched":
                code.unlink(missing_ok=True)  # and written anew
            elif elsewhere == "order of settings":
                asked["compiler_config"] = dict(reversed(asked["compiler_config"].items()))
            told.append(f"{change or 'the same'} {elsewhere}".strip())
            key = _exactly({name: asked[name] for name in CODE})
            cut = _exactly({name: asked[name] for name in PIECES})
            log = _start(subject, root, code, asked)
            what = f"start {number} of: {'; '.join(told)}"
            content = _exactly({name: asked[name] for name in CODE if name not in OWNERS})
            if key not in seen:
                if subject.can("seed-layout") or content not in contents:
                    warm_start.expect_cold(log, what)
            elif seen[key] == cut:
                warm_start.expect_warm(log, what)
            seen[key] = cut
            contents.add(content)


def _options(subject: Subject) -> Any:
    return options_for(
        subject,
        program("linear-chain"),
        compiler=spy.NAME,
        cache_root="anywhere",
        compile_sizes=(4,),
    )

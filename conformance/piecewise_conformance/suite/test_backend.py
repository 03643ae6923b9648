"""BACKEND: the object that torch.compile is given, and its manners."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from piecewise_conformance.core.boundary import (
    expect_refusal,
    is_named,
    raised_inside,
    whose,
    words_of,
)
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.isolation import global_state
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches import seed_layout
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.drive import Driven, drive, options_for
from piecewise_fixtures.programs import program


@requirement("BACKEND-001")
def test_second_graph(subject: Subject) -> None:
    """One instance, two graphs: the second is right or refused with a reason; the first stays."""
    settle()
    chain, layers = program("linear-chain"), program("two-layers")
    options = options_for(subject, chain)
    backend = subject.backend(options)
    first, second = (Driven(subject, each, options, backend) for each in (chain, layers))
    first.check(6)
    try:
        second.check(6)
    except Violation:
        raise
    except Exception as error:
        if whose(error) is None:
            raise
        if "graph break" not in words_of(error):
            raise Violation(
                "a second graph is refused, but the error does not say why",
                expected="an error that mentions graph breaks",
                got=str(error)[:300],
            ) from None
    for size in chain.sizes:
        first.check(size)


@requirement("BACKEND-004")
def test_instances_are_independent(subject: Subject) -> None:
    """A backend with splitting ops leaves one without any, and one with others, as they are."""
    for ops in (("piecewise::scaled",), (), ("aten::mul",), ("piecewise::scaled",)):
        with spy.spying() as log:
            driven = drive(subject, program("linear-chain"), compiler=spy.NAME, splitting_ops=ops)
            driven.check(6)
        inside = {str(n.target) for call in log.compiles for n in call.graph.graph.nodes}
        given = any("scaled" in each for each in inside)
        if given == ("piecewise::scaled" in ops):
            raise Violation(
                f"a backend with splitting ops {ops}, after backends with others",
                expected="scaled compiled"
                if "piecewise::scaled" not in ops
                else "scaled split out",
                got=str(sorted(inside)),
            )


@requirement("BACKEND-004")
def test_compilers_config_is_its_own(subject: Subject) -> None:
    """What a compiler does to the settings it was given does not reach the next backend."""
    mine = {"nested": {"x": [1]}}
    with spy.spying() as log:
        drive(subject, program("linear-chain"), compiler=spy.NAME, compiler_config=mine).check(6)
        for call in log.compiles:
            call.config["added"] = True
            if isinstance(call.config.get("nested"), dict):
                call.config["nested"]["x"].append(2)
    if mine != {"nested": {"x": [1]}}:
        raise Violation("the user's settings after a compile", expected="unchanged", got=str(mine))


@requirement("BACKEND-005")
@pytest.mark.parametrize("name", ["linear-chain", "condition", "notes-in-pieces"])
def test_global_state(subject: Subject, name: str) -> None:
    """Building, compiling, running and dropping a backend changes nothing global."""
    chosen = program(name)
    drive(subject, chosen).check(6)  # what the first use of torch.compile sets up is torch's
    driven = drive(subject, chosen)
    with global_state.unchanged():
        driven.check(6)
        driven.check(4)


@requirement("BACKEND-005")
def test_global_state_after_an_error(subject: Subject) -> None:
    """So does a compile that fails."""
    with spy.spying() as log:
        drive(subject, program("linear-chain"), compiler=spy.NAME).check(6)
        driven = drive(subject, program("linear-chain"), compiler=spy.NAME)
        log.fail = True
        with global_state.unchanged(), expect_refusal("a failing compile", "told to fail"):
            driven.check(6)


@requirement("BACKEND-008")
def test_compiler_gets_the_settings(subject: Subject) -> None:
    """Every compile, of a range and of a single size, is given the settings that the user chose."""
    chosen: dict[str, Any] = {"max_autotune": True, "words": ["a", "b"], "number": 7}
    with spy.spying() as log:
        driven = drive(
            subject,
            program("linear-chain"),
            compiler=spy.NAME,
            compiler_config=chosen,
            compile_ranges_endpoints=(5,),
            compile_sizes=(4,),
        )
        for size in (6, 4, 3):
            driven.check(size)
    if not log.compiles:
        raise Violation("compiles of the named compiler", expected="some", got="none")
    for call in log.compiles:
        given = {name: call.config.get(name) for name in chosen}
        if given != chosen:
            raise Violation(
                f"the settings that the compiler was given for {call.range}",
                expected=str(chosen),
                got=str(call.config)[:500],
            )


def _picture(graph: torch.fx.GraphModule, known: dict[str, set[str]]) -> dict[str, Any]:
    """All of ``graph`` that its owner can see, in plain values; of a node what was ``known`` of it,
    for a compiler may add notes of its own.
    """
    return {
        "the nodes": [
            (node.op, node.name, str(node.target), str(node.args), str(node.kwargs))
            for node in graph.graph.nodes
        ],
        "what is known of values": [
            (
                node.name,
                sorted(known.get(node.name, set()) & set(node.meta)),
                str(node.meta.get("example_value")),
            )
            for node in graph.graph.nodes
        ],
        "the code": graph.code,
        "parameters and buffers": {
            name: (id(value), value.data_ptr())
            for name, value in (*graph.named_parameters(), *graph.named_buffers())
        },
        "children": [name for name, _ in graph.named_children()],
    }


KEPT = ["linear-chain", "input-updated-around-op", "size-across-op", "condition", "two-outputs"]


@requirement("BACKEND-013")
def test_example_inputs_are_left_as_they_are(subject: Subject) -> None:
    """The list that the backend is called with holds what it held."""
    settle()
    chosen = program("two-symbols")
    options = options_for(subject, chosen)

    def backend(graph: Any, example_inputs: Any) -> Any:
        before = list(example_inputs)
        compiled = subject.backend(options)(graph, example_inputs)
        if [*map(id, before)] != [*map(id, example_inputs)]:
            raise Violation("the list of example inputs after the call", expected="unchanged")
        return compiled

    Driven(subject, chosen, options, backend).check(chosen.sizes[0])


@requirement("BACKEND-009")
@pytest.mark.parametrize("name", KEPT)
def test_graph_is_left_as_it_is(subject: Subject, name: str) -> None:
    """Before the call and after it. What becomes of it later is Dynamo's business too."""
    settle()
    chosen = program(name)
    options = options_for(subject, chosen)

    def backend(graph: Any, example_inputs: Any) -> Any:
        known = {node.name: set(node.meta) for node in graph.graph.nodes}
        before = _picture(graph, known)
        compiled = subject.backend(options)(graph, example_inputs)
        for what, after in _picture(graph, known).items():
            if after != before[what]:
                raise Violation(
                    f"{what} of the graph after the call",
                    expected=str(before[what])[:600],
                    got=str(after)[:600],
                )
        return compiled

    driven = Driven(subject, chosen, options, backend)
    for size in chosen.sizes:
        driven.check(size)


@dataclass
class _Told:
    """What a user is told of a backend until the first batch is done, and whether it is refused."""

    lines: list[str]
    refused: bool

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def _told_of(
    subject: Subject, caplog: pytest.LogCaptureFixture, capfd: Any, **changes: Any
) -> _Told:
    """All that a user is told of a backend made with ``changes``: by an error, warnings, the log
    and what is printed.
    """
    told, refused = [], False
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        try:
            driven = drive(subject, program("linear-chain"), **changes)
            driven.got(driven.program.inputs(driven.program.sizes[0]))
        except Exception as error:
            if not (raiser := raised_inside(error)):
                raise
            told, refused = [words_of(error)], bool(str(raiser).strip())
    told += [*(str(each.message) for each in caught), *caplog.messages]
    told += [line for text in capfd.readouterr() for line in text.splitlines()]
    return _Told(told, refused)


# what is asked for, and what must be named: one of the field's names, or the value at fault
CONTRADICTIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a size of nothing": ({"compile_sizes": (4, 0)}, ("compile_sizes",)),
    "a negative size": ({"compile_sizes": (-3,)}, ("compile_sizes", "-3")),
    "a size beyond the maximum": ({"compile_sizes": (65,)}, ("compile_sizes", "65")),
    "a capture beyond the maximum": (
        {"cudagraph_capture_sizes": (4, 65), "cudagraph_mode": "FULL"},
        ("capture_sizes", "65"),
    ),
    "a mode that is none": ({"cudagraph_mode": "SOMETIMES"}, ("SOMETIMES",)),
    "a format that is none": ({"save_format": "papyrus"}, ("papyrus",)),
    "a partition by Inductor, and no Inductor": (
        {"partition_in_inductor": True, "compiler": "eager"},
        ("partition",),
    ),
    "pieces captured by a partition that is none": (
        {"partition_in_inductor": True, "compiler": "eager", "cudagraph_mode": "PIECEWISE"},
        ("partition", "PIECEWISE"),
    ),
    "artifacts collected, and none standalone": (
        {"collect_artifacts": True, "standalone": False},
        ("STANDALONE", "standalone"),
    ),
}


@requirement("BACKEND-011")
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions(
    subject: Subject, caplog: pytest.LogCaptureFixture, capfd: Any, name: str
) -> None:
    """An error, a warning or a line of the log is about them: by the seed's names of the settings,
    or in the subject's own words.
    """
    changes, names = CONTRADICTIONS[name]
    told = _told_of(subject, caplog, capfd, **changes)
    if any(is_named(each, told.text) for each in names):
        return
    if not subject.can(seed_layout.ABILITY):
        # own words cannot be looked for: what is said here, and not where nothing is wrong
        sound = {key: value for key, value in changes.items() if key == "compiler"}
        usual = set(_told_of(subject, caplog, capfd, **sound).lines)
        if told.refused or not usual.issuperset(told.lines):
            return
    raise Violation(
        f"the report about {name}",
        expected=f"an error, a warning or a log record that contains {' or '.join(names)}",
        got=told.text[:500] or "nothing",
    )


@requirement("BACKEND-010")
@pytest.mark.parametrize(
    "name", ["piecewise::no_such_op", "nowhere::at_all", "piecewise::scaled.no_such_overload"]
)
def test_unknown_splitting_op(
    subject: Subject, caplog: pytest.LogCaptureFixture, capfd: Any, name: str
) -> None:
    """It is told of in an error, a warning or a line of the log, whenever that is."""
    subject.need("splitting")
    chosen = program("linear-chain")
    changes = {"compiler": "eager", "splitting_ops": (*chosen.splitting_ops, name)}
    told = _told_of(subject, caplog, capfd, **changes).text
    if name.partition("::")[2] not in told:
        raise Violation(
            "the report about a splitting op that does not exist",
            expected=f"an error, a warning or a log record that contains {name}",
            got=told[:500] or "nothing",
        )

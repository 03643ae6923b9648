"""Run drawn histories of a cache, and tell the shortest that failed, with its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test as run_machine

from ...core.boundary import whose
from ...core.outcome import describe
from ...core.verdict import Violation
from ...subject.subject import Subject
from .state_machine import FOLDERS, MANAGERS, Action, CacheMachine, Failure


def check(
    subject: Subject,
    root: Path,
    *,
    examples: int,
    steps: int,
    numbers: int | None = None,
    budget: int = 100,
) -> None:
    """Run so many drawn sequences of steps; a Violation with the shortest that failed.

    ``numbers`` seeds what is drawn; without it, it is always the same. Shortening stops after
    ``budget`` runs.
    """
    subject.get("CompilerManager")
    failures: list[Failure] = []
    machine: Any = type(
        "Machine", (CacheMachine,), {"subject": subject, "root": root, "failures": failures}
    )
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=numbers is None,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_machine(machine if numbers is None else seed(numbers)(machine), settings=chosen)
    except Exception:
        if not failures:
            raise
    if failures:
        _tell(_shortest(machine, failures[0], budget))


def _again(machine: Any, actions: list[Action]) -> Failure | None:
    """Do ``actions`` once more, without those that there is nothing to do with."""
    machine.failures.clear()
    made = machine()
    try:
        made.two_models()
        for name, drawn in actions:
            if name == "start":
                ready = len(made.managers) < MANAGERS
            elif name == "carry":
                ready = len(made.folders) < FOLDERS
            else:
                ready = name == "damage" or bool(made.managers)
            if ready:
                getattr(made, name)(**drawn)
    except Exception:
        if not machine.failures:
            raise
    try:
        made.teardown()
    except Exception:
        if not machine.failures:
            raise
    return machine.failures[0] if machine.failures else None


def _shortest(machine: Any, failure: Failure, budget: int) -> Failure:
    """The failure with the fewest steps that is found by leaving steps out.

    Hypothesis would take minutes: it does not know that each step may be left out.
    """
    size = max(1, len(failure.actions) // 2)
    while size and budget:
        end = len(failure.actions)
        while end > 0 and budget:
            start = max(0, end - size)
            budget -= 1
            shorter = _again(machine, failure.actions[:start] + failure.actions[end:])
            if shorter is not None:
                failure = shorter
            end = min(start, len(failure.actions))
        size //= 2
    return failure


def _tell(failure: Failure) -> None:
    """The failure, with the steps that led to it."""
    error, script = failure.error, "\n".join(failure.steps)
    if isinstance(error, Violation):
        raise Violation(
            error.message, expected=error.expected, got=error.got, program=script
        ) from None
    if (where := whose(error)) is None:
        raise error
    raise Violation(
        f"the subject raised {describe(error)}, in {where}",
        expected="no exception",
        got=describe(error),
        program=script,
    ) from error

"""One process of a search: draws, judges, shortens, and tells what it does line by line.

Lines go to a file, one JSON object each, and are on disk before the next step: whatever becomes of
this process, the session knows how far it came. A program that takes too long ends the process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from pathlib import Path
from typing import IO, Any

from piecewise_fixtures.generated import Program, Space, features_of, seeded

from ..core.verdict import Status
from ..isolation.watchdog import Watch, end_with
from ..subject.loading import load_subject
from ..subject.subject import Subject
from ..testkit.generated.programs import Drawn
from .judging import judge, prepare, quicken, shortest
from .properties import DIRECT, DYNAMO, Property, chosen

_SHARED = 8000  # programs a space
_SHORTENED = 3  # failures of one property that are shortened; more of them are counted
_EVERY = 2.0  # seconds between two lines of statistics


def main(arguments: list[str] | None = None) -> int:
    """Search until the time is up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--step", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--capture", required=True)
    parser.add_argument("--compiler", default="")
    parser.add_argument("--before", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--captures", type=int, required=True)
    parser.add_argument("--runner", type=int, required=True)
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--stack", type=Path, required=True)
    parser.add_argument("--stop-at-first", action="store_true")
    options = parser.parse_args(arguments)
    end = time.monotonic() + options.seconds
    end_with(options.runner)
    quicken()
    watch = Watch(options.stack, options.timeout)
    with options.lines.open("a", encoding="utf-8") as lines:
        lines.write("\n")  # behind what a process that died may have left of a line
        search = _Search(load_subject(options.backend), lines, watch, options.compiler)
        kept = [] if options.start else _corpus(options.capture)
        for place in itertools.count(options.first, options.step):
            if search.captures >= options.captures:
                search.tell_statistics(force=True)
                search.tell("renew", place=place)
                return 0
            number = options.start + place - len(kept)
            if place < len(kept):
                name, program, capture = kept[place]
                search.look(name, program, capture, place)
                continue
            if time.monotonic() > end or (options.stop_at_first and search.failed):
                break
            if options.before and number >= options.before:
                break
            name = f"{options.seed}:{number}"
            # Dynamo takes ten times as long: one program of ten goes through it
            capture = DYNAMO if number // options.step % 10 == 9 else DIRECT
            if options.capture != "both":
                capture = options.capture
            search.look(name, seeded(name), capture, place)
        search.tell_statistics(force=True)
        search.tell("done")
    return 0


def _corpus(capture: str) -> list[tuple[str, Program, str]]:
    """The programs of the corpus that go first, as name, program and way."""
    from piecewise_fixtures.generated.corpus import CAPTURED, corpus

    kept = [(f"corpus:{name}", program, DIRECT) for name, program in corpus().items()]
    kept += [(f"corpus:{name}", corpus()[name], DYNAMO) for name in CAPTURED]
    return [each for each in kept if capture in ("both", each[2])]


class _Search:
    def __init__(self, subject: Subject, lines: IO[str], watch: Watch, compiler: str) -> None:
        self.subject, self.lines, self.watch = subject, lines, watch
        self.compiler = compiler
        self.space = Space()
        self.in_space = 0
        self.seen: Counter[str] = Counter()
        self.features: Counter[str] = Counter()
        self.programs: Counter[str] = Counter()
        self.thrown: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.last = time.monotonic()
        self.failed = False
        self.captures = 0

    def tell(self, kind: str, **what: Any) -> None:
        self.lines.write(json.dumps({"kind": kind, **what}) + "\n")
        self.lines.flush()

    def tell_statistics(self, force: bool = False) -> None:
        if not force and time.monotonic() - self.last < _EVERY:
            return
        self.last = time.monotonic()
        self.tell(
            "statistics",
            programs=dict(self.programs),
            thrown=dict(self.thrown),
            features=dict(self.features),
            statuses=dict(self.statuses),
        )
        for counter in (self.programs, self.thrown, self.features, self.statuses):
            counter.clear()

    def look(self, name: str, program: Program, capture: str, place: int) -> None:
        """Judge one program by all properties of ``capture``; it has the place ``place``."""
        self.tell("begin", name=name, program=program.to_json(), capture=capture, place=place)
        self.in_space += 1
        if self.in_space % _SHARED == 0 or self.space.spoiled:
            self.space = Space()
        asked = [
            each
            for each in chosen(capture, self.compiler)
            if self.in_space % each.every == 0 or name.startswith("corpus:")
        ]
        self.captures += capture == DYNAMO
        self.watch.begin()
        drawn = Drawn(program, self.space)
        if why := prepare(drawn, capture):
            self.watch.end()
            self.thrown[why] += 1
            return
        judged = judge(self.subject, drawn, asked, begin=self._began)
        drawn.forget()
        self.watch.end()
        self.programs[capture] += 1
        self.features.update(features_of(program))
        for each in judged:
            self.statuses[f"{each.asked.key}={each.outcome.status.value}"] += 1
            if each.outcome.status is Status.ERROR:
                self.tell("error", name=name, key=each.asked.key, message=each.outcome.message)
            elif each.failed:
                self._failed(name, program, each.asked)
        self.tell_statistics()

    def _began(self, each: Property) -> None:
        self.tell("asks", key=each.key)
        self.watch.end()
        self.watch.begin()

    def _failed(self, name: str, program: Program, failed: Property) -> None:
        self.failed = True
        self.seen[failed.key] += 1
        if self.seen[failed.key] > _SHORTENED:
            return
        # said before it is shortened, in which the process may die
        self.tell("failure", name=name, key=failed.key, program=program.to_json(), whole=True)
        started = time.monotonic()
        shorter, outcome = shortest(self.subject, program, failed, begin=self._began)
        self.watch.end()
        self.tell(
            "failure",
            name=name,
            key=failed.key,
            program=shorter.to_json(),
            whole=False,
            message=outcome.message,
            expected=outcome.expected,
            got=outcome.got,
            seconds=round(time.monotonic() - started, 3),
        )


if __name__ == "__main__":
    raise SystemExit(main())

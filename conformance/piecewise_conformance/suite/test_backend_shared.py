"""BACKEND: two models with one config object, as a target and its draft."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.core.boundary import crossing
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import graphs, spy
from piecewise_conformance.testkit.caches import seed_layout
from piecewise_conformance.testkit.caches.warm_start import expect_warm, start
from piecewise_conformance.testkit.capture_cache import settle
from piecewise_conformance.testkit.drive import Driven, options_for
from piecewise_fixtures.programs import program


@requirement("BACKEND-015")
@pytest.mark.parametrize("names", [("two-layers", "two-layers"), ("two-layers", "linear-chain")])
def test_one_config_object(subject: Subject, tmp_path: Path, names: tuple[str, str]) -> None:
    """Target and draft are right, each is split at the ops of the config, and each finds its own
    cache again.
    """
    subject.get("VllmBackend")
    ops = {op: None for name in names for op in program(name).splitting_ops}
    options = options_for(
        subject,
        program(names[0]),
        compiler=spy.NAME,
        cache_root=str(tmp_path),
        splitting_ops=tuple(ops),
    )
    subject.check_offers(options)
    config = subject.config(options)
    prefixes = ("target", "draft")
    backends = [subject.call("VllmBackend", config, prefix) for prefix in prefixes]
    for name, prefix, backend in zip(names, prefixes, backends, strict=True):
        settle()
        chosen = program(name)
        with spy.spying() as log:
            driven = Driven(subject, chosen, options, crossing("the backend", backend))
            for size in chosen.sizes:
                driven.check(size)
        given = [node for call in log.compiles for node in call.graph.graph.nodes]
        if any(graphs.matches(node, ops) for node in given):
            raise Violation(
                f"the graphs that the compiler received of the {prefix} model",
                expected="no splitting op",
                got=str(sorted({str(node.target) for node in given})),
            )
    for name, prefix in zip(names, prefixes, strict=True):
        log = start(subject, tmp_path, name, splitting_ops=tuple(ops), prefix=prefix)
        expect_warm(log, f"a later start of the {prefix} model, with a config of its own")
    if subject.can(seed_layout.ABILITY):
        folders = [
            str(each.relative_to(tmp_path)) for each in seed_layout.cache_folders(subject, tmp_path)
        ]
        if len(folders) != 2:
            raise Violation("cache folders of two models", expected="one each", got=str(folders))

"""Mutants as subjects: they serve ``--backend mutant:NAME``."""

from __future__ import annotations

from functools import cache

from ..subject.adapters.reference import make
from ..subject.subject import Subject
from .catalogue import FOLDER, Mutant, catalogue
from .instrument import INSTRUMENTED, instrumented
from .planting import plant


@cache
def load(name: str) -> Subject:
    """The mutant ``name``, or the instrumented reference; ValueError for any other name."""
    if name == INSTRUMENTED:
        return make(instrumented(), name=name, origin=f"mutant:{name}")
    if name not in catalogue():
        raise ValueError(f"unknown mutant {name!r}; the mutants are in the files of {FOLDER}")
    return subject_of(catalogue()[name])


def subject_of(mutant: Mutant) -> Subject:
    """``mutant``, planted in this process."""
    return make(plant(mutant), name=mutant.name, origin=f"mutant:{mutant.name}")

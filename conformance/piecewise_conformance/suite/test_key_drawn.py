"""KEY: places and handles that nobody wrote."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import spy
from piecewise_conformance.testkit.caches.managers import manager
from piecewise_conformance.testkit.pieces import times

_ends = st.tuples(st.integers(1, 2**40), st.integers(1, 2**40)).map(
    lambda ends: tuple(sorted(ends))
)
_places = st.lists(
    st.tuples(st.one_of(_ends, st.sampled_from([(1, 8), (8, 8)])), st.integers(0, 2**33)),
    min_size=1,
    max_size=4,
    unique=True,
)
# what looks like part of a file, and what Python prints in a way that is easily misread
_odd = st.sampled_from(
    [
        "",
        "'",
        '"',
        "\\",
        "\\n",
        "\n",
        "\r\n",
        "\x00",
        "\x85",
        "\u2028",
        "\ud800",
        "😀",
        "'): 1, ('",
        "((1, 8), 0, 'spy')",
        "{}",
        "#",
        "None",
    ]
)
_text = st.one_of(st.text(max_size=12), _odd, st.lists(_odd, max_size=3).map("".join))
_name = st.one_of(st.just("spy"), _text.filter(bool))
_leaf = st.one_of(
    _text,
    st.binary(max_size=6),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.complex_numbers(),
    st.sampled_from([None, True, False, 0, 1, 0.0, -0.0, 1.0, ..., 1e400, 10**400]),
)
_handle = st.one_of(
    st.tuples(_text, _text),
    st.recursive(
        _leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.one_of(_text, st.integers(), st.booleans()), inner, max_size=3),
            st.sets(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
            st.frozensets(st.integers(), max_size=2),
        ),
        max_leaves=6,
    ),
)


def exactly(value: Any) -> Any:
    """``value`` in a form that is equal only for equal values of equal types."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, [(exactly(key), exactly(each)) for key, each in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, value))
    if isinstance(value, (list, tuple)):
        return kind, [exactly(each) for each in value]
    return kind, repr(value)  # tells -0.0 from 0.0, and every float from the next


def _is_two_texts(handle: Any) -> bool:
    texts = isinstance(handle, tuple) and all(isinstance(each, str) for each in handle)
    return (
        texts and len(handle) == 2 and not any("\ud800" <= c <= "\udfff" for c in "".join(handle))
    )


@requirement("KEY-002")
@slow
@settings(
    max_examples=60,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(places=_places, handles=st.lists(_handle, min_size=4, max_size=4), name=_name)
@example(places=[((1, 8), 0)], handles=[1, True, 1.0, 1], name='it\'s "spy"\n')
@example(places=[((1, 8), 0)], handles=[("a", "b"), 1, 1, 1], name="'): 1, ('")
@example(places=[((1, 8), 0)], handles=[("a", "b"), 1, 1, 1], name=" spy\n")
def test_drawn_round_trip(
    subject: Subject, places: list[Any], handles: list[Any], name: str
) -> None:
    """What was stored in drawn places comes back as it was, in value and type, or not at all."""
    case = times(2)
    with tempfile.TemporaryDirectory() as folder, spy.named(name) as compiler:
        made = iter(handles)
        with spy.spying() as log:
            log.handle = lambda number: next(made)
            writer = manager(subject, Path(folder), compiler=compiler)
            for ends, index in places:
                case.check(writer.compile(case.gm, case.traced, ends, index, 1))
            writer.save()
        reader = manager(subject, Path(folder), compiler=compiler)
        for (ends, index), handle in zip(places, handles, strict=False):
            with spy.spying() as log:
                log.handle = lambda number: ("made", "anew")
                case.check(reader.compile(case.gm, case.traced, ends, index, 1))
            found = [each.key for each in log.loads]
            if any(exactly(each) != exactly(handle) for each in found):
                raise Violation(
                    f"a handle came back changed, under {(ends, index, name)!r}",
                    expected=repr(handle),
                    got=repr(found),
                )
            if not found and _is_two_texts(handle):
                raise Violation(
                    f"the handle {handle!r} was not found again under {(ends, index, name)!r}",
                    expected="a load",
                    got="a compile",
                )

"""Every status that a result can have, the name of the test saying which."""

import os

import pytest
from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import needs, requirement
from piecewise_conformance.core.verdict import Unsupported, Violation


@pytest.fixture(autouse=True)
def tally(request):
    """Leave a line for each test that begins, for the test of --resume."""
    if path := os.environ.get("MINIATURE_TALLY"):
        with open(path, "a") as file:
            file.write(request.node.name + "\n")


def ask(subject, what):
    with inside_subject("make_backend"):
        return subject.surface["make_backend"](what)


@requirement("MINI-001")
@pytest.mark.parametrize("word", ["yes", "a::b", "c, d=(1)"])
def test_pass(subject, word):
    """The subject echoes."""
    assert ask(subject, word) == word


@requirement("MINI-001")
def test_fail(subject):
    raise Violation("it lied", expected="the truth", got="\udc80 lone", program="print(1)")


@requirement("MINI-001")
def test_fail_by_exception(subject):
    ask(subject, "raise")


@requirement("MINI-001")
def test_fail_by_wrapped_exception(subject):
    try:
        ask(subject, "raise")
    except ValueError:
        raise RuntimeError("wrapped") from None


@requirement("MINI-001")
def test_unsupported(subject):
    raise Unsupported("the subject does not offer song")


@requirement("MINI-001")
@needs("triton")
def test_not_run(subject):
    raise AssertionError("not reached")


@requirement("MINI-001")
def test_error(subject):
    assert 1 == 2


@requirement("MINI-001")
def test_error_by_skip(subject):
    pytest.skip("a suite may not")


@pytest.fixture
def dirty():
    yield
    raise OSError("cannot clean up")


@requirement("MINI-001")
def test_error_in_teardown(subject, dirty):
    pass


@requirement("MINI-002")
@pytest.mark.parametrize("how", ["exit", "segfault"])
def test_crash(subject, how):
    ask(subject, how)


@requirement("MINI-002")
def test_timeout(subject):
    ask(subject, "hang")


@requirement("MINI-002")
def test_pass_after_all(subject):
    assert ask(subject, 1) == 1


@requirement("MINI-003")
def test_impolite(subject):
    raise Violation("no please")

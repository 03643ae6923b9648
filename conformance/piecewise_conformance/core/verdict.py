"""What a test can say about a subject: statuses, and the exceptions that carry them."""

from __future__ import annotations

from enum import Enum


class Status(str, Enum):
    """The status of one result in the report (fixed by the report's schema)."""

    PASS = "pass"
    FAIL = "fail"
    CRASH = "crash"  # the process died: SIGSEGV, os._exit
    TIMEOUT = "timeout"
    ERROR = "error"  # the harness's own fault, never the subject's
    UNSUPPORTED = "unsupported"  # the subject lacks the facet
    NOT_RUN = "not-run"  # the machine lacks something: GPU, C++ compiler, a package
    XFAIL = "xfail"
    XPASS = "xpass"


class Violation(AssertionError):
    """The subject broke the requirement under test.

    ``expected`` and ``got`` are short texts for a person; ``program`` is the source of the
    minimal program that shows it, or empty where no program is involved.
    """

    def __init__(self, message: str, *, expected: str = "", got: str = "", program: str = ""):
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.got = got
        self.program = program

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_violation, (self.message, self.expected, self.got, self.program))


def _rebuild_violation(message: str, expected: str, got: str, program: str) -> Violation:
    return Violation(message, expected=expected, got=got, program=program)


# A message that begins so is about a facet or an ability that the subject does not claim to have.
NOT_OFFERED = "the subject does not offer"


class Unsupported(Exception):
    """The subject does not support what the test needs. Counted and shown, never a pass."""


class NotRun(Exception):
    """The machine lacks what the test needs; the message is the reason that the report shows."""

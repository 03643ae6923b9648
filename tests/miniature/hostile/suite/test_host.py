"""A deed between two innocent tests, in the order of the file and, if it survives, one process."""

import os
import signal
import sys

from piecewise_conformance.core.boundary import inside_subject
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.core.verdict import Violation


def ask(subject, what):
    with inside_subject("make_backend"):
        return subject.surface["make_backend"](what)


@requirement("HOST-002")
def test_before(subject):
    if "torch" in os.environ["HOSTILE"]:  # for its state to be known before the deed
        import torch  # noqa: F401

    assert ask(subject, "hello") == "hello"


@requirement("HOST-001")
def test_deed(subject):
    assert ask(subject, "deed") == "deed"


@requirement("HOST-002")
def test_next(subject):
    torch = sys.modules.get("torch")
    if torch and (torch.get_default_dtype() is not torch.float32 or not torch.is_grad_enabled()):
        raise Violation("torch's state has leaked")
    if torch and torch.is_autocast_enabled("cpu"):
        raise Violation("a region of autocast has leaked")
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR") == "/nowhere":
        raise Violation("the place of torch's cache has leaked")
    if signal.getsignal(signal.SIGALRM) is signal.SIG_IGN:
        raise Violation("a handler has leaked")
    assert ask(subject, "hello") == "hello"

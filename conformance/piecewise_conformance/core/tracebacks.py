"""The text of a traceback for the author of a subject: the subject's own frames come first."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path

# Behind this line is what a reader sees who unfolds it.
FOLDED = "--- every frame, the innermost last ---"

_DEEPEST = 30  # frames that are kept
_CALLERS = 3  # own frames that are shown besides the innermost
_HARNESS = Path(__file__).parents[1]
_LIBRARIES = frozenset(
    ("torch", "triton", "functorch", "numpy", "pytest", "_pytest", "pluggy", "xdist", "hypothesis")
)
_STDLIB = Path(sysconfig.get_paths()["stdlib"])
_INSTALLED = ("site-packages", "dist-packages")


def traceback_of(error: BaseException) -> str:
    """Where ``error`` was raised.

    First the innermost frame of the subject's own code, then those that called it, then, behind
    FOLDED, every frame in Python's order. Without an own frame it is Python's order alone.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST:]
    own = [number for number, frame in enumerate(frames) if is_own(frame.filename)]
    if not own:
        return _listed(frames[-12:])
    innermost = own[-1]
    lines = [_listed([frames[innermost]])]
    if deeper := frames[innermost + 1 :]:
        calls = f"{len(deeper)} call{'s' if len(deeper) > 1 else ''} deeper"
        last = deeper[-1]
        lines.append(f"  raised {calls}, in {last.filename}, line {last.lineno}, in {last.name}")
    callers = [frames[number] for number in reversed(own[:-1])][:_CALLERS]
    lines += [
        f"  called by {each.filename}, line {each.lineno}, in {each.name}" for each in callers
    ]
    if len(frames) > 1:
        lines += [FOLDED, _listed(frames)]
    return "\n".join(lines)


def unfolded(text: str) -> tuple[str, str]:
    """``text`` up to FOLDED, and what is behind it."""
    shown, _, rest = text.partition(f"\n{FOLDED}\n")
    return shown, rest


def is_own(filename: str) -> bool:
    """Whether a file is the subject's: not of Python, torch, the harness or what those use."""
    if filename.startswith("<"):
        return False  # generated code
    path = Path(filename)
    fixtures = getattr(sys.modules.get("piecewise_fixtures"), "__file__", None)
    ours = [_HARNESS, *([Path(fixtures).parent] if fixtures else [])]
    if any(path.is_relative_to(each) for each in ours):
        return False
    for number, part in enumerate(path.parts[:-1]):
        if part in _INSTALLED:
            return path.parts[number + 1].partition(".")[0] not in _LIBRARIES
    torch = getattr(sys.modules.get("torch"), "__file__", None)
    if torch and path.is_relative_to(Path(torch).parent):
        return False
    return not path.is_relative_to(_STDLIB)


def _listed(frames: list[traceback.FrameSummary]) -> str:
    return "".join(traceback.format_list(frames)).rstrip()

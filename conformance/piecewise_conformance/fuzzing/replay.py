"""What runs in a script of the search: one property of one program, judged once more."""

from __future__ import annotations

from piecewise_fixtures.generated import from_json

from ..repros.confirm import SAYS
from ..runner.replay import NO_VERDICT, tell
from ..subject.loading import LoadError, load_subject
from .judging import judge
from .properties import properties


def main(backend: str, key: str, text: str) -> int:
    """Judge the program ``text`` by the property ``key``; the exit status of the script."""
    try:
        subject = load_subject(backend)
    except LoadError as error:
        print(f"{SAYS}not-run: {error}", flush=True)
        return NO_VERDICT
    (judged,) = judge(subject, from_json(text), [properties()[key]])
    return tell(judged.outcome)

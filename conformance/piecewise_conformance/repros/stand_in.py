"""The few names that tests of the suite use of pytest, for a script that runs one of them."""

from __future__ import annotations

import enum
import logging
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

_NOTHING: Any = object()


# -- marks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MarkDecorator:
    """A mark: put on a function it is remembered there, called it takes arguments."""

    name: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Mark a function, or give the mark its arguments."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            args[0].pytestmark = [*getattr(args[0], "pytestmark", ()), self]
            return args[0]
        return MarkDecorator(self.name, args, kwargs)


class _Marks:
    def __getattr__(self, name: str) -> MarkDecorator:
        return MarkDecorator(name)


mark = _Marks()


class Param(NamedTuple):
    """A set of values with an ID or marks of its own."""

    values: tuple[Any, ...]
    id: str | None
    marks: tuple[MarkDecorator, ...]


def param(*values: Any, id: str | None = None, marks: Any = ()) -> Param:
    """One set of values for ``parametrize``."""
    return Param(values, id, tuple(marks) if isinstance(marks, (list, tuple)) else (marks,))


def cases(
    function: Callable[..., Any],
) -> Iterator[tuple[str, dict[str, Any], list[MarkDecorator]]]:
    """Every case of a test: the text in its brackets, its arguments, and its marks."""
    marks = list(getattr(function, "pytestmark", ()))
    found: list[tuple[str, dict[str, Any], list[MarkDecorator]]] = [("", {}, marks)]
    for each in marks:
        if each.name == "parametrize":
            found = [
                (f"{id}-{own}" if id else own, {**arguments, **more}, [*all_marks, *own_marks])
                for id, arguments, all_marks in found
                for own, more, own_marks in _sets(*each.args, **each.kwargs)
            ]
    yield from found


def _sets(
    names: str | Sequence[str], values: Any, ids: Any = None
) -> list[tuple[str, dict[str, Any], tuple[MarkDecorator, ...]]]:
    several = not isinstance(names, str) or "," in names
    split = [each.strip() for each in names.split(",")] if isinstance(names, str) else list(names)
    found = []
    for number, value in enumerate(values):
        one = value if isinstance(value, Param) else param(*(value if several else (value,)))
        given = ids(one.values[0]) if callable(ids) else ids[number] if ids is not None else None
        parts = [_id(*each, number) for each in zip(split, one.values, strict=True)]
        id = one.id or (given if given is not None else "-".join(parts))
        found.append((_escaped(str(id)), dict(zip(split, one.values, strict=True)), one.marks))
    return _told_apart(found)


def _id(name: str, value: Any, number: int) -> str:
    """As pytest names a value: by what it says where that is short, else by its place."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bool, int, float, complex)):
        return str(value)
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(getattr(value, "__name__", None), str):
        return str(value.__name__)
    return f"{name}{number}"


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _told_apart(sets: list[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    """Cases of one name get a number."""
    names = [each[0] for each in sets]
    seen: dict[str, int] = {}
    for at, (name, *rest) in enumerate(sets):
        if names.count(name) > 1:
            gap = "_" if name and name[-1].isdigit() else ""
            sets[at] = (f"{name}{gap}{seen.get(name, 0)}", rest[0], rest[1])
            seen[name] = seen.get(name, 0) + 1
    return sets


# -- what tests ask for ----------------------------------------------------------------------------


@contextmanager
def raises(expected: type[BaseException], match: str = "") -> Iterator[None]:
    """What is done inside must raise."""
    try:
        yield
    except expected as error:
        if not re.search(match, str(error)):
            raise AssertionError(f"{error!r} does not match {match!r}") from error
    else:
        raise AssertionError(f"{expected.__name__} was not raised")


class MonkeyPatch:
    """Changes that are undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    @classmethod
    @contextmanager
    def context(cls) -> Iterator[MonkeyPatch]:
        """Changes that are undone at the end of a ``with``."""
        own = cls()
        try:
            yield own
        finally:
            own.undo()

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """Set an attribute."""
        before = vars(target).get(name, _NOTHING)
        setattr(target, name, value)
        self._undo.append(
            lambda: delattr(target, name) if before is _NOTHING else setattr(target, name, before)
        )

    def setitem(self, mapping: Any, key: Any, value: Any) -> None:
        """Set an item."""
        self._remember(mapping, key)
        mapping[key] = value

    def delitem(self, mapping: Any, key: Any, raising: bool = True) -> None:
        """Remove an item."""
        if raising or key in mapping:
            self._remember(mapping, key)
            del mapping[key]

    def setenv(self, name: str, value: str) -> None:
        """Set an environment variable."""
        self.setitem(os.environ, name, value)

    def delenv(self, name: str, raising: bool = True) -> None:
        """Remove an environment variable."""
        self.delitem(os.environ, name, raising)

    def chdir(self, path: Any) -> None:
        """Go to another folder."""
        before = os.getcwd()
        os.chdir(path)
        self._undo.append(lambda: os.chdir(before))

    def undo(self) -> None:
        """Undo all of it, the last change first."""
        while self._undo:
            self._undo.pop()()

    def _remember(self, mapping: Any, key: Any) -> None:
        before = mapping.get(key, _NOTHING)
        self._undo.append(
            lambda: mapping.pop(key, None) if before is _NOTHING else mapping.update({key: before})
        )


class LogCaptureFixture(logging.Handler):
    """What is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        """What the records say."""
        return [each.getMessage() for each in self.records]

    def clear(self) -> None:
        """Forget what was logged."""
        self.records.clear()

    @contextmanager
    def at_level(self, level: int, logger: str | None = None) -> Iterator[None]:
        """Inside, a logger (the root by default) lets ``level`` through."""
        chosen = logging.getLogger(logger)
        before = chosen.level
        chosen.setLevel(level)
        try:
            yield
        finally:
            chosen.setLevel(before)

    def undo(self) -> None:
        """Listen no more."""
        logging.getLogger().removeHandler(self)


class Captured(NamedTuple):
    """What was written."""

    out: str
    err: str


class CaptureFixture:
    """What is written to standard output and error, also by C code."""

    def __init__(self) -> None:
        self._files: list[IO[bytes]] = []
        self._saved = [os.dup(1), os.dup(2)]
        _flush()
        for number in (1, 2):
            self._files.append(tempfile.TemporaryFile())  # noqa: SIM115  # until undo
            os.dup2(self._files[-1].fileno(), number)

    def readouterr(self) -> Captured:
        """What was written since the last look."""
        _flush()
        texts = []
        for file in self._files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.seek(0)
            file.truncate()
        return Captured(*texts)

    def undo(self) -> None:
        """Write to the terminal again."""
        _flush()
        for number, saved in enumerate(self._saved, start=1):
            os.dup2(saved, number)
            os.close(saved)
            self._files[number - 1].close()


def _flush() -> None:
    for each in (sys.stdout, sys.stderr):
        each.flush()

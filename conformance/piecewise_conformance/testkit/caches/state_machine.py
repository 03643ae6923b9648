"""A cache over time: steps drawn by hypothesis, done to a subject, and judged by a model.

Managers start, compile, load, save and are killed, several at a time; between that, files are torn,
replaced, removed, copied and moved. What is loaded is judged by :mod:`.model`, what is computed
by the piece itself. :mod:`.histories` runs it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ...core.boundary import whose
from ...core.options import Options
from ...core.verdict import Violation
from ...subject.facets import Manager
from ...subject.subject import Subject
from .. import spy
from ..pieces import PieceCase, piece, times
from . import managers, snapshots
from .model import Folder, Opened, Place

RANGES = [(1, 8), (9, 9)]  # few, so that steps meet
INDICES = [0, 10]
GRAPHS = ["x * 2", "x * 3", "sin(x)"]
COMPILERS = [spy.NAME, spy.OTHER_NAME]
NAMES = {spy.NAME: spy.SpyCompiler.name, spy.OTHER_NAME: spy.OtherSpyCompiler.name}
FOREIGN = [None, b"", b"{", b"[1, 2]", b"not a cache\n", b"\xff\x00", b"{((1, 8), 0, 'spy'): None}"]
GONE, FAILS = "its artifact is gone", "it fails"
TROUBLE = ["", "", "", GONE, FAILS]
WHOLE = 100_000  # bytes: more than a file has
MANAGERS, FOLDERS = 3, 4  # at a time

_places: dict[str, Any] = {
    "ends": st.sampled_from([RANGES[0], *RANGES]),
    "index": st.sampled_from([INDICES[0], *INDICES]),
}
_graphs = st.integers(0, 2 * len(GRAPHS) - 1)  # beyond them: the one that is owed there
_which = st.integers(0, MANAGERS - 1)


@cache
def _pool() -> tuple[PieceCase, ...]:
    return times(2), times(3), piece(lambda g, s, x: (g.call_function(torch.sin, (x,)),))


Action = tuple[str, dict[str, Any]]  # a rule, and what was drawn for it


class Failure(NamedTuple):
    """What was done, as data and to be read, and what it ended with."""

    actions: list[Action]
    steps: list[str]
    error: Exception


def _noted(rule: Callable[..., None]) -> Callable[..., None]:
    """``rule`` with what was drawn for it noted, so that it can be done again."""

    @wraps(rule)
    def call(self: CacheMachine, **drawn: Any) -> None:
        self.actions.append((rule.__name__, drawn))
        rule(self, **drawn)

    return call


class CacheMachine(RuleBasedStateMachine):
    """The steps. A subclass says whose cache it is, and where."""

    subject: Subject
    root: Path
    failures: list[Failure]

    def __init__(self) -> None:
        super().__init__()
        self.actions: list[Action] = []
        self.steps: list[str] = []
        self.failed = False
        self.base = Path(tempfile.mkdtemp(dir=self.root))
        self.folders: dict[str, Folder] = {}
        self.managers: list[tuple[str, Manager, Opened]] = []
        self.count = 0

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Take note of a step; if it fails, of all that led there."""
        self.steps.append(text)
        try:
            yield
        except Exception as error:
            self.failed = True
            self.failures.append(Failure(list(self.actions), list(self.steps), error))
            raise

    # -- managers -------------------------------------------------------------------------------

    @initialize()
    def two_models(self) -> None:
        """Two models share a root, each with its folder, named by its prefix; one starts."""
        for name in ("model", "draft"):
            self._make(name, Folder())
        self._start("model", spy.NAME, disable=False)

    def _owed(self) -> int:
        return sum(len(each.owed) for each in self.folders.values())

    def _make(self, name: str, folder: Folder) -> None:
        (self.base / name).mkdir(exist_ok=True)
        self.folders[name] = folder

    @precondition(lambda self: len(self.managers) < MANAGERS)
    @rule(
        which=st.integers(0, 5),
        compiler=st.sampled_from([*COMPILERS[:1] * 4, COMPILERS[1]]),
        disable=st.sampled_from([False, False, True]),
    )
    @_noted
    def start(self, which: int, compiler: str, disable: bool) -> None:
        """A process starts on one of the folders."""
        self._start(self._folder(which), compiler, disable)

    def _start(self, name: str, compiler: str, disable: bool) -> None:
        self.count += 1
        me = f"m{self.count}"
        extra = f", compiler={NAMES[compiler]!r}" if compiler != spy.NAME else ""
        extra += ", disable=True" if disable else ""
        with self.step(f"{me} = start({name!r}{extra})"), spy.spying():
            made = self._open(name, compiler, disable)
        opened = Opened(self.folders[name], NAMES[compiler], disable)
        self.managers.append((me, made, opened))

    def _open(self, name: str, compiler: str, disable: bool = False) -> Manager:
        made = self.subject.manager(Options(compiler=compiler))
        return made.open(self.base / name, disable=disable, prefix=name)

    def _folder(self, which: int) -> str:
        return list(self.folders)[which % len(self.folders)]

    def _manager(self, which: int) -> tuple[str, Manager, Opened]:
        return self.managers[which % len(self.managers)]

    @precondition(lambda self: self.managers)
    @rule(which=_which, graph=_graphs, **_places, trouble=st.sampled_from(TROUBLE))
    @_noted
    def compile(
        self, which: int, graph: int, ends: tuple[int, int], index: int, trouble: str
    ) -> None:
        """A piece is needed. The compiler may have lost what it had made, or fail."""
        me, manager, opened = self._manager(which)
        graph = opened.wanted(opened.place(ends, index), graph, len(GRAPHS))
        text = f"{me}.compile({GRAPHS[graph]!r}, range={ends}, index={index})"
        with self.step(f"{text}  # {trouble}" if trouble else text):
            self._compile(manager, opened, graph, ends, index, trouble)

    @precondition(lambda self: self.managers)
    @rule(which=_which, graph=_graphs, **_places)
    @_noted
    def serve(self, which: int, graph: int, ends: tuple[int, int], index: int) -> None:
        """What a backend does on first need of a piece: compile it, and save."""
        self.compile(which=which, graph=graph, ends=ends, index=index, trouble="")
        self.actions.pop()
        self.save(which=which)
        self.actions.pop()

    def _compile(
        self,
        manager: Manager,
        opened: Opened,
        graph: int,
        ends: tuple[int, int],
        index: int,
        trouble: str,
    ) -> None:
        place, case = opened.place(ends, index), _pool()[graph]
        opened.asked(place, graph)
        with spy.spying() as log:
            log.fail_load, log.fail = trouble == GONE, trouble == FAILS
            try:
                case.check(manager.compile(case.gm, case.traced, ends, index, 11))
            except Exception as error:
                if trouble != FAILS or whose(error) is None or not log.compiles:
                    raise
        self._judge(log, opened, place, graph, missed=bool(log.compiles) and trouble != GONE)
        if log.compiles and trouble == FAILS:
            opened.owed.pop(place, None)  # what lay there may have gone for it
        elif log.compiles:
            opened.compiled(place, graph, map(repr, log.made))

    @precondition(lambda self: self.managers)
    @rule(which=_which, graph=_graphs, **_places)
    @_noted
    def load(self, which: int, graph: int, ends: tuple[int, int], index: int) -> None:
        """A piece is asked for, if it is there."""
        me, manager, opened = self._manager(which)
        graph = opened.wanted(opened.place(ends, index), graph, len(GRAPHS))
        text = f"{me}.load({GRAPHS[graph]!r}, range={ends}, index={index})"
        with self.step(text):
            self._load(manager, opened, graph, ends, index)

    def _load_owed(self, manager: Manager, opened: Opened) -> None:
        for (ends, index, compiler), graph in sorted(opened.owed.items()):
            if compiler == opened.compiler:
                self._load(manager, opened, graph, ends, index)

    def _load(
        self, manager: Manager, opened: Opened, graph: int, ends: tuple[int, int], index: int
    ) -> None:
        place, case = opened.place(ends, index), _pool()[graph]
        opened.asked(place, graph)
        with spy.spying() as log:
            runnable = manager.load(case.gm, case.traced, ends, index)
            if runnable is not None:
                case.check(runnable)
        self._judge(log, opened, place, graph, missed=runnable is None)

    def _judge(
        self, log: spy.Log, opened: Opened, place: Place, graph: int, *, missed: bool
    ) -> None:
        """What was loaded: all that is owed, and nothing but what the folder holds."""
        what = f"{GRAPHS[graph]!r} for range {place[0]}, index {place[1]}, compiler {place[2]!r}"
        for each in log.loads:
            if not opened.may_serve(place, graph, repr(each.key)) or each.range != place[0]:
                raise Violation(
                    f"the artifact loaded for {what}",
                    expected="nothing: the cache is disabled"
                    if opened.disabled
                    else "an artifact that was stored in this folder for that piece, or a compile",
                    got=f"{each.key!r}, for range {each.range}",
                )
        if missed and opened.must_load(place, graph):
            raise Violation(
                f"{what} was saved in this folder before this start and has not been replaced "
                "since",
                expected="it is loaded",
                got="it is compiled again" if log.compiles else "it is not found",
            )

    @precondition(lambda self: self.managers)
    @rule(which=_which)
    @_noted
    def save(self, which: int) -> None:
        """A manager saves; a disabled one leaves every file as it was."""
        me, manager, opened = self._manager(which)
        with self.step(f"{me}.save()"):
            before = managers.contents(self.base) if opened.disabled else {}
            manager.save()
            if opened.disabled and managers.contents(self.base) != before:
                raise Violation("a manager with a disabled cache wrote to the folder")
            opened.saved()

    @precondition(lambda self: len(self.managers) > 1)
    @rule(which=_which, cut=st.sampled_from([None, WHOLE, WHOLE, 150, 0]))
    @_noted
    def kill(self, which: int, cut: int | None) -> None:
        """A process ends; if it was writing beside the file, a part of that is left."""
        me, _, opened = self.managers.pop(which % len(self.managers))
        name = next(name for name, each in self.folders.items() if each is opened.folder)
        left = "" if cut is None else f"  # leaves {cut} bytes of a copy next to each file"
        with self.step(f"{me}.kill(){left}"):
            opened.ended()
            if cut is not None:
                for path in self._files(name):
                    part = path.read_bytes()[:cut]
                    (path.parent / f".{path.name}.tmp{self.count}").write_bytes(part)

    # -- folders --------------------------------------------------------------------------------

    def _files(self, name: str) -> list[Path]:
        """Files of the cache in the folder ``name``, whatever its format."""
        folder = self.base / name
        return [folder / each for each in snapshots.some(snapshots.take(folder))]

    @precondition(lambda self: self._owed())
    @rule(
        which=st.integers(0, 5),
        number=st.integers(0, snapshots.MOST_FILES - 1),
        content=st.one_of(st.sampled_from(FOREIGN), st.integers(0, 400)),
    )
    @_noted
    def damage(self, which: int, number: int, content: bytes | int | None) -> None:
        """A file of the cache is removed, cut at some byte, or another content lies there."""
        name = self._folder(which)
        files = self._files(name)
        path = files[number % len(files)] if files else None
        if isinstance(content, int):  # as a writer in place cuts it that is killed
            content = path.read_bytes()[:content] if path else None
        where = str(path.relative_to(self.base)) if path else name
        with self.step(f"put({content!r}, into={where!r})"):
            self.folders[name].damaged()
            if path:
                path.unlink(missing_ok=True)
                if content is not None:
                    path.write_bytes(content)

    @precondition(lambda self: len(self.folders) < FOLDERS and self._owed())
    @rule(which=st.integers(0, 5), move=st.booleans())
    @_noted
    def carry(self, which: int, move: bool) -> None:
        """A folder is copied, or moved when nobody uses it and another is begun in its place."""
        name = self._folder(which)
        self.count += 1
        new = f"{name}{self.count}"
        with self.step(f"{'move' if move else 'copy'}({name!r}, to={new!r})"):
            folder = self.folders[name]
            if not move:
                shutil.copytree(self.base / name, self.base / new)
                self._make(new, folder.copied())
                return
            self.managers = [each for each in self.managers if each[2].folder is not folder]
            shutil.move(self.base / name, self.base / new)
            self._make(new, folder.copied())
            self._make(name, Folder())

    # -- the end --------------------------------------------------------------------------------

    def teardown(self) -> None:
        """At the end who still runs, and a start on each folder, find all that they must."""
        try:
            if not self.failed:
                self._look_at_everything()
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def _look_at_everything(self) -> None:
        for me, manager, opened in self.managers:
            with self.step(f"{me} loads all that was saved before"):
                self._load_owed(manager, opened)
        for name, folder in self.folders.items():
            for compiler in COMPILERS if folder.owed else ():
                opened = Opened(folder, NAMES[compiler])
                text = f"start({name!r}, compiler={NAMES[compiler]!r}) loads all that was saved"
                with self.step(text), spy.spying():
                    manager = self._open(name, compiler)
                    self._load_owed(manager, opened)
                opened.ended()

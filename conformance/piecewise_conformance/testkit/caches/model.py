"""What caches owe over time, as plain Python without a cache.

A folder *owes* a piece once a save of it has returned, until something else was saved in its place
or the file was damaged: a start on the folder must load it. A folder *holds* every handle that was
ever stored in it for a graph, a range and a compiler: only those may be served, also for an equal
piece at another index. In between lies freedom: a manager may see
what others saved after it started or not, and of two that save different pieces in one place while
neither knew of the other, either may win. A manager that was asked for another piece than the one
it knows in a place may take what it knows for stale, and drop it there and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Place = tuple[tuple[int, int], int, str]  # range, index, compiler
Made = tuple[tuple[int, int], str, int, str]  # range, compiler, graph, the handle's text


@dataclass
class Folder:
    """One cache folder; ``owed`` has the graph that was saved last in a place."""

    owed: dict[Place, int] = field(default_factory=dict)
    held: set[Made] = field(default_factory=set)
    users: list[Opened] = field(default_factory=list)

    def damaged(self) -> None:
        """The cache file was cut, replaced or removed: nothing in it is owed any more."""
        self.owed.clear()
        for each in self.users:
            each.owed.clear()

    def copied(self) -> Folder:
        """The same content elsewhere, in nobody's use."""
        return Folder(dict(self.owed), set(self.held))


@dataclass(eq=False)
class Opened:
    """One manager on a folder: what it must find, and what it compiled and did not save."""

    folder: Folder
    compiler: str
    disabled: bool = False
    owed: dict[Place, int] = field(default_factory=dict)
    unsaved: dict[Place, int] = field(default_factory=dict)
    # where others saved since it started: what it saves there is contested
    overtaken: set[Place] = field(default_factory=set)
    # since its last save: what else lies in those places, it may have taken for stale
    asked_for: set[tuple[Place, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.disabled:
            self.owed = dict(self.folder.owed)
            self.folder.users.append(self)

    def place(self, ends: tuple[int, int], index: int) -> Place:
        """The place of a piece, as this manager's compiler has it."""
        return (ends, index, self.compiler)

    def wanted(self, place: Place, graph: int, graphs: int) -> int:
        """Which of so many graphs ``graph`` means: one beyond them is the one that is owed."""
        return graph if graph < graphs else self.owed.get(place, graph - graphs)

    def must_load(self, place: Place, graph: int) -> bool:
        """Whether ``graph`` was saved there and must be found."""
        return not self.disabled and self.owed.get(place) == graph

    def may_serve(self, place: Place, graph: int, handle: str) -> bool:
        """Whether the folder ever got ``handle`` for ``graph``, with that range and compiler."""
        ends, _, compiler = place
        return not self.disabled and (ends, compiler, graph, handle) in self.folder.held

    def asked(self, place: Place, graph: int) -> None:
        """``graph`` was asked for here: what else lies in that place, this manager may drop."""
        if self.disabled:
            return
        for known in (self.owed, self.unsaved):
            if known.get(place, graph) != graph:
                del known[place]
        self.asked_for.add((place, graph))

    def compiled(self, place: Place, graph: int, handles: Iterable[str]) -> None:
        """``graph`` was compiled here, into these handles."""
        if self.disabled:
            return
        ends, _, compiler = place
        self.folder.held |= {(ends, compiler, graph, handle) for handle in handles}
        self.unsaved[place] = graph

    def saved(self) -> None:
        """A save has returned: what was new is owed by the folder."""
        others = [each for each in self.folder.users if each is not self]
        for place, graph in self.asked_for:
            if self.folder.owed.get(place, graph) != graph:
                del self.folder.owed[place]
        for place, graph in self.unsaved.items():
            known = self.folder.owed.get(place)
            if place in self.overtaken and known != graph:
                self.folder.owed.pop(place, None)
            else:
                self.folder.owed[place] = graph
            for each in others:
                each.overtaken.add(place)
                if each.owed.get(place) != self.folder.owed.get(place):
                    each.owed.pop(place, None)
        self.unsaved.clear()
        self.asked_for.clear()

    def ended(self) -> None:
        """The process is gone, and what it did not save."""
        if self in self.folder.users:
            self.folder.users.remove(self)

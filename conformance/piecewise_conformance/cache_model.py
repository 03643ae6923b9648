"""What caches owe over time, as plain Python without a cache.

A folder *owes* a piece once a save of it has returned, until something else was saved in its place
or the file was damaged: a start on the folder must load it. A folder *holds* every handle that was
ever stored in it for a piece: only those may be served. In between lies freedom: a manager may see
what others saved after it started or not, and of two that save different pieces in one place while
neither knew of the other, either may win.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Place = tuple[tuple[int, int], int, str]  # range, index, compiler


@dataclass
class Folder:
    """One cache folder; ``owed`` has the graph that was saved last in a place."""

    owed: dict[Place, int] = field(default_factory=dict)
    held: set[tuple[Place, int, str]] = field(default_factory=set)  # with the handle's text
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
        """Whether the folder ever got ``handle`` for ``graph`` in that place."""
        return not self.disabled and (place, graph, handle) in self.folder.held

    def compiled(self, place: Place, graph: int, handles: Iterable[str]) -> None:
        """``graph`` was compiled here, into these handles."""
        if self.disabled:
            return
        self.folder.held |= {(place, graph, handle) for handle in handles}
        self.unsaved[place] = graph
        if self.owed.get(place) != graph:
            self.owed.pop(place, None)

    def saved(self) -> None:
        """A save has returned: what was new is owed by the folder."""
        others = [each for each in self.folder.users if each is not self]
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

    def ended(self) -> None:
        """The process is gone, and what it did not save."""
        if self in self.folder.users:
            self.folder.users.remove(self)

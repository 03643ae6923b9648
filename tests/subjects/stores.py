"""Correct managers whose caches are not Python literals, in four formats.

``sqlite`` has a database, ``binary`` one packed file, ``json_file`` one file of JSON, and
``entries`` a file for each entry. A seal binds each entry to its key, its handle and the
reference's description of its graph: only the store is of another design. Of files that cannot be
read the newest is kept. ``trusting`` has a fault: its seal leaves out the handle.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import sqlite3
import struct
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))  # it is given to the harness by its path
import sealed
from piecewise_reference.cache.graph_key import graph_key

logger = logging.getLogger(__name__)

Entries = dict[bytes, bytes]  # by key: all that is known of an entry, as bytes


class Ends(NamedTuple):
    """A range that nobody checks here: ``make_config`` looks at sizes and endpoints."""

    start: int
    end: int

    def is_single_size(self) -> bool:
        """Whether it holds one size."""
        return self.start == self.end

    def __contains__(self, size: object) -> bool:
        return isinstance(size, int) and self.start <= size <= self.end


class Unreadable(Exception):
    """A file is not what was written."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time."""
    with (folder / "guard").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def replace(path: Path, content: bytes) -> None:
    """Write as a whole, or not at all."""
    new = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        new.write_bytes(content)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def set_aside(path: Path) -> None:
    """Keep what cannot be read, instead of what was kept before."""
    logger.warning("%s cannot be read and is kept beside the cache", path)
    os.replace(path, path.with_name(f"{path.name}.unreadable"))


# -- the formats ----------------------------------------------------------------------------------


class Packed:
    """One file: a mark, and for each entry two lengths, the key, the entry and a checksum."""

    name, mark = "cache.bin", b"\x93PACKED\x00"

    def pack(self, entries: Entries) -> bytes:
        """The file."""
        parts = [self.mark]
        for key, value in sorted(entries.items()):
            record = struct.pack("<II", len(key), len(value)) + key + value
            parts += [record, hashlib.sha256(record).digest()]
        return b"".join(parts)

    def unpack(self, content: bytes) -> Entries:
        """The entries; Unreadable if there is anything else."""
        if not content.startswith(self.mark):
            raise Unreadable
        at, found = len(self.mark), {}
        while at < len(content):
            try:
                one, other = struct.unpack_from("<II", content, at)
            except struct.error:
                raise Unreadable from None
            end = at + 8 + one + other
            record = content[at:end]
            if hashlib.sha256(record).digest() != content[end : end + 32]:
                raise Unreadable
            found[record[8 : 8 + one]] = record[8 + one :]
            at = end + 32
        return found

    def read(self, folder: Path) -> Entries:
        """What is there; what cannot be read is none."""
        try:
            return self.unpack((folder / self.name).read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, Unreadable):
            logger.warning("%s cannot be read", folder / self.name)
            return {}

    def add(self, folder: Path, new: Entries) -> None:
        """Join what is new with what is there."""
        path = folder / self.name
        with locked(folder):
            there: Entries = {}
            if path.exists():
                try:
                    there = self.unpack(path.read_bytes())
                except Unreadable:
                    set_aside(path)
            replace(path, self.pack({**there, **new}))


class Json(Packed):
    """One file of JSON, in base 64."""

    name = "cache.json"

    def pack(self, entries: Entries) -> bytes:
        """The file."""
        texts = {
            base64.b64encode(key).decode(): base64.b64encode(value).decode()
            for key, value in sorted(entries.items())
        }
        return json.dumps(texts, indent=1).encode()

    def unpack(self, content: bytes) -> Entries:
        """The entries; Unreadable if it is anything else."""
        try:
            return {
                base64.b64decode(key, validate=True): base64.b64decode(value, validate=True)
                for key, value in json.loads(content).items()
            }
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise Unreadable from None


class EachInAFile(Packed):
    """A file for each entry, named by its key, in two levels of folders."""

    def place(self, folder: Path, key: bytes) -> Path:
        """Where the entry is."""
        name = hashlib.sha256(key).hexdigest()
        return folder / "entries" / name[:2] / f"{name[2:]}.entry"

    def read(self, folder: Path) -> Entries:
        """What is there."""
        found: Entries = {}
        for path in sorted(folder.glob("entries/*/*.entry")):
            try:
                inside = self.unpack(path.read_bytes())
                (key,) = inside
            except (OSError, Unreadable, ValueError):
                logger.warning("%s cannot be read", path)
                continue
            if self.place(folder, key) == path:
                found.update(inside)
        return found

    def add(self, folder: Path, new: Entries) -> None:
        """A file for each."""
        for key, value in new.items():
            path = self.place(folder, key)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                try:
                    self.unpack(path.read_bytes())
                except Unreadable:
                    set_aside(path)
            replace(path, self.pack({key: value}))


class Sqlite:
    """A database."""

    name = "cache.db"

    @contextlib.contextmanager
    def _open(self, folder: Path) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(folder / self.name, timeout=60)
        with contextlib.closing(connection) as database, database:
            yield database

    def read(self, folder: Path) -> Entries:
        """What is there; what cannot be read is none."""
        if not (folder / self.name).exists():
            return {}
        try:
            with self._open(folder) as database:
                return dict(database.execute("SELECT key, value FROM entries"))
        except (sqlite3.Error, ValueError) as error:  # some of its texts are not decoded
            logger.warning("%s cannot be read: %s", folder / self.name, error)
            return {}

    def add(self, folder: Path, new: Entries) -> None:
        """Into the database, or into a new one if there is another file in its place."""
        for last in (False, True):
            try:
                with self._open(folder) as database:
                    database.execute(
                        "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB)"
                    )
                    database.executemany(
                        "INSERT OR REPLACE INTO entries VALUES (?, ?)", list(new.items())
                    )
                return
            except sqlite3.OperationalError as error:
                raise OSError(str(error)) from error  # no room, no folder
            except (sqlite3.Error, ValueError) as error:
                if last or not (folder / self.name).exists():
                    raise OSError(str(error)) from error
                set_aside(folder / self.name)


# -- the manager ----------------------------------------------------------------------------------


def as_bytes(key: Any, value: Any) -> tuple[bytes, bytes]:
    """A key and an entry."""
    (ends, index, name), about = key, [repr(value["handle"]), value["seal"]]
    return json.dumps([ends.start, ends.end, index, name]).encode(), json.dumps(about).encode()


def from_bytes(key: Any, value: Any) -> tuple[Any, Any]:
    """A key and an entry; ValueError if they are none."""
    try:
        start, end, index, name = json.loads(key)
        text, seal = json.loads(value)
        return (Ends(start, end), index, name), {"handle": ast.literal_eval(text), "seal": seal}
    except (TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error


class Manager(sealed.CompilerManager):
    """The manager of ``sealed`` over another store."""

    store: Any

    def initialize_cache(self, cache_dir: str, disable: bool = False, prefix: str = "") -> None:
        """Read what is there."""
        self.folder = Path(cache_dir)
        super().initialize_cache(cache_dir, disable, prefix)

    def _adopt(self) -> None:
        if self.path is None:
            return
        for stored in self.store.read(self.folder).items():
            try:
                key, value = from_bytes(*stored)
                self.cache[key] = value
            except (ValueError, TypeError):
                logger.warning("an entry in %s cannot be read", self.folder)

    def _seal(self, graph: Any, inputs: Any, key: Any, handle: Any) -> str:
        about = f"{graph_key(graph, inputs)} {key[0].start} {key[0].end} {key[1:]} {handle!r}"
        return hashlib.sha256(about.encode(errors="surrogatepass")).hexdigest()

    def load(self, graph: Any, inputs: Any, index: int, ends: Any) -> Any:
        """What was compiled, or None."""
        key = (ends, index, self.compiler.name)
        entry = self.cache.get(key) if self.path is not None else None
        if entry is None or not self._fits(graph, inputs, key, entry):
            return None
        try:
            return self.compiler.load(entry["handle"], graph, list(inputs), index, ends)
        except Exception as error:
            logger.warning("the artifact %s cannot be loaded: %s", entry["handle"], error)
            return None

    def _fits(self, graph: Any, inputs: Any, key: Any, entry: Any) -> bool:
        return bool(entry["seal"] == self._seal(graph, inputs, key, entry["handle"]))

    def compile(
        self, graph: Any, inputs: Any, settings: Any, _: Any, ends: Any, index: int, count: int
    ) -> Any:
        """From the cache, or by the compiler."""
        code = super().compile(graph, inputs, settings, _, ends, index, count)
        if code is None:
            raise RuntimeError(f"the compiler returned nothing for piece {index}")
        return code

    def save_to_file(self) -> None:
        """Join what is new with what is there by now."""
        if self.path is None or not self.fresh:
            return
        try:
            self.store.add(self.folder, dict(as_bytes(*each) for each in self.fresh.items()))
        except OSError as error:
            logger.warning("%s cannot be written: %s", self.folder, error)
            return
        self.fresh = {}


class Trusting(Manager):
    """The seal is that of the graph, and not of the handle: a handle may be another's."""

    def _seal(self, graph: Any, inputs: Any, key: Any, handle: Any) -> str:
        return super()._seal(graph, inputs, key, "")


def subject(store: Any, base: type[Manager] = Manager) -> SimpleNamespace:
    """A subject whose cache is ``store``."""

    class CompilerManager(base):  # type: ignore[valid-type,misc]  # a class that is chosen
        """The manager."""

    CompilerManager.store = store
    return SimpleNamespace(
        Range=Ends,
        make_config=sealed.make_config,
        CompilerManager=CompilerManager,
        ABILITIES=("eager", "custom-compiler", "compile-ranges", "cache"),
    )


sqlite = subject(Sqlite())
binary = subject(Packed())
json_file = subject(Json())
entries = subject(EachInAFile())
trusting = subject(Sqlite(), Trusting)

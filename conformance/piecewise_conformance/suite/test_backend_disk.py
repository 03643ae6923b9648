"""BACKEND: a disk that does not do what it should costs the cache, not the run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.isolation.child import call_in_child
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit import serialized, spy
from piecewise_conformance.testkit.caches import snapshots, warm_start
from piecewise_conformance.testkit.drive import drive
from piecewise_fixtures.programs import program


@requirement("BACKEND-007")
@pytest.mark.parametrize("kind", ["file", "below-a-file", "read-only"])
def test_unusable_root(subject: Subject, tmp_path: Path, kind: str) -> None:
    """A root that is a file, lies below one, or refuses writes: the model runs all the same."""
    if kind == "read-only":
        root = Path("/proc/piecewise-conformance")  # refuses writes to root, too
    else:
        (tmp_path / "file").write_text("mine")
        root = tmp_path / "file" / ("below" if kind == "below-a-file" else "")
    warm_start.start(subject, root)
    if kind != "read-only" and (tmp_path / "file").read_bytes() != b"mine":
        raise Violation("the user's file was changed")


@requirement("BACKEND-007")
def test_cache_file_cannot_be_written(subject: Subject, tmp_path: Path) -> None:
    """Where a folder has the name of a file of the cache that file cannot be saved: the model runs,
    whichever file it is.
    """
    root = tmp_path / "root"
    warm_start.start(subject, root)
    if not (files := snapshots.take(root)):
        raise Violation("a start with a cache root wrote no file", expected="a cache", got="none")
    for name in snapshots.some(files):
        snapshots.put_back(root, {each: files[each] for each in files if each != name})
        (root / name).mkdir(parents=True)
        (root / name / "mine").write_text("mine")
        warm_start.start(subject, root)  # from what it keeps elsewhere, or compiling
        # it may have been set aside
        if not any(_is_mine(path) for path in tmp_path.rglob("mine")):
            raise Violation(f"the user's folder {name} was changed")


def _is_mine(path: Path) -> bool:
    return path.is_file() and path.read_bytes() == b"mine"


@requirement("BACKEND-007")
def test_root_goes_away(subject: Subject, tmp_path: Path) -> None:
    """A root that is deleted, and has become a file, between two compiles costs no call."""
    chosen, root = program("linear-chain"), tmp_path / "root"
    with spy.spying():
        driven = drive(
            subject,
            chosen,
            compiler=spy.NAME,
            cache_root=str(root),
            compile_ranges_endpoints=(5,),
        )
        driven.check(6)
        shutil.rmtree(root, ignore_errors=True)
        root.write_text("mine")
        for size in (4, 6, 3):
            driven.check(size)
    if not _is_mine(root):
        raise Violation("the user's file was changed")


@requirement("BACKEND-017")
@slow
def test_full_disk(subject: Subject, tmp_path: Path) -> None:
    """Where no byte can be written the model runs, and what was saved before is as it was, and is
    loaded.
    """
    function = "piecewise_conformance.testkit.caches.warm_start:start_on_full_disk"
    call_in_child(subject, function, str(tmp_path / "new"), "linear-chain")
    warm_start.start(subject, tmp_path / "old")
    before = snapshots.take(tmp_path / "old")
    call_in_child(subject, function, str(tmp_path / "old"), "two-layers")
    if compiled := call_in_child(subject, function, str(tmp_path / "old"), "linear-chain"):
        raise Violation(
            "pieces compiled by a warm start on a full disk", expected="0", got=str(compiled)
        )
    after = snapshots.take(tmp_path / "old")
    if lost := sorted(name for name, text in before.items() if after.get(name) != text):
        raise Violation("files changed by a start on a full disk", expected="none", got=str(lost))


@requirement("BACKEND-014")
def test_settings_switch_the_cache_off(subject: Subject, tmp_path: Path) -> None:
    """By the settings of the compiler: one start after the other is cold."""
    off = {"force_disable_caches": True}
    for _ in range(2):
        log = warm_start.start(subject, tmp_path, sizes=(6,), compiler_config=off)
        warm_start.expect_cold(log, "a start whose compiler's settings switch caches off")


@requirement("BACKEND-014")
def test_torch_switches_the_cache_off(subject: Subject, tmp_path: Path) -> None:
    """By torch: what is there is not loaded, and what is compiled is not there later."""
    config: Any = torch.compiler.config
    warm_start.start(subject, tmp_path / "full", sizes=(6,))
    with config.patch(force_disable_caches=True):
        for folder in ("full", "empty"):
            log = warm_start.start(subject, tmp_path / folder, sizes=(6,))
            warm_start.expect_cold(
                log, f"a start with caches switched off by torch, with the cache {folder}"
            )
    log = warm_start.start(subject, tmp_path / "empty", sizes=(6,))
    warm_start.expect_cold(log, "a start after one where torch switched caches off")


OFF: dict[str, dict[str, Any]] = {
    "no-root": {"cache_root": None},
    "settings": {"compiler_config": {"force_disable_caches": True}},
    "torch": {},
}


@requirement("BACKEND-016")
@pytest.mark.parametrize("way", OFF)
@pytest.mark.parametrize("root", ["empty", "filled"])
def test_nothing_is_written_without_a_cache(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, root: str
) -> None:
    """With the cache switched off a start leaves the cache root, the home folder and the working
    folder as they are, whether they are empty or hold a cache; also if the function is serialized.
    """
    folders = [tmp_path / name for name in ("root", "home", "work")]
    for folder in folders:
        folder.mkdir()
    if root == "filled":
        warm_start.start(subject, folders[0], sizes=(6,))
    monkeypatch.setenv("HOME", str(folders[1]))
    monkeypatch.chdir(folders[2])
    before = [_tree(folder) for folder in folders]
    asked = serialized.options(
        subject,
        "linear-chain",
        compiler=spy.NAME,
        **{"cache_root": str(folders[0]), **OFF[way]},
    )
    subject.check_offers(asked)
    config: Any = torch.compiler.config
    with spy.spying(), config.patch(force_disable_caches=way == "torch"):
        _, function = serialized.compiled_with(subject, "linear-chain", asked)
        if subject.offers("serialize"):
            serialized.to_bytes(subject, function, asked)
    after = [_tree(folder) for folder in folders]
    for folder, had, has in zip(folders, before, after, strict=True):
        if had != has:
            raise Violation(
                f"files and folders below the {folder.name} folder, with the cache switched off",
                expected=str(sorted(had)) if had else "none",
                got=str(sorted(has)),
            )


@requirement("BACKEND-018")
@pytest.mark.parametrize("root", [None, "root"], ids=["no-root", "root"])
def test_working_folder(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str | None
) -> None:
    """A first and a second start leave nothing there. Every other test is watched for it, too."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    changes = {"cache_root": str(tmp_path / root)} if root else {}
    for _ in range(2):
        subject.restart()
        drive(subject, program("linear-chain"), **changes).check(6)
    if left := sorted(_tree(folder)):
        raise Violation("files and folders in the working folder", expected="none", got=str(left))


def _tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }

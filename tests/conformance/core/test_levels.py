"""Conformance levels: frozen lists of requirements."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from piecewise_conformance.core import levels
from piecewise_conformance.core.levels import (
    Level,
    LevelError,
    freeze,
    level_named,
    load_levels,
    sentences_of,
    usable,
)
from piecewise_conformance.core.requirements import load

SPEC = load()
NEWEST = list(load_levels())[-1]


def test_the_newest_level_has_the_current_sentences() -> None:
    """A sentence never changes within a level: a level for the new sentence is frozen first.

    python -m piecewise_conformance.core.levels YEAR.MONTH
    """
    assert level_named(NEWEST).changed(SPEC) == []
    assert usable(NEWEST, SPEC).select(SPEC).keys() == level_named(NEWEST).sentences.keys()


def test_a_level_is_written_once(tmp_path: Path) -> None:
    """The file holds each requirement that is not retired; writing it again needs --replace."""
    some = {id: SPEC[id] for id in ("SPLIT-001", "SPLIT-002", "RANGE-001")}
    some["SPLIT-002"] = dataclasses.replace(some["SPLIT-002"], retired="0.4 for a test")
    path = freeze("2027.01", some, tmp_path)
    assert list(level_named("2027.01", tmp_path).sentences) == ["RANGE-001", "SPLIT-001"]
    with pytest.raises(LevelError, match="a level never changes"):
        freeze("2027.01", SPEC, tmp_path)
    assert freeze("2027.01", SPEC, tmp_path, replace=True) == path
    assert len(level_named("2027.01", tmp_path).sentences) == len(sentences_of(SPEC))


@pytest.mark.parametrize("name", ["2027.13", "27.01", "next", "2027.1"])
def test_a_level_is_named_by_a_month(name: str, tmp_path: Path) -> None:
    """Any other name is an error."""
    with pytest.raises(LevelError, match="expected a year and a month"):
        freeze(name, SPEC, tmp_path)


def test_an_edited_level_is_refused(tmp_path: Path) -> None:
    """The digest of the list no longer matches."""
    path = freeze("2027.01", SPEC, tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(LevelError, match="never edited"):
        load_levels(tmp_path)
    load_levels.cache_clear()


def test_a_changed_sentence_makes_a_level_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    """So do another level, a retirement and a requirement that is gone; a new one does not."""
    level = Level("2027.01", sentences_of(SPEC))
    monkeypatch.setattr(levels, "level_named", lambda name: level)
    new = dataclasses.replace(SPEC["SPLIT-001"], id="SPLIT-999")
    assert usable("2027.01", {**SPEC, new.id: new}) is level
    for change in ({"sentence": "It MUST not."}, {"level": "SHOULD"}, {"retired": "0.4 gone"}):
        spec = {**SPEC, "SPLIT-001": dataclasses.replace(SPEC["SPLIT-001"], **change)}  # type: ignore[arg-type]
        with pytest.raises(LevelError, match=r"cannot be judged .* SPLIT-001; choose"):
            usable("2027.01", spec)
    assert level.changed({}) == list(level.sentences)


def test_an_unknown_level_is_an_error() -> None:
    """The message lists the levels that exist."""
    with pytest.raises(LevelError, match=f"unknown level '1999.01'; levels are .*{NEWEST}"):
        level_named("1999.01")


def test_the_command_freezes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints the file; an error is a message and exit status 2."""
    monkeypatch.setattr(levels, "LEVELS_FOLDER", tmp_path)
    monkeypatch.setattr(levels, "level_named", lambda name: level_named(name, tmp_path))
    assert levels.main(["2027.02"]) == 0
    assert "2027.02.toml: " in capsys.readouterr().out
    assert levels.main(["2027.02"]) == 2
    assert "error: " in capsys.readouterr().err

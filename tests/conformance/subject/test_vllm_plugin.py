"""The vLLM adapter's platform plug-in, without vLLM."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.util import find_spec

import pytest
from piecewise_conformance.subject.adapters import vllm_plugin


def entry_points() -> list[importlib.metadata.EntryPoint]:
    """The harness's entries among vLLM's platform plug-ins."""
    found = importlib.metadata.entry_points(group="vllm.platform_plugins")
    return [each for each in found if each.name == vllm_plugin.NAME]


@pytest.fixture
def activated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plug-in is active, and is not after the test."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    vllm_plugin.activate()


def test_an_installation_has_no_platform_of_vllm() -> None:
    """The project's installed metadata does not add a platform to the user's vLLM."""
    groups = importlib.metadata.distribution("piecewise-conformance").entry_points.groups
    assert "piecewise_conformance.backends" in groups
    assert "vllm.platform_plugins" not in groups
    assert entry_points() == []


@pytest.mark.usefixtures("activated")
def test_an_activated_plug_in_is_an_entry_point() -> None:
    """``importlib.metadata`` reports the platform's entry point, whose module exists."""
    (entry,) = entry_points()
    assert entry.value.endswith(".vllm_platform:register")
    assert find_spec(entry.module) is not None
    assert entry.dist is not None
    assert importlib.metadata.version(entry.dist.name) == entry.dist.version


@pytest.mark.usefixtures("activated")
def test_activating_twice_adds_one_entry_point() -> None:
    """A second adapter in the process, or a second load of one, changes nothing."""
    vllm_plugin.activate()
    assert len(entry_points()) == 1


@pytest.mark.usefixtures("activated")
def test_other_distributions_are_found_as_before() -> None:
    """The project's own entry points and those of other packages are still reported."""
    names = {
        each.name
        for each in importlib.metadata.entry_points(group="piecewise_conformance.backends")
    }
    assert {"reference", "vllm"} <= names
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("not-installed-anywhere")
    assert sum(each.name == "pytest" for each in importlib.metadata.distributions()) == 1

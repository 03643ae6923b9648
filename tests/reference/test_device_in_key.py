"""The reference's key tells kinds of device apart, without having them."""

from __future__ import annotations

import types

import pytest
import torch
from piecewise_reference import CompilationConfig, VllmConfig
from piecewise_reference.cache.manager import CompilerManager


def compiler_hash() -> str:
    """The hash of the eager compiler as things stand."""
    config = VllmConfig(CompilationConfig(backend="eager", splitting_ops=[]))
    return CompilerManager(config.compilation_config).compute_hash(config)


def pretend(
    monkeypatch: pytest.MonkeyPatch, kind: str, name: str, capability: tuple[int, int]
) -> None:
    """Have torch tell of an accelerator."""
    module = types.SimpleNamespace(
        get_device_name=lambda: name, get_device_capability=lambda: capability
    )
    device = types.SimpleNamespace(type=kind)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: device)
    monkeypatch.setattr(torch, "get_device_module", lambda accelerator: module)


def test_kinds_of_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another accelerator, another model of it and another capability each have their own hash."""
    hashes = [compiler_hash()]
    for kind, name, capability in [
        ("cuda", "A", (8, 0)),
        ("cuda", "B", (8, 0)),
        ("cuda", "A", (9, 0)),
        ("xpu", "A", (8, 0)),
    ]:
        pretend(monkeypatch, kind, name, capability)
        hashes.append(compiler_hash())
        assert compiler_hash() == hashes[-1]
    assert len(set(hashes)) == len(hashes)


def test_kinds_of_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with other vector instructions has its own hash."""
    plain = compiler_hash()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    assert compiler_hash() != plain

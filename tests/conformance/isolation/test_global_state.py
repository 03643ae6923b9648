"""Global state that a test leaves changed is found, and torch's settings are put back."""

from __future__ import annotations

from typing import Any

import pytest
import torch._inductor.config as inductor_config
from piecewise_conformance.isolation import global_state


def test_a_setting_that_stays_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with both values, and is as it was once the settings are put back."""
    config: Any = inductor_config
    before = global_state.watched()
    monkeypatch.setenv("PIECEWISE_LEFT_BEHIND", "1")
    config.max_autotune = not config.max_autotune
    found = {name: (had, has) for name, had, has in global_state.changes(before, before)}
    assert not found
    found = {
        name: (had, has) for name, had, has in global_state.changes(before, global_state.watched())
    }
    assert set(found) == {"the environment", "torch._inductor.config"}
    assert "max_autotune" in found["torch._inductor.config"][0]
    assert found["the environment"] == ("{}", "{'PIECEWISE_LEFT_BEHIND': '1'}")
    global_state.put_back_settings(before)
    left = [name for name, _, _ in global_state.changes(before, global_state.watched())]
    assert left == ["the environment"]

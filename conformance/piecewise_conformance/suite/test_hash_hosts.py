"""HASH: caches that are filled on one host and read on another."""

from __future__ import annotations

from pathlib import Path

import pytest
from piecewise_conformance.core.marks import requirement
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.caches.warm_start import expect_cold, expect_warm, start

_OF_THE_HOST = {
    "HOSTNAME": "other-host",
    "HOST": "other-host",
    "USER": "somebody",
    "LOGNAME": "somebody",
    "PWD": "/other",
    "OLDPWD": "/other",
    "TERM": "dumb",
    "LANG": "C",
    "SHELL": "/bin/other",
    "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22",
    "SLURM_JOB_ID": "4711",
    "SLURM_NODEID": "3",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29511",
    "XDG_SESSION_ID": "12",
    "VIRTUAL_ENV": "/other/venv",
    "CONDA_PREFIX": "/other/conda",
    "PIECEWISE_UNRELATED": "1",
}


@requirement("HASH-013")
@pytest.mark.parametrize("folder", ["same-folder", "other-folder"])
def test_another_host(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """The cache that one host filled is hit on another: variables that name the host, the user and
    the job have other values, and the process works in another folder.
    """
    expect_cold(start(subject, tmp_path / "root"), "a first start")
    for name, value in _OF_THE_HOST.items():
        monkeypatch.setenv(name, value)
    if folder == "other-folder":
        monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.gethostname", lambda: "other-host")
    monkeypatch.setattr("platform.node", lambda: "other-host")
    monkeypatch.setattr("getpass.getuser", lambda: "somebody")
    expect_warm(start(subject, tmp_path / "root"), "a start on another host")

"""A headless Chromium for the tests of the page, driven by DevTools over a pair of pipes.

``--remote-debugging-pipe`` speaks JSON on two file descriptors: no library, no port and no driver.
The browser is the one that ``CHROMIUM`` names, else one on the path; without, tests are skipped.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
KEYS = {"Tab": 9, "Enter": 13, " ": 32}
_PATIENCE = 120  # seconds for one answer


class Browser:
    """One page. ``said`` is what came on its console since it was opened, errors included."""

    def __init__(self, path: str, folder: Path) -> None:
        # Moved away from 3 and 4, which is where the browser wants its own ends.
        ends = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 16) for each in (*os.pipe(), *os.pipe())]
        theirs, self._to, self._of, back = ends
        log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY)
        self._pid = os.posix_spawn(
            path,
            [path, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, theirs, 3),
                (os.POSIX_SPAWN_DUP2, back, 4),
            ],
            setpgroup=0,
        )
        for each in (log, theirs, back):
            os.close(each)
        self._log, self._rest, self._number = folder / "log", b"", 0
        self._session: str | None = None
        self.said: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """What the browser answers to a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        """The next message; what it tells of the page is noted."""
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._of], [], [], _PATIENCE)
            data = os.read(self._of, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError(f"no word from the browser:\n{self._log.read_text()[-2000:]}")
            self._rest += data
        raw, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        kind, told = message.get("method", ""), message.get("params", {})
        if kind in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.said.append(json.dumps(told))
        return message

    def open(
        self, path: Path, *, width: int = 1280, dark: bool = False, fragment: str = ""
    ) -> None:
        """Open a file, in a window of ``width`` pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.media("screen", dark=dark)
        self.call("Page.navigate", url="about:blank")  # else another fragment loads nothing anew
        self.said = []
        self.call("Page.navigate", url=path.as_uri() + fragment)
        self.js("new Promise((go) => document.readyState == 'complete' ? go() : onload = go)")

    def media(self, kind: str, *, dark: bool = False) -> None:
        """Show the page as on ``screen`` or in ``print``."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=kind, features=[scheme])

    def js(self, expression: str) -> Any:
        """The value of an expression in the page; of a promise, what it comes to."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, as a person would."""
        about = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {})
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A screenshot, for people."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._to)
        os.close(self._of)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser; it starts once."""
    named = os.environ.get("CHROMIUM")
    path = named or next((found for each in NAMES if (found := shutil.which(each))), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} on the path, and CHROMIUM names none")
    started = Browser(path, tmp_path_factory.mktemp("browser"))
    yield started
    started.close()

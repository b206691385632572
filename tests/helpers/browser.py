"""Debian's chromium, driven through its DevTools pipe as a person drives it: by keys, clicks and files."""

import base64
import json
import os
import subprocess
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

QUIET = [  # switches that keep it off the screen and off the network
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_READS, _WRITES = 3, 4  # where chromium expects the two ends of its pipe


class LeftPageError(AssertionError):
    """The page was left before it could answer."""


class Browser:
    """One page of one browser; a context manager. Keeps what the page asked for and complained about."""

    def __init__(self, chromium: str, width_px: int = 1366, height_px: int = 768) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        start = f'exec {_READS}<&{commands} {_WRITES}>&{answers}; exec "$@"'
        window = [f"--window-size={width_px},{height_px}", f"--user-data-dir={self._profile.name}"]
        self._process = subprocess.Popen(
            ["bash", "-c", start, "browser", chromium, "--remote-debugging-pipe", *QUIET, *window],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._unread, self._number, self._session = b"", 0, ""
        self.requests: list[str] = []  # addresses
        self.complaints: list[str] = []  # warnings and errors of scripts and of the content security policy
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "DOM"):
            self.tell(f"{domain}.enable")
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=1,
            mobile=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._profile.cleanup()

    @property
    def profile(self) -> Path:
        """Folder in which it keeps what it keeps."""
        return Path(self._profile.name)

    def close(self) -> None:
        """End it as a person does; its profile stays until the block ends."""
        if self._process.poll() is not None:
            return
        os.close(self._commands)  # chromium ends with its pipe
        os.close(self._answers)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a DevTools command."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while True:
            message = self._next_message()
            if message.get("id") == self._number:
                if "navigated" in str(message.get("error")):
                    raise LeftPageError(method)
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result

    def open(self, address: str) -> None:
        """Go to `address` and wait until it is loaded."""
        self.tell("Page.navigate", url=address)
        self.wait_for(f"document.URL === {json.dumps(address)} && document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression, awaited if it is a promise."""
        answer = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str, timeout_s: float = 20) -> None:
        """Until the JavaScript expression `condition` is true; fail after `timeout_s`."""
        for _ in range(int(timeout_s / 0.1)):
            with suppress(LeftPageError):
                if self.evaluate(f"new Promise(done => setTimeout(() => done(!!({condition})), 100))"):
                    return
        shown = self.evaluate("document.body.innerText")
        raise AssertionError(f"not within {timeout_s} s: {condition}\n{shown}\n{self.complaints}")

    def press(self, code: str, key: str, *, shift: bool = False) -> None:
        """Press and release a key, such as ("KeyC", "c"), where the focus is."""
        numbers = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}
        number = (numbers | {"Delete": 46}).get(key, 0)
        text = {"text": {"Enter": "\r"}.get(key, key)} if key in ("Enter", " ") else {}
        pressed = {"code": code, "key": key, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, **pressed, **text)

    def type(self, text: str) -> None:
        """Write `text` where the focus is."""
        self.tell("Input.insertText", text=text)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at `start`, pixels of the window, and release it at `end`; a click where both are one."""
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def download_to(self, folder: Path) -> None:
        """Save what the page offers as files in `folder`."""
        self.tell("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def choose_files(self, selector: str, *files: Path) -> None:
        """Put `files` into a file field."""
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def resize(self, width_px: int, height_px: int, *, is_phone: bool = False) -> None:
        """Look at the page in a window of this size, or on a telephone with a screen of it."""
        size = {"width": width_px, "height": height_px, "mobile": is_phone, "deviceScaleFactor": 2 if is_phone else 1}
        self.tell("Emulation.setDeviceMetricsOverride", **size)

    def print_to(self, file: Path) -> None:
        """Write the page as it is printed, as PDF."""
        file.write_bytes(base64.b64decode(self.tell("Page.printToPDF")["data"]))

    def barriers(self) -> list[str]:
        """What keeps people from using what is in view, as axe-core finds it by WCAG and its best practices."""
        if not self.evaluate("'axe' in window"):
            package = find_spec("axe_playwright_python")
            assert package is not None, "it is among the packages of the tests"
            script = Path(str(package.origin)).parent / "axe.min.js"
            self.evaluate(script.read_text(encoding="utf-8") + "; 0")
        found: list[str] = self.evaluate(
            "axe.run().then(({violations}) => violations.flatMap(({id, nodes}) => "
            "nodes.map(({html, failureSummary}) => `${id}: ${html.slice(0, 200)} ${failureSummary}`)))"
        )
        return found

    def screenshot(self, file: Path) -> None:
        """Write what is in view as PNG."""
        file.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot")["data"]))

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            read = os.read(self._answers, 1 << 16)
            assert read, f"chromium ended with {self._process.wait()}"
            self._unread += read
        first, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        params = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif message.get("method") == "Log.entryAdded":
            if params["entry"]["level"] != "info":  # such as: the header Clear-Site-Data was obeyed
                self.complaints.append(params["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        return message

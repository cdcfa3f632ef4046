"""A dashboard of its own process, and a real browser that looks at it.

The dashboard's process notes every address that it connects to, and every name that it asks for.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).parents[2]
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)
# Runs in the dashboard's process before anything else.
EARS = """
import os, sys
def _hear(event, arguments):
    if event == "socket.connect":
        heard = repr(arguments[1])
    elif event == "socket.getaddrinfo":
        heard = repr(arguments[:2])
    else:
        return
    with open(os.environ["HEARD"], "a") as file:
        file.write(heard + "\\n")
sys.addaudithook(_hear)
"""


def find_browser() -> str | None:
    """The installed Chromium or Chrome; CHROMIUM names another."""
    for name in (os.environ.get("CHROMIUM", ""), *BROWSERS):
        if found := shutil.which(name):
            return found
    return None


@dataclass
class Server:
    """A running dashboard."""

    url: str
    heard: Path
    process: subprocess.Popen[bytes]

    @property
    def foreign(self) -> list[str]:
        """What it connected to, or asked the address of, that is not this machine."""
        lines = self.heard.read_text().splitlines() if self.heard.exists() else []
        return [each for each in lines if not any(own in each for own in ("127.0.0.1", "localhost", "::1"))]


@contextmanager
def serve(published: Path, folder: Path) -> Iterator[Server]:
    """`python -m dashboard` on a free port, as a user starts it."""
    (folder / "ears").mkdir(parents=True, exist_ok=True)
    (folder / "ears" / "sitecustomize.py").write_text(EARS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "HEARD": str(folder / "heard.txt"),
        "PYTHONPATH": str(folder / "ears"),
        "HOME": str(folder),
    }
    command = [sys.executable, "-m", "dashboard", "--port", str(port), "--published", str(published)]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        _await(port, process, folder / "log.txt")
        yield Server(f"http://127.0.0.1:{port}", folder / "heard.txt", process)
    finally:
        process.terminate()
        process.wait(20)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"the dashboard did not start: {log.read_text()}")


@dataclass
class Tab:
    """A page in the browser, with all that went wrong in it."""

    page: Page
    server: Server
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text, message.location))
        self.page.on("request", lambda request: self._look(request.url))
        self.page.on("websocket", lambda connection: self._look(connection.url))

    def _note(self, kind: str, text: str, location: object) -> None:
        # A page opened by its address asks for its base path: Streamlit tries, and is told 404.
        if kind == "error" and not ("404" in text and "/_stcore/" in str(location)):
            self.errors.append(text)

    def _look(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != urlsplit(self.server.url).hostname:
            self.foreign.append(url)

    def open(self, path: str = "") -> Tab:
        """Open a page by its address."""
        self.page.goto(f"{self.server.url}/{path}")
        return self.settled()

    def go(self, page: str) -> Tab:
        """Go to a page by the links at the top."""
        self.page.get_by_role("link", name=page, exact=True).click()
        self.page.wait_for_url(
            f"**/{page.lower().replace(' ', '_').split('_and_')[0].replace('sync_', '')}**"
        )
        return self.settled()

    def settled(self) -> Tab:
        """Wait until the page is drawn."""
        self.page.wait_for_selector(".ds-strip, .ds-notice")
        self.page.wait_for_timeout(300)
        self.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        return self

    def choose(self, label: str, option: str) -> Tab:
        """Choose in a filter."""
        self.page.get_by_role("combobox", name=label).click()
        self.page.get_by_role("option", name=option, exact=True).click()
        self.page.keyboard.press("Escape")
        return self.settled()

    def write(self, placeholder: str, text: str) -> Tab:
        """Write into a field."""
        self.page.get_by_placeholder(placeholder).fill(text)
        self.page.keyboard.press("Enter")
        return self.settled()

    def figure(self, name: str) -> Locator:
        """The value of a figure."""
        named = self.page.locator(".ds-figure").filter(has=self.page.get_by_text(name, exact=True))
        return named.locator(".ds-value")

    def panel(self, name: str) -> Locator:
        """A panel, by its query."""
        return self.page.locator(f".st-key-panel-{name}")


@contextmanager
def started(executable: str) -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab_of(browser: Browser, server: Server) -> Iterator[Tab]:
    """A tab with nothing remembered; whatever went wrong in it fails the test."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    try:
        tab = Tab(context.new_page(), server)
        yield tab
        assert tab.errors == []
        assert tab.foreign == []
    finally:
        context.close()

"""The program as its user has it: a folder with .dlt/, and the command line run as a process.

    program.configure(CONFIG)
    done = program("sync", "--dry-run")
    assert (done.code, done.err) == (0, "")

`program.settings()` reads the same configuration without a process.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.settings import Settings, load_settings

COMMAND = (sys.executable, "-c", "from pipelines.cli import main; main()")
# What a developer's own shell may have set, and must not reach a test.
FOREIGN = (
    "_PROXY",
    "_proxy",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SYNC__",
    "TENANTS__",
    "AUTH__",
    "ALERTS__",
)


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


class Program:
    """The program in a folder of its own."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = patch
        (folder / ".dlt").mkdir()

    def configure(self, config: str, secrets: str = "") -> Program:
        """Write both files."""
        (self.folder / ".dlt" / "config.toml").write_text(config)
        (self.folder / ".dlt" / "secrets.toml").write_text(secrets)
        return self

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process of the program gets, `env` added."""
        own = {name: value for name, value in os.environ.items() if not any(part in name for part in FOREIGN)}
        return {**own, "COLUMNS": "200", **(env or {})}

    def __call__(self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 60) -> Ended:
        done = subprocess.run(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def in_terminal(self, *args: str, typed: str = "", timeout: float = 60) -> Ended:
        """The same with a terminal of its own, where output and errors come together, and `typed` is typed."""
        keyboard, screen = pty.openpty()
        os.write(keyboard, typed.encode())
        process = subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.environment({"TERM": "dumb"}),
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
        )
        os.close(screen)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end, once the program has ended
            while data := os.read(keyboard, 65_536):
                shown += data
        os.close(keyboard)
        return Ended(process.wait(timeout), shown.decode().replace("\r\n", "\n"), "")

    def settings(self, *only: str, env: Mapping[str, str] | None = None) -> Settings:
        """The configuration as the program reads it, in this process."""
        from dlt.common.configuration.container import Container
        from dlt.common.configuration.specs import PluggableRunContext

        self._patch.chdir(self.folder)
        for name in list(os.environ):
            if any(part in name for part in FOREIGN):
                self._patch.delenv(name)
        for name, value in (env or {}).items():
            self._patch.setenv(name, value)
        context = Container()[PluggableRunContext]
        context.reload(str(self.folder))
        try:
            return load_settings(only)
        finally:
            self._patch.undo()
            context.reload(os.getcwd())


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Program(folder, pytest.MonkeyPatch())

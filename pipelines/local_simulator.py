"""The simulator as a child process: started for tenants that live in it, and stopped with the sync.

It is a program of its own; nothing of it is imported here.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipelines.clouds import CLOUDS, SIMULATOR
from pipelines.errors import DefenderSyncError
from pipelines.settings import Settings

COMMAND = (sys.executable, "-m", "simulator", "--json", "--exit-with-parent")


@contextmanager
def simulated_tenants(settings: Settings) -> Iterator[Settings]:
    """The settings, with the addresses and credentials of a simulator for the tenants that need one."""
    if not any(tenant.needs_own_simulator for tenant in settings.tenants):
        yield settings
        return
    with _running_simulator() as access:
        yield replace(
            settings,
            tenants=tuple(
                replace(tenant, scope=CLOUDS[SIMULATOR].scope, **access)
                if tenant.needs_own_simulator
                else tenant
                for tenant in settings.tenants
            ),
        )


@contextmanager
def _running_simulator() -> Iterator[dict[str, str]]:
    # It ends when its standard input does, so it does not outlive a sync that was killed.
    process = subprocess.Popen(  # noqa: S603  our own module, no shell
        [*COMMAND, "--port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # In a session of its own, so that Ctrl-C stops the sync, which then stops it.
        start_new_session=True,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise DefenderSyncError(
                "the simulator did not start; try it by itself: defender-sync simulate "
                "(it needs the extra `simulator`, which make setup installs)"
            )
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

"""On a terminal: Ctrl-C ends a sync with a line and 130; a log that nobody reads stops nothing."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from support.records import action, ago

from simulator import ScriptedWorld, Slow


def on_a_terminal(program, fault=None) -> tuple[int, str]:
    """`defender-sync sync` on a pseudo-terminal, Ctrl-C once the fault has met it: its exit code and what it showed."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "sync"],
        cwd=program.folder,
        env={**program.environment(), "TERM": "xterm", "COLUMNS": "120"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    if fault is not None:
        end = time.monotonic() + 30
        while not fault.fired and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
    shown = read_whole(leader)
    return process.wait(timeout=20), shown.decode(errors="replace")


def read_whole(leader: int) -> bytes:
    """All that is shown until the terminal is left."""
    shown = b""
    with suppress(OSError):
        while part := os.read(leader, 65_536):
            shown += part
    os.close(leader)
    return shown


@pytest.mark.parametrize("nth", [1, 2])
def test_ctrl_c_on_a_terminal_ends_with_a_line_and_130(real, program, nth):
    fault = real.faults.add(Slow(30), nth=nth, times=None)
    code, shown = on_a_terminal(program, fault)
    assert fault.fired
    assert code == 130, shown
    assert "stopped by SIGINT; what was committed stays" in shown
    assert "Traceback" not in shown


def test_a_signal_that_is_to_be_ignored_is(program):
    """As for a job that a script started with `&`."""
    program.configure('[sync]\ntenants = ["demo"]\ndata_dir = "data"\n[tenants.demo]\ncloud = "simulator"\n')
    (program.folder / "data" / "demo").mkdir(parents=True)
    pipe = program.folder / "data" / "demo" / "status.json"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        ["sh", "-c", f'trap "" INT; exec "{sys.executable}" -m pipelines status'],
        cwd=program.folder,
        env=program.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with pipe.open("wb"):
        process.send_signal(signal.SIGINT)
    shown, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (0, "")
    assert "never" in shown


def test_a_signal_at_a_question_is_one(program, open_stage):
    stage = open_stage(ScriptedWorld([action("old", ago(days=40))]))
    stage.sync().assert_ok()
    program.configure(
        f'[sync]\ntenants = ["contoso"]\ndata_dir = "{stage.data_dir}"\n'
        '[tenants.contoso]\nauth = "token"\naccess_token = "x"\n'
    )
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "purge", "--before", "2020-01-01"],
        cwd=program.folder,
        env=program.environment(),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    while b"Go on?" not in shown:
        shown += os.read(leader, 65_536)
    # One that comes just before the answer is waited for is noticed with the next.
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        process.terminate()
        time.sleep(0.1)
    process.kill()
    shown = read_whole(leader)
    assert process.wait(timeout=20) == 143
    assert b"stopped by SIGTERM; what was committed stays" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_reads_no_api_with_a_line_too(program, number):
    program.configure('[sync]\ntenants = ["demo"]\ndata_dir = "data"\n[tenants.demo]\ncloud = "simulator"\n')
    (program.folder / "data" / "demo").mkdir(parents=True)
    # Whoever reads a pipe waits for its writer.
    pipe = program.folder / "data" / "demo" / "status.json"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "status"],
        cwd=program.folder,
        env=program.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with pipe.open("wb"):
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + number, told
    assert told == f"defender-sync: stopped by {number.name}; what was committed stays\n"


def test_a_sync_on_a_terminal_says_nothing_after_its_summary(real, program):
    code, shown = on_a_terminal(program)
    assert code == 0, shown
    assert "machine_actions: succeeded" in shown
    assert "leaked" not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("options", [(), ("--log-format", "json")])
def test_a_sync_whose_log_nobody_reads_is_done_all_the_same(real, program, options):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *options, "sync"],
        cwd=program.folder,
        env=program.environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    assert "warehouse" not in errors
    assert (program.folder / "data" / "published" / "defender.duckdb").exists()


def test_closed_streams_stop_nothing(real, program):
    """As some schedulers start a job: `sync <&- >&- 2>&-`."""
    command = f'"{sys.executable}" -m pipelines sync <&- >&- 2>&-'
    done = subprocess.run(
        ["sh", "-c", command], cwd=program.folder, env=program.environment(), timeout=60, check=False
    )
    assert done.returncode == 0
    assert (program.folder / "data" / "published" / "defender.duckdb").exists()


def test_nobody_can_be_asked_on_a_closed_input(program):
    program.configure('[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n')
    command = f'"{sys.executable}" -m pipelines purge --before 2020-01-01 <&-'
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=program.folder,
        env=program.environment(),
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "defender-sync: there is nobody to ask here: add --yes if you mean it\n"

"""Real processes: signals, two syncs at once, and ten."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from crash import MERGE
from support.warehouse import Reading

from simulator import Slow, TooManyRequests

COMMAND = (sys.executable, "-c", "from pipelines.cli import main; main()")
# The program in which one statement of dlt takes minutes: it runs in the database, where no Python looks.
LONG_STATEMENT = """
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient as client
import sys
real = client.execute_query
def slow(self, query, *args, **kwargs):
    if NEEDLE in " ".join(str(query).split()):
        sys.stderr.write("begun\\n"); sys.stderr.flush()
        self._conn.execute("select sum(a.range * b.range % 7) from range(10000000) a, range(10000000) b")
    return real(self, query, *args, **kwargs)
client.execute_query = slow
from pipelines.cli import main; main()
"""
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


def start(program, *args, command=COMMAND):
    return subprocess.Popen(
        [*command, *args], cwd=program.folder, env=program.environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def stop(process, number):
    begun = time.monotonic()
    process.send_signal(number)
    try:
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - begun < 5
    assert process.returncode == CODES[number]
    assert told.strip().endswith(f"stopped by {number.name}; what was committed stays"), told


def runs(program):
    return Reading(program.folder / "data" / "warehouse.duckdb").rows(
        "select status, error, finished_at is not null as ended from defender.sync_runs order by started_at, resource"
    )


def assert_heals(program, sim):
    sim.faults.clear()
    done = program("sync")
    assert (done.code, done.err) == (0, "")
    warehouse = Reading(program.folder / "data" / "warehouse.duckdb")
    assert warehouse.one("select count(*) from defender.machine_actions") == 3


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_a_sync_that_waits_for_an_answer(program, real, number):
    rule = real.faults.add(Slow(60), times=None)
    process = start(program, "sync")
    until(lambda: rule.fired)
    stop(process, number)
    assert runs(program) == [{"status": "stopped", "error": "stopped by a signal", "ended": True}]
    assert_heals(program, real)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_ends_a_doctor_that_waits_for_an_answer(program, real, number):
    fault = real.faults.add(Slow(30), times=None)
    process = start(program, "doctor")
    until(lambda: fault.fired)
    stop(process, number)


def test_the_simulator_ends_with_its_command(program):
    process = start(program, "simulate")
    lines = iter(process.stdout.readline, "")
    address = next(line.split()[-1] for line in lines if "API and login" in line)
    host, port = address.removeprefix("https://").rsplit(":", 1)
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 143

    def is_gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) != 0

    until(is_gone, seconds=10)


def test_a_signal_ends_a_sync_that_waits_for_its_quota(program, real):
    rule = real.faults.add(TooManyRequests(600), times=None)
    process = start(program, "sync")
    until(lambda: rule.fired)
    time.sleep(0.2)
    stop(process, signal.SIGTERM)
    assert [run["status"] for run in runs(program)] == ["stopped"]
    assert_heals(program, real)


@pytest.mark.parametrize("merges", [False, True], ids=["preparing", "merging"])
def test_a_signal_ends_a_sync_during_a_long_statement(program, real, merges):
    """While a first sync makes its tables, and in the merge of a later one."""
    needle = "DELETE FROM"
    if merges:
        assert program("sync").code == 0
        real.world.change("a0", status="Failed")
        needle = MERGE
    code = LONG_STATEMENT.replace("NEEDLE", repr(needle))
    process = start(program, "sync", command=(sys.executable, "-c", code))
    assert process.stderr is not None
    assert process.stderr.readline() == "begun\n"
    time.sleep(0.3)
    stop(process, signal.SIGTERM)
    if merges:
        assert [run["status"] for run in runs(program)][-1] == "stopped"
    assert_heals(program, real)


def test_a_second_sync_leaves_at_once_and_status_answers_meanwhile(program, real):
    release = threading.Event()
    rule = real.faults.add(Slow(60, until=release), times=None)
    first = start(program, "sync")
    until(lambda: rule.fired)
    calls = len(real.requests)
    second = program("sync")
    # The first one is held until after that: the second has not waited for it.
    assert second.code == 6
    assert "another sync is running" in second.err
    assert len(real.requests) == calls
    status = program("status", "--json")
    assert (status.code, json.loads(status.out)["running"]["pid"]) == (0, first.pid)
    release.set()
    assert first.wait(60) == 0
    first.communicate()


def test_of_ten_syncs_started_at_once_exactly_one_runs(program, real):
    release = threading.Event()
    rule = real.faults.add(Slow(120, until=release), times=None)
    processes = [start(program, "sync") for _ in range(10)]
    until(lambda: rule.fired and sum(each.poll() is not None for each in processes) == 9, seconds=110)
    release.set()
    codes = sorted(each.wait(60) for each in processes)
    for each in processes:
        each.communicate()
    assert codes == [0] + [6] * 9
    assert len(runs(program)) == 2


def test_the_lock_of_a_dead_process_does_not_block(program, real):
    rule = real.faults.add(Slow(60), times=None)
    process = start(program, "sync")
    until(lambda: rule.fired)
    process.kill()
    process.communicate()
    assert (program.folder / "data" / "lock").exists()
    assert_heals(program, real)

"""`--log-format json`: every line of a run, and every error, is one JSON object."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from support.records import action, ago

from pipelines.json_log import json_line
from simulator import ScriptedWorld, Simulator, Status, Tenant

CONFIG = """
[sync]
tenants = ["contoso"]
initial_lookback_days = 1
[tenants.contoso]
tenant_id = "{sim.tenant_id}"
client_id = "{sim.client_id}"
client_secret = "{secret}"
api_url = "{sim.url}"
login_url = "{sim.url}"
ca_bundle = "{sim.ca_bundle}"
"""


def lines(text):
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        assert datetime.fromisoformat(line["at"]).utcoffset().total_seconds() == 0
    return found


@pytest.fixture
def sim():
    with Simulator(ScriptedWorld([action("a1", ago(hours=1))]), tenants=[Tenant()]) as sim:
        yield sim


def test_a_run_tells_begin_chunks_summaries_and_the_snapshot(program, sim):
    sim.faults.add(Status(503), "machineactions")
    program.configure("", CONFIG.format(sim=sim, secret=sim.client_secret))
    done = program("--log-format", "json", "sync")
    assert done.code == 0
    told = lines(done.out)
    events = [line["event"] for line in told]
    assert (events[0], events[-1], events.count("finished")) == ("begun", "published", 2)
    finished = next(line for line in told if line["event"] == "finished")
    assert (finished["tenant"], finished["resource"], finished["status"], finished["retries"]) == (
        "contoso",
        "machine_actions",
        "succeeded",
        1,
    )
    [retried] = lines(done.err)
    assert (retried["event"], retried["level"], retried["logger"]) == (
        "message",
        "warning",
        "pipelines.client",
    )
    assert "HTTP 503" in retried["message"]


def test_an_error_is_a_line_too_and_the_exit_code_stays(program, sim):
    program.configure("", CONFIG.format(sim=sim, secret="wrong"))
    done = program("--log-format", "json", "sync")
    assert done.code == 3
    told = [line["message"] for line in lines(done.err)]
    assert any("sign-in refused: the client secret is wrong" in message for message in told)
    program.configure("[sync]\nunknown = 1\n")
    done = program("--log-format", "json", "sync")
    [line] = lines(done.err)
    assert (done.code, line["level"]) == (2, "error")
    assert "unknown key sync.unknown" in line["message"]


def test_what_steers_a_terminal_is_escaped():
    line = json_line(
        datetime.fromisoformat("2026-11-20T12:00:00+00:00"), "message", message="a\n\x1b[31m\u202e"
    )
    assert line.isascii()
    assert line.isprintable() is False
    assert line.rstrip("\n").isprintable()

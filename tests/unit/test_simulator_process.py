"""The simulator as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from time import monotonic

import pytest
import requests

COMMAND = [sys.executable, "-m", "simulator", "--rows", "25000"]


@pytest.fixture
def start():
    running = []

    def run(*arguments):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()


def discovery(facts):
    with requests.Session() as session:
        session.trust_env = False
        url = f"{facts['login_url']}/{facts['tenant_id']}/v2.0/.well-known/openid-configuration"
        return session.get(url, verify=facts["ca_bundle"], timeout=5).status_code


def test_it_prints_one_line_of_json_once_it_is_ready_and_cleans_up_on_sigterm(start):
    begun = monotonic()
    process = start("--json")
    facts = json.loads(process.stdout.readline())
    assert monotonic() - begun < 5
    assert set(facts) == {"api_url", "login_url", "ca_bundle", "tenant_id", "client_id", "client_secret"}
    assert discovery(facts) == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.stdout.read() == process.stderr.read() == ""
    assert not Path(facts["ca_bundle"]).parent.exists()


def test_it_ends_with_its_parent_when_told_to(start):
    process = start("--json", "--exit-with-parent")
    facts = json.loads(process.stdout.readline())
    process.stdin.close()
    assert process.wait(5) == 0
    assert not Path(facts["ca_bundle"]).exists()


def test_it_tells_a_person_what_to_put_into_the_configuration(start):
    process = start()
    lines = []
    while not (lines and "client_secret" in lines[-1]):
        lines.append(process.stdout.readline())
    text = "".join(lines)
    snippet = tomllib.loads(text[text.index("[tenants.demo]") :])["tenants"]["demo"]
    assert snippet["cloud"] == "simulator"
    assert discovery(snippet) == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0


def test_a_taken_port_is_one_clear_line(start):
    first = start("--json")
    port = json.loads(first.stdout.readline())["api_url"].rsplit(":", 1)[1]
    second = start("--port", port)
    assert second.wait(5) == 1
    assert second.stderr.read().splitlines() == [
        f"The simulator cannot listen on port {port}: Address already in use"
    ]

"""The simulator as a library: starting, stopping, and failing loudly."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from time import monotonic

import pytest
import requests

from simulator import ScriptedWorld, Simulator, World


def test_it_starts_and_stops_quickly_and_leaves_nothing_behind():
    threads = threading.active_count()
    begun = monotonic()
    with Simulator(World(rows=25_000)) as sim, requests.Session() as session:
        assert monotonic() - begun < 5
        session.trust_env = False
        assert session.get(sim.url, verify=sim.ca_bundle, timeout=5).status_code == 404
        bundle = Path(sim.ca_bundle)
        assert bundle.parent.stat().st_mode & 0o077 == 0
        begun = monotonic()
        sim.stop()
        assert monotonic() - begun < 5
    assert not bundle.parent.exists()
    assert threading.active_count() == threads


def test_it_can_be_started_again():
    sim = Simulator(ScriptedWorld())
    for _ in range(2):
        with sim, requests.Session() as session:
            session.trust_env = False
            assert session.get(sim.url, verify=sim.ca_bundle, timeout=5).status_code == 404
    assert len(sim.requests) == 2


def test_a_taken_port_is_an_os_error():
    with Simulator(ScriptedWorld()) as sim:
        port = int(sim.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            Simulator(ScriptedWorld(), port=port).start()


def test_an_error_inside_is_raised_when_the_block_ends():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        _break(Simulator(ScriptedWorld()))


def _break(sim):
    with sim, requests.Session() as session:
        session.trust_env = False
        sim.faults.before_request(lambda: 1 // 0, on="other")
        assert session.get(sim.url, verify=sim.ca_bundle, timeout=5).status_code == 500
        assert sim.requests[-1].status == 500


def test_a_client_that_dies_while_it_asks_is_no_error_of_the_simulator():
    with Simulator(ScriptedWorld()) as sim:
        port = int(sim.url.rsplit(":", 1)[1])
        context = ssl.create_default_context(cafile=sim.ca_bundle)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(
                f"POST /{sim.tenant_id}/oauth2/v2.0/token HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\ngrant".encode()
            )
            deadline = monotonic() + 5
            while not sim.requests and monotonic() < deadline:
                threading.Event().wait(0.005)
        assert [call.endpoint for call in sim.requests] == ["token"]


def test_it_also_answers_by_the_name_of_localhost(serve):
    caller = serve()
    url = caller.sim.url.replace("127.0.0.1", "localhost")
    assert caller.session.get(url, verify=caller.sim.ca_bundle, timeout=5).status_code == 404


def test_many_clients_at_once_are_served(serve):
    caller = serve(World(seed=1, rows=2_000))
    counts = []

    def read(skip):
        counts.append(len(caller.get("/api/machineactions", top=500, skip=skip).json()["value"]))

    threads = [threading.Thread(target=read, args=(skip,)) for skip in range(0, 1_500, 500) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [500] * 9

"""Whole runs of the program by the ways to sign in that need more than a configuration."""

from __future__ import annotations

import threading
import time

import pytest
from support.credentials import certificate, pem, pem_file, rsa_key

from simulator import ScriptedWorld, Simulator, Tenant

CONFIG = """
[sync]
tenants = ["contoso"]
initial_lookback_days = 1
[tenants.contoso]
tenant_id = "{sim.tenant_id}"
client_id = "{sim.client_id}"
api_url = "{sim.url}"
login_url = "{sim.url}"
ca_bundle = "{sim.ca_bundle}"
{more}
"""


@pytest.fixture
def approver(stage):
    """A person who approves whatever code turns up."""
    done = threading.Event()

    def approve():
        while not done.wait(0.02):
            for code in stage.sim.people.waiting():
                stage.sim.people.approve(code)

    thread = threading.Thread(target=approve)
    thread.start()
    yield
    done.set()
    thread.join()


def test_a_person_signs_in_once_in_a_terminal_and_scheduled_runs_need_nobody(program, stage, approver):
    stage.tenant.device_code_interval_seconds = 1
    program.configure(CONFIG.format(sim=stage.sim, more='auth = "device_code"'))
    alone = program("sync")
    assert alone.code == 3
    assert "nobody is signed in: run defender-sync doctor --tenant contoso in a terminal" in alone.err
    assert stage.asked("devicecode") == 0

    shown = program.in_terminal("doctor", "--tenant", "contoso")
    assert shown.code == 0, shown.out
    assert "To sign in, use a web browser to open the page" in shown.out
    assert "contoso permission: machine_actions: Machine.Read\n" in shown.out
    cache = program.folder / "data" / "tokens" / "contoso.json"
    assert (cache.stat().st_mode & 0o777, cache.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    asked = stage.asked()
    scheduled = program("sync")
    assert (scheduled.code, scheduled.err) == (0, "")
    assert (stage.asked() - asked, stage.asked("devicecode")) == (0, 1)


def test_a_rotated_certificate_needs_no_more_than_a_new_file(program, stage, tmp_path):
    ended = certificate(rsa_key(), days=-1)
    path = pem_file(tmp_path / "app.pem", rsa_key(), ended)
    more = f'auth = "certificate"\ncertificate_path = "{path}"'
    program.configure(CONFIG.format(sim=stage.sim, more=more))
    refused = program("sync")
    assert refused.code == 3
    assert f"the certificate in {path} ended on {time.strftime('%Y')}" in refused.err

    made = certificate(rsa_key(2))
    stage.tenant.certificates = (pem(made),)
    pem_file(path, rsa_key(2), made)
    done = program("sync")
    assert (done.code, done.err) == (0, "")
    assert stage.asked() == 1, "one token serves both resources"


def test_from_nothing_to_a_second_tenant_and_a_rotated_secret(program, stage):
    """The way of a new user: a configuration, `doctor`, a sync, another tenant, a new secret."""
    first = stage.tenant
    second = Tenant(tenant_id="2b3c4d5e-0000-4000-8000-00000c047051", client_id=first.client_id)
    with Simulator(ScriptedWorld(), tenants=[first, second]) as sim:
        section = (
            '[tenants.{name}]\ntenant_id = "{tenant_id}"\ncredentials = "provider"\n'
            f'api_url = "{sim.url}"\nlogin_url = "{sim.url}"\nca_bundle = "{sim.ca_bundle}"\n'
        )
        one = section.format(name="contoso", tenant_id=first.tenant_id)
        two = section.format(name="contoso_labs", tenant_id=second.tenant_id)
        shared = f'[auth.provider]\nclient_id = "{first.client_id}"\n'
        secret = f'[auth.provider]\nclient_secret = "{sim.client_secret}"\n'

        program.configure('[sync]\ntenants = ["contoso"]\n' + one + shared, secret)
        assert program("doctor").code == 0
        assert program("sync").code == 0

        program.configure('[sync]\ntenants = ["contoso", "contoso_labs"]\n' + one + two + shared, secret)
        assert program("doctor", "--tenant", "contoso_labs").code == 0
        synced = program("sync")
        assert synced.code == 0
        assert "contoso_labs machine_actions: succeeded" in synced.out

        first.client_secret = second.client_secret = "rotated"
        refused = program("sync")
        assert refused.code == 3
        assert "the client secret is wrong" in refused.err
        assert program("sync", env={"AUTH__PROVIDER__CLIENT_SECRET": "rotated"}).code == 0

"""`defender-sync doctor`: whole lines, each red one with its remedy, and the exit code of the worst."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import timedelta

import duckdb
import pytest
from support.credentials import certificate, pem, pem_file, rsa_key

from pipelines.clock import Clock
from pipelines.data_dir import DataDir
from pipelines.doctor import Finding, examine, exit_code
from simulator import Status
from simulator.tokens import AUDIENCE

GOVERNMENT = "https://api-gov.securitycenter.microsoft.us"


@pytest.fixture
def configured(program, stage):
    """Writes [tenants.contoso] on the stage's simulator, `keys` replacing or adding (None leaves out)."""

    def write(**keys):
        own = {
            "tenant_id": stage.sim.tenant_id,
            "client_id": stage.sim.client_id,
            "client_secret": stage.sim.client_secret,
            "api_url": stage.sim.url,
            "login_url": stage.sim.url,
            "ca_bundle": stage.sim.ca_bundle,
        }
        lines = [
            f"{key} = {json.dumps(value)}" for key, value in {**own, **keys}.items() if value is not None
        ]
        text = '[sync]\ntenants = ["contoso"]\n[tenants.contoso]\n' + "\n".join(lines) + "\n"
        return program.configure("", text)

    return write


@pytest.fixture
def doctor(program, configured):
    """Every finding of the tenant as (subject, told), and the exit code."""

    def run(clock=None, **keys):
        settings = configured(**keys).settings()
        here = os.getcwd()
        os.chdir(program.folder)
        try:
            found = list(examine(settings, clock or Clock(wait=lambda _seconds: None)))
        finally:
            os.chdir(here)
        return [(each.subject, each.told) for each in found if not each.is_good], exit_code(found)

    return run


def only(found, subject):
    [(name, told)] = found
    assert name == subject
    return told


def test_a_tenant_that_is_well_gets_a_green_line_for_each_check(program, configured, stage):
    configured()
    done = program("doctor")
    free = re.search(r"disk: (\S+ GB)", done.out)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "ok   configuration: good; tenants contoso; data in data",
        f"ok   disk: {free and free[1]} free at {program.folder}",
        "ok   database: not there yet; the first sync makes it",
        f"ok   contoso host: {stage.sim.url} answers",
        "ok   contoso clock: in step with the API's",
        "ok   contoso token: signed in by secret; good for 59 min",
        "ok   contoso audience: https://api.securitycenter.microsoft.com",
        "ok   contoso permission: machine_actions: Machine.Read.All",
        "ok   contoso permission: investigations: Alert.Read.All",
        "ok   contoso machine_actions: answers",
        "ok   contoso investigations: answers",
    ]
    assert list(program.folder.iterdir()) == [program.folder / ".dlt"], "it writes nothing"


def test_the_worst_finding_is_the_exit_code(program, configured, stage):
    stage.tenant.roles = ("Machine.Read.All",)
    configured()
    done = program("doctor")
    assert done.code == 3
    red = [line for line in done.out.splitlines() if line.startswith("BAD")]
    assert red[0] == (
        "BAD  contoso permission: investigations: grant the application permission Alert.Read.All to application "
        f"{stage.sim.client_id} in directory {stage.sim.tenant_id}, with an administrator's consent"
    )
    assert red[1].startswith("BAD  contoso investigations: investigations: permission is missing (HTTP 403)")


def test_a_wrong_configuration_is_told_and_exits_2(program, configured):
    configured(client_secret=None)
    done = program("doctor")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("defender-sync: tenants.contoso.client_secret missing")


def test_a_simulator_tenant_is_looked_at_too(program):
    program.configure('[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n')
    done = program("doctor", "--tenant", "demo")
    assert (done.code, done.err) == (0, "")
    assert "ok   demo investigations: answers" in done.out


def test_a_wrong_secret(doctor):
    found, code = doctor(client_secret="wrong")
    assert code == 3
    assert only(found, "contoso token") == (
        "sign-in refused: the client secret is wrong: copy the secret's value (not its id) again (AADSTS7000215)"
    )


def test_a_token_that_has_expired_is_told_with_its_age(doctor, stage):
    token = stage.sim.issue_token(exp=int(time.time()) - 600)
    found, code = doctor(auth="token", access_token=token)
    assert (found[0], code) == (
        ("contoso token", "it expired 10 min ago: give tenants.contoso.access_token a new one"),
        3,
    )


def test_a_token_for_another_api_is_told_by_its_audience(doctor, stage):
    token = stage.sim.issue_token(aud="https://graph.microsoft.com")
    found, code = doctor(auth="token", access_token=token)
    assert found[0] == (
        "contoso audience",
        "the token is for https://graph.microsoft.com, not for Defender: set scope to the cloud's own",
    )
    assert code == 2


@pytest.mark.parametrize("audience", [AUDIENCE, GOVERNMENT])
def test_the_host_that_fits_the_token_is_named(doctor, stage, audience, monkeypatch):
    from support.proxy import proxy_to

    cloud, fitting = ("gcc_high", "api.security.microsoft.com") if audience == AUDIENCE else (
        "us", "api-gov.securitycenter.microsoft.us")  # fmt: skip
    monkeypatch.delenv("NO_PROXY", raising=False)
    token = stage.sim.issue_token(aud=audience)
    with proxy_to(stage.sim.url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        # The settings drop a proxy of the developer's; the checks themselves go through this one.
        found, code = doctor(cloud=cloud, api_url=None, login_url=None, auth="token", access_token=token)
    host = {"gcc_high": "api-gov.securitycenter.microsoft.us", "us": "us.api.security.microsoft.com"}[cloud]
    assert found == [
        (
            "contoso audience",
            f"the token is for {audience}, which {host} does not take: set api_url to https://{fitting}, "
            "or cloud to the tenant's",
        )
    ]
    assert code == 2


def test_a_token_that_does_not_tell_is_no_fault(program, configured, stage):
    configured(auth="token", access_token="opaque")
    lines = program("doctor").out.splitlines()
    assert "ok   contoso token: signed in by token; it does not tell its permissions" in lines


def test_what_a_person_lacks_is_a_delegated_permission(doctor, stage):
    token = stage.sim.issue_token(roles=None, scp="Alert.Read")
    found, code = doctor(auth="token", access_token=token)
    assert found[0][1].startswith(
        "machine_actions: grant the delegated permission Machine.Read to application "
    )
    assert code == 3


@pytest.mark.parametrize(
    ("offset", "told"),
    [
        (timedelta(minutes=7), "420 s behind the API's: set this machine's clock, by NTP"),
        (timedelta(minutes=-7), "420 s ahead of the API's: set this machine's clock, by NTP"),
    ],
)
def test_a_clock_that_is_off_is_told_in_seconds(doctor, stage, offset, told):
    stage.sim.faults.clock_offset = offset
    found, code = doctor()
    seconds = int(re.search(r"\d+", found[0][1]).group())
    assert (found[0][0], found[0][1].replace(str(seconds), "420"), code) == ("contoso clock", told, 2)
    assert abs(seconds - 420) <= 2


@pytest.mark.parametrize(("days", "is_red"), [(29, True), (31, False)])
def test_a_certificate_that_ends_within_30_days_is_red(doctor, stage, tmp_path, days, is_red):
    made = certificate(rsa_key(), days=days + 0.5)
    stage.tenant.certificates = (pem(made),)
    path = pem_file(tmp_path / "app.pem", rsa_key(), made)
    found, code = doctor(auth="certificate", certificate_path=str(path))
    told = f"the certificate ends on {made.not_valid_after_utc:%Y-%m-%d}, in {days} days: make a new one and "
    assert [told in text for _subject, text in found] == [True] * is_red
    assert code == (3 if is_red else 0)


def test_a_host_that_does_not_answer(doctor):
    found, code = doctor(api_url="https://127.0.0.1:9")
    assert only(found, "contoso host") == (
        "https://127.0.0.1:9: no answer (ConnectionError): check api_url, the network and its proxy"
    )
    assert code == 4


def test_a_host_whose_certificate_is_not_trusted(doctor):
    found, code = doctor(ca_bundle=None)
    assert only(found, "contoso host").endswith(
        ": its TLS certificate is not trusted; name its authority in ca_bundle"
    )
    assert code == 4


def test_a_list_that_is_not_offered_is_no_fault(doctor, stage):
    stage.sim.faults.add(Status(404), "investigations")
    assert doctor() == ([], 0)


def test_a_tenant_that_offers_no_list_at_all_is_a_wrong_address(doctor, stage):
    for endpoint in ("machineactions", "investigations"):
        stage.sim.faults.add(Status(404), endpoint, times=None)
    found, code = doctor()
    assert only(found, "contoso lists").endswith(
        "offers none of them: see whether api_url and cloud are this tenant's"
    )
    assert code == 2


def test_a_folder_in_the_place_of_the_link_is_red(program, doctor):
    (program.folder / "data" / "published").mkdir(parents=True)
    (program.folder / "data" / "warehouse.duckdb").touch()
    found, code = doctor()
    assert "published is in the way" in only(found, "database")
    assert code == 1


def test_a_list_that_fails_is_told(doctor, stage):
    stage.sim.faults.add(Status(500), "investigations", times=None)
    found, code = doctor()
    assert only(found, "contoso investigations").startswith("investigations: HTTP 500")
    assert code == 4


def test_a_lock_that_is_held_is_no_fault(program, configured, doctor):
    configured()
    data_dir = DataDir(program.folder / "data")
    data_dir.path.mkdir()
    with data_dir.locked():
        done = program("doctor")
    assert done.code == 0
    assert "ok   lock: held: a sync is running; the database is not looked at meanwhile" in done.out


READER = "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(); sys.stdin.read()"


def test_a_database_that_a_reader_holds_open_is_red_and_stays_held(stage, doctor, program):
    path = program.folder / "data" / "warehouse.duckdb"
    path.parent.mkdir()
    duckdb.connect(str(path)).close()
    _, code = doctor()
    assert code == 0
    with subprocess.Popen(
        [sys.executable, "-c", READER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        reader.stdout.readline()
        for _ in range(2):
            found, code = doctor()
            assert "held open by another program, which blocks a sync" in only(found, "database")
            assert code == 1
        reader.stdin.close()


def test_a_database_that_cannot_be_read_is_red(program, doctor):
    (program.folder / "data").mkdir()
    (program.folder / "data" / "warehouse.duckdb").write_text(
        "not a database, but long enough to be looked at"
    )
    found, code = doctor()
    assert only(found, "database").endswith(
        "is no DuckDB database: move it away or restore a backup, then sync again"
    )
    assert code == 1


def test_the_exit_code_is_the_worst():
    def code(*codes):
        return exit_code([Finding("x", "y", each) for each in codes])

    assert [code(), code(0, 0), code(0, 4), code(4, 3), code(3, 2, 4), code(2, 1)] == [0, 0, 4, 3, 2, 1]

"""The token and the secret stay where they belong: on no disk, in no log, at no other host."""

from __future__ import annotations

import base64
import subprocess
import sys
from urllib.parse import quote

import pytest
import trustme
from support.records import action, ago

from simulator import Drop, NextLink, Redirect, ScriptedWorld, Simulator, Status

# The program with dlt's working files left where they are, for the test to read.
KEEPING = (
    "import types, pipelines.defender as d; d.shutil = types.SimpleNamespace(rmtree=lambda *a, **k: None); "
    "from pipelines.cli import main; main()"
)


@pytest.fixture
def tokens(real):
    """Every token that the simulator issues."""
    issued, issue = [], real.tokens.issue

    def remember(*args, **kwargs):
        issued.append(issue(*args, **kwargs))
        return issued[-1]

    real.tokens.issue = remember
    return issued


def sync(program, *options):
    return subprocess.run(
        [sys.executable, "-c", KEEPING, *options, "sync"],
        cwd=program.folder,
        env=program.environment(),
        capture_output=True,
        timeout=90,
        check=False,
    )


def echo(real, status):
    """An answer that tells back what it was asked, as some proxies do."""

    class Echo(Status):
        def instead(self, call, now):
            token = issued[-1] if (issued := real.seen) else "none"
            return Status(status, f"you sent Authorization: Bearer {token}").instead(call, now)

    return Echo(status)


@pytest.mark.parametrize("case", ["ok", "the token refused and told back", "an error that tells the token back",
                                  "the secret refused and told back", "the connection lost"])  # fmt: skip
def test_no_byte_that_is_written_or_shown_holds_a_token_or_the_secret(program, real, tokens, case):
    real.seen = tokens
    secret = real.client_secret
    rule = None
    if case == "the token refused and told back":
        rule = real.faults.add(echo(real, 401), times=None)
    elif case == "an error that tells the token back":
        rule = real.faults.add(echo(real, 400), times=None)
    elif case == "the secret refused and told back":
        body = b'{"error": "invalid_client", "error_description": "AADSTS1: %s is wrong"}' % secret.encode()
        rule = real.faults.add(Status(401, body=body), on="token", times=None)
    elif case == "the connection lost":
        rule = real.faults.add(Drop(), on="machineactions", nth=2)
    done = sync(program, "--debug")
    assert rule is None or rule.fired >= 1
    assert (done.returncode == 0) == (case in ("ok", "the connection lost")), done.stderr
    assert bool(tokens) == (not case.startswith("the secret"))
    needles = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}
    for token in tokens:
        needles |= {token, *token.split(".")[1:], token[:40]}
    data_dir = program.folder / "data"
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    if case == "ok":
        names = {path.name for path in files}
        assert {"warehouse.duckdb", "status.json", "trace.pickle", "quota.sqlite"} <= names
    for needle in needles:
        for shown in (done.stdout, done.stderr, *(path.read_bytes() for path in files)):
            assert needle.encode() not in shown


@pytest.fixture
def attacker():
    """Somebody else's server, on another port."""
    with Simulator(ScriptedWorld()) as sim:
        yield sim


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_not_followed(stage, attacker, status):
    rule = stage.sim.faults.add(Redirect(attacker.url + "/api/machineactions", status), times=None)
    done = stage.sync()
    assert (rule.fired, done.run().status, list(attacker.requests)) == (1, "failed", [])
    assert "redirects elsewhere, which is not followed; check api_url" in str(done.error())


@pytest.mark.parametrize("on", ["token", "discovery"])
def test_a_redirect_of_the_sign_in_is_not_followed(stage, attacker, on):
    rule = stage.sim.faults.add(Redirect(attacker.url + "/", 307), on=on, times=None)
    done = stage.sync()
    assert (rule.fired >= 1, done.exit_code in (3, 4), list(attacker.requests)) == (True, True, [])


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_next_link_to_another_port_or_scheme_is_not_followed(stage, world, attacker, scheme):
    world.put_action(action("a", ago(hours=2)))
    rule = stage.sim.faults.add(
        NextLink(attacker.url.replace("https", scheme) + "/api/machineactions"), times=None
    )
    stage.sync().assert_ok()
    assert (rule.fired >= 1, list(attacker.requests)) == (True, [])
    stage.sim.faults.clear()
    stage.assert_in_step()


def test_a_netrc_does_not_replace_the_token(stage, world, tmp_path, monkeypatch):
    """As for a host that is not loopback, where requests looks at the environment."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr("pipelines.client.is_loopback", lambda _host: False)
    world.put_action(action("a", ago(hours=2)))
    done = stage.sync().assert_ok()
    assert {(call.authorized, call.status) for call in done.calls()} == {(True, 200)}


@pytest.fixture
def other_authority(tmp_path):
    """Certificates that did not sign the simulator's."""
    bundle = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    return str(bundle)


@pytest.mark.parametrize("is_named", [False, True], ids=["none named", "another named"])
def test_a_server_of_an_unknown_authority_is_not_talked_to(stage, other_authority, is_named):
    settings = stage.settings()
    tenant = stage.tenant_settings(ca_bundle=other_authority if is_named else "")
    done = stage.sync(type(settings)(settings.sync, (tenant,)))
    assert (done.exit_code, done.requests) == (4, [])
    assert "certificate is not trusted; name its authority in ca_bundle" in str(done.error())


def test_a_private_authority_is_trusted_whatever_the_environment_says(stage, other_authority, monkeypatch):
    """As for a host that is not loopback; MSAL's own requests too."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, other_authority)
    for module in ("pipelines.client", "pipelines.auth.session"):
        monkeypatch.setattr(f"{module}.is_loopback", lambda _host: False)
    done = stage.sync().assert_ok()
    assert {call.endpoint for call in done.requests} >= {"discovery", "token", "machineactions"}

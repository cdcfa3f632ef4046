"""Every cloud by its real host names, through a proxy on loopback behind which the simulator plays it."""

from __future__ import annotations

import pytest
import trustme
from support.proxy import proxy_to

from pipelines.auth import token_provider
from pipelines.client import DefenderClient, Patience
from pipelines.clouds import CLOUDS
from pipelines.errors import ConfigurationError, UnavailableError
from pipelines.quota import Quota

PUBLIC, GOVERNMENT = "login.microsoftonline.com", "login.microsoftonline.us"
# The facts' table, written out again: sign-in host, API host, audience of the token.
TABLE = {
    "commercial": (PUBLIC, "api.security.microsoft.com", "api.securitycenter.microsoft.com"),
    **{
        near: (PUBLIC, f"{near}.api.security.microsoft.com", "api.securitycenter.microsoft.com")
        for near in ("us", "eu", "uk", "au", "swa", "ina")
    },
    "gcc": (PUBLIC, *["api-gcc.securitycenter.microsoft.us"] * 2),
    "gcc_high": (GOVERNMENT, *["api-gov.securitycenter.microsoft.us"] * 2),
    "dod": (GOVERNMENT, *["api-gov.securitycenter.microsoft.us"] * 2),
}


@pytest.fixture
def proxy(stage, monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with proxy_to(stage.sim.url) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


def configured(program, stage, cloud, **keys):
    """[tenants.contoso] of a cloud, with no address but what is in `keys`."""
    own = {
        "tenant_id": stage.sim.tenant_id,
        "client_id": stage.sim.client_id,
        "ca_bundle": stage.sim.ca_bundle,
    }
    lines = [f'{key} = "{value}"' for key, value in {**own, "cloud": cloud, **keys}.items() if value]
    config = '[sync]\ntenants = ["contoso"]\n[tenants.contoso]\n' + "\n".join(lines)
    secrets = f'[tenants.contoso]\nclient_secret = "{stage.sim.client_secret}"\n'
    [tenant] = program.configure(config, secrets).settings().tenants
    return tenant


def read_one_row(stage, tenant, tmp_path):
    """Sign in and read, as a sync would."""
    quota = Quota(tmp_path / "quota.sqlite", "contoso__machine_actions", 100, 1_500)
    client = DefenderClient(
        tenant, token_provider(tenant, stage.clock), quota, stage.clock, Patience(60, "contoso")
    )
    try:
        return client.get("machineactions", {"$top": "1"}, bytes).content
    finally:
        client.close()
        quota.close()


@pytest.mark.parametrize("cloud", TABLE)
def test_a_cloud_is_reached_at_its_own_hosts(program, stage, proxy, tmp_path, cloud):
    login, api, audience = TABLE[cloud]
    tenant = configured(program, stage, cloud)
    assert tenant.scope == f"https://{audience}/.default"
    assert b'"value"' in read_one_row(stage, tenant, tmp_path)
    assert set(proxy.asked) == {f"CONNECT {login}:443", f"CONNECT {api}:443"}


def test_the_table_has_every_cloud():
    assert set(TABLE) == set(CLOUDS) - {"simulator"}


def test_addresses_and_scope_may_be_overridden(program, stage, proxy, tmp_path):
    tenant = configured(
        program,
        stage,
        "gcc_high",
        api_url="https://api.securitycenter.windows.com/",
        login_url="https://login.microsoftonline.com",
        scope="https://api.security.microsoft.com/.default",
    )
    read_one_row(stage, tenant, tmp_path)
    assert set(proxy.asked) == {f"CONNECT {PUBLIC}:443", "CONNECT api.securitycenter.windows.com:443"}


def test_loopback_is_reached_without_a_proxy(program, stage, proxy, tmp_path):
    tenant = configured(program, stage, "commercial", api_url=stage.sim.url, login_url=stage.sim.url)
    read_one_row(stage, tenant, tmp_path)
    assert proxy.asked == []


def test_a_tenant_s_ca_bundle_wins_over_the_environment_s(program, stage, proxy, tmp_path, monkeypatch):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    tenant = configured(program, stage, "commercial")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    assert b'"value"' in read_one_row(stage, tenant, tmp_path)


def test_the_environment_s_bundle_serves_where_the_tenant_has_none(
    program, stage, proxy, tmp_path, monkeypatch
):
    tenant = configured(program, stage, "commercial", ca_bundle="")
    with pytest.raises(UnavailableError) as caught:
        read_one_row(stage, tenant, tmp_path)
    assert "its certificate is not trusted; name its authority in ca_bundle" in str(caught.value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", stage.sim.ca_bundle)
    assert b'"value"' in read_one_row(stage, tenant, tmp_path)


def test_an_unknown_cloud_is_refused_with_the_known_ones(program, stage):
    with pytest.raises(ConfigurationError) as caught:
        configured(program, stage, "china")
    assert str(caught.value).endswith(
        "tenants.contoso.cloud must be one of commercial, us, eu, uk, au, swa, ina, gcc, gcc_high, dod, "
        "simulator, not 'china'"
    )

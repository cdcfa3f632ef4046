"""Which keys each way to sign in needs, and credentials that are written once for many tenants."""

from __future__ import annotations

import pytest

from pipelines.errors import ConfigurationError

HEAD = '[sync]\ntenants = ["contoso"]\n[tenants.contoso]\n'


def complaint(program, config, secrets="", env=None):
    with pytest.raises(ConfigurationError) as caught:
        program.configure(config, secrets).settings(env=env)
    return str(caught.value)


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        ("secret", ["tenant_id", "client_id", "client_secret"]),
        ("certificate", ["tenant_id", "client_id", "certificate_path"]),
        ("federated", ["tenant_id", "client_id", "federated_token_file"]),
        ("device_code", ["tenant_id", "client_id"]),
        ("token", ["access_token"]),
    ],
)
def test_what_a_way_to_sign_in_misses_is_named(program, auth, missing):
    named = " and ".join(f"tenants.contoso.{key}" for key in missing)
    variables = " and ".join(f"TENANTS__CONTOSO__{key.upper()}" for key in missing)
    assert complaint(program, HEAD + f'auth = "{auth}"\n') == (
        f'{named} missing, which auth = "{auth}" needs: set {"it" if len(missing) == 1 else "them"} in '
        f".dlt/secrets.toml or as {variables} in the environment"
    )


def test_a_managed_identity_needs_nothing(program):
    [tenant] = program.configure(HEAD + 'auth = "managed_identity"\n').settings().tenants
    assert (tenant.auth, tenant.api_url) == ("managed_identity", "https://api.security.microsoft.com")


@pytest.mark.parametrize("variable", ["AZURE_FEDERATED_TOKEN_FILE", "ACTIONS_ID_TOKEN_REQUEST_URL"])
def test_a_platform_s_own_assertion_needs_no_key(program, variable):
    config = HEAD + 'auth = "federated"\ntenant_id = "t"\nclient_id = "c"\n'
    assert program.configure(config).settings(env={variable: "x"}).tenants[0].auth == "federated"


@pytest.mark.parametrize("key", ["certificate_path", "federated_token_file", "ca_bundle"])
def test_a_file_that_is_not_there_is_named(program, key):
    assert complaint(program, HEAD + f'{key} = "~/no/such.pem"\n') == (
        f"tenants.contoso.{key}: no such file: ~/no/such.pem"
    )


def test_an_unknown_way_to_sign_in_is_refused_with_the_known_ones(program):
    assert complaint(program, HEAD + 'auth = "password"\n').endswith(
        "tenants.contoso.auth must be one of secret, certificate, managed_identity, federated, device_code, "
        "token, not 'password'"
    )


# --- [auth.NAME] ----------------------------------------------------------------------------------

MANY = """
[sync]
tenants = ["contoso", "contoso_labs"]
[auth.provider]
client_id = "11111111-0000-4000-8000-000000000000"
[tenants.contoso]
tenant_id = "contoso.onmicrosoft.com"
credentials = "provider"
[tenants.contoso_labs]
tenant_id = "labs.contoso.com"
credentials = "provider"
client_secret = "their own"
"""


def test_one_application_s_credentials_serve_many_tenants(program):
    secrets = '[auth.provider]\nclient_secret = "shared"\n'
    tenants = program.configure(MANY, secrets).settings().tenants
    assert [(tenant.tenant_id, tenant.client_id, tenant.client_secret) for tenant in tenants] == [
        ("contoso.onmicrosoft.com", "11111111-0000-4000-8000-000000000000", "shared"),
        ("labs.contoso.com", "11111111-0000-4000-8000-000000000000", "their own"),
    ]


def test_shared_credentials_may_come_from_the_environment(program):
    env = {"AUTH__PROVIDER__CLIENT_SECRET": "from there"}
    assert program.configure(MANY).settings(env=env).tenants[0].client_secret == "from there"


def test_credentials_that_nobody_wrote_are_refused(program):
    config = MANY.replace('credentials = "provider"', 'credentials = "other"', 1)
    assert complaint(program, config) == (
        "tenants.contoso.credentials names 'other', but there is no [auth.other] section; known are provider"
    )


@pytest.mark.parametrize("key", ["tenant_id", "cloud", "client_secrte"])
def test_an_auth_section_holds_credentials_only(program, key):
    told = complaint(program, MANY.replace("[auth.provider]", f'[auth.provider]\n{key} = "x"'))
    assert f"unknown key auth.provider.{key}; known are access_token, auth, certificate_password" in told


def test_an_unknown_key_of_shared_credentials_in_the_environment_is_named(program):
    told = complaint(program, MANY, env={"AUTH__PROVIDER__SECRET": "x"})
    assert told.startswith("the environment: unknown key auth.provider.secret; known are")

"""The configuration: its keys, their defaults and rules.

Owns every key under `sync`, `alerts`, `tenants` and `auth`, and what they must be together. An unknown key, a
wrong type or a missing credential is a ConfigurationError that names the key. `docs/configuration.md` is made of this.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pipelines.clouds import CLOUDS, SIMULATOR
from pipelines.config_values import (
    ENVIRONMENT,
    Source,
    read_record,
    read_sources,
    refuse_unknown_keys,
    refuse_unknown_sections,
    section_names,
)
from pipelines.errors import ConfigurationError

RESOURCES = ("machine_actions", "investigations")
# The ways to sign in, and the keys that each needs.
AUTH_KINDS = {
    "secret": ("tenant_id", "client_id", "client_secret"),
    "certificate": ("tenant_id", "client_id", "certificate_path"),
    "managed_identity": (),
    "federated": ("tenant_id", "client_id"),
    "device_code": ("tenant_id", "client_id"),
    "token": ("access_token",),
}
SIGN_IN_IS_ELSEWHERE = ("token", "managed_identity")
# Where the platform says that it puts a workload's assertion: Kubernetes' webhook, GitHub Actions.
FEDERATED_VARIABLES = ("AZURE_FEDERATED_TOKEN_FILE", "ACTIONS_ID_TOKEN_REQUEST_URL")
TENANT_NAME = re.compile(r"[a-z][a-z0-9_]*")
# dlt and DuckDB take paths for SQL text, addresses, or partitions in places.
UNFIT_FOR_PATHS = frozenset("'%?\\=\0")
# Of a host's name, by RFC 1035.
LONGEST_LABEL = 63


def option(
    default: Any,
    text: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Iterable[str] | None = None,
    pattern: str | None = None,
    secret: bool = False,
    credential: bool = False,
) -> Any:
    """A key's default, its one-sentence meaning and its rules.

    A credential may also stand in the [auth.NAME] section that the tenant names.
    """
    rules = {
        "text": text,
        "at_least": at_least,
        "at_most": at_most,
        "choices": choices,
        "pattern": pattern,
        "secret": secret,
        "credential": credential,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: tuple(default), metadata=rules)
    return field(default=default, metadata=rules, repr=not secret)


@dataclass(frozen=True)
class SyncSettings:
    """The keys of `[sync]`."""

    tenants: tuple[str, ...] = option(["demo"], "Tenants to sync, each with a [tenants.NAME] section.")
    resources: tuple[str, ...] = option(list(RESOURCES), "What to sync.", choices=RESOURCES)
    data_dir: str = option("data", "Folder of everything a sync writes; simulator tenants use demo/ in it.")
    initial_lookback_days: int = option(180, "How far the first sync reaches back.", at_least=1, at_most=180)
    lookback_minutes: int = option(
        60, "How far each sync reads again behind its watermark.", at_least=0, at_most=259_200
    )
    page_size: int = option(10_000, "Rows asked for a page.", at_least=1, at_most=10_000)
    requests_per_minute: int = option(100, "Calls a minute, for each tenant and list.", at_least=1)
    requests_per_hour: int = option(1_500, "Calls an hour, for each tenant and list.", at_least=1)
    max_concurrent_requests: int = option(
        4, "Calls under way at once, for each tenant.", at_least=1, at_most=16
    )
    max_wait_minutes: float = option(
        65.0, "Patience with throttling, in all, for one tenant.", at_least=0, at_most=10_080
    )
    scrub_calls: int = option(2, "Calls a sync spends on reading settled history again.", at_least=0)
    run_log_days: int = option(90, "How long rows of sync_runs are kept.", at_least=1, at_most=36_500)
    publish_by_tenant: bool = option(
        False, "Publish a snapshot for each tenant too, at data_dir/published_by_tenant/TENANT."
    )
    requestor_aliases: tuple[str, ...] = option(
        [], "Names of applications, each as `what the API tells = name to show`, such as a guid's."
    )
    published_mode: str = option("0640", "File mode of what is published.", pattern="0?[0-7]{3}")
    metrics_file: str = option(
        "",
        "Publishes the last run's figures in this .prom file; else data_dir/metrics.prom, its owner's only.",
        pattern=r".*\.prom",
    )


@dataclass(frozen=True)
class AlertSettings:
    """The keys of `[alerts]`."""

    webhook_url: str = option("", "Where changes of health are told, by POST; https://.", secret=True)
    max_age_minutes: int = option(
        120, "From which age of its last success a resource is stale.", at_least=1, at_most=525_600
    )


@dataclass(frozen=True)
class TenantSettings:
    """The keys of `[tenants.NAME]`."""

    name: str = ""
    cloud: str = option("commercial", "Which of Microsoft's clouds, or the simulator.", choices=CLOUDS)
    tenant_id: str = option("", "Directory (tenant) id.", pattern=r"[0-9A-Za-z.\-]+")
    credentials: str = option("", "Takes the credentials that stand in [auth.NAME]: the name.")
    auth: str = option("secret", "How to sign in.", choices=AUTH_KINDS, credential=True)
    client_id: str = option("", "Application (client) id.", pattern=r"[0-9A-Za-z.\-]+", credential=True)
    client_secret: str = option(
        "", "The application's secret, for auth = secret.", secret=True, credential=True
    )
    certificate_path: str = option(
        "", "PEM or PFX file of certificate and private key, for auth = certificate.", credential=True
    )
    certificate_password: str = option(
        "", "What the private key is encrypted with, if it is.", secret=True, credential=True
    )
    managed_identity_client_id: str = option(
        "",
        "Which user-assigned identity, for auth = managed_identity; else the machine's own.",
        pattern=r"[0-9A-Za-z\-]+",
        credential=True,
    )
    federated_token_file: str = option(
        "",
        "File of the assertion, for auth = federated; else AZURE_FEDERATED_TOKEN_FILE's, or GitHub Actions' own.",
        credential=True,
    )
    token_cache: str = option(
        "", "File that keeps a person signed in, for auth = device_code; else data_dir/tokens/TENANT.json."
    )
    access_token: str = option("", "A token as it is, for auth = token.", secret=True, credential=True)
    api_url: str = option("", "Overrides the cloud's API address.")
    login_url: str = option("", "Overrides the cloud's sign-in address.")
    scope: str = option("", "Overrides the cloud's scope.")
    ca_bundle: str = option("", "PEM file of the certificate authorities to trust, for this tenant.")

    @property
    def is_simulated(self) -> bool:
        """Whether this tenant lives in the simulator."""
        return self.cloud == SIMULATOR

    @property
    def needs_own_simulator(self) -> bool:
        """Whether the sync starts a simulator for it, rather than use one that runs already."""
        return self.is_simulated and not self.api_url


@dataclass(frozen=True)
class Settings:
    """The whole configuration of one run."""

    sync: SyncSettings
    tenants: tuple[TenantSettings, ...]
    alerts: AlertSettings = field(default_factory=AlertSettings)

    @property
    def aliases(self) -> dict[str, str]:
        """The names of applications, by what the API tells of them."""
        pairs = (alias.partition("=") for alias in self.sync.requestor_aliases)
        return {told.strip(): shown.strip() for told, _, shown in pairs}

    @property
    def data_dir(self) -> Path:
        """Where this run writes; simulated rows never share a folder with real ones."""
        base = Path(self.sync.data_dir).expanduser()
        return base / "demo" if any(tenant.is_simulated for tenant in self.tenants) else base


def load_settings(only_tenants: Iterable[str] = (), *, former_too: bool = False) -> Settings:
    """Read and check the configuration; `only_tenants` narrows the run to some of `sync.tenants`.

    `former_too`: names of others are passed over, as they may be of tenants that were taken out.

    Raises ConfigurationError, which names the key and where it stands.
    """
    sources = read_sources()
    refuse_unknown_sections(sources)
    sync = _read_sync(sources)
    alerts = _read_alerts(sources)
    asked = tuple(dict.fromkeys(only_tenants))
    for name in asked:
        if name not in sync.tenants and not former_too:
            raise ConfigurationError(
                f"--tenant {name}: not in sync.tenants ({', '.join(sync.tenants) or 'which is empty'})"
            )
    asked = tuple(name for name in asked if name in sync.tenants)
    known = section_names("tenants", sources)
    for name in (*sync.tenants, *known):
        _check_tenant_name(name)
    _refuse_unknown_tenants(sync.tenants, sources)
    for name in known:
        refuse_unknown_keys(f"tenants.{name}", key_names(TenantSettings), sources)
    for name in section_names("auth", sources):
        refuse_unknown_keys(f"auth.{name}", credential_names(), sources)
    if not sync.tenants:
        raise ConfigurationError("sync.tenants is empty: name at least one tenant")
    tenants = tuple(_tenant(name, known, sources) for name in asked or dict.fromkeys(sync.tenants))
    _refuse_mixed_worlds(tenants)
    return with_token_caches(Settings(sync, tenants, alerts))


def _refuse_unknown_tenants(tenants: Iterable[str], sources: list[Source]) -> None:
    """A tenant that only the environment knows, and that no run asks for, is a misspelt one."""
    in_files = section_names("tenants", [source for source in sources if source.name != ENVIRONMENT])
    for name in section_names("tenants", sources):
        if name not in in_files and name not in tenants:
            raise ConfigurationError(
                f"{ENVIRONMENT}: TENANTS__{name.upper()}__… is of no tenant; known are {', '.join(tenants)}"
            )


def key_names(kind: type[SyncSettings] | type[AlertSettings] | type[TenantSettings]) -> list[str]:
    """The keys of a section."""
    return [each.name for each in fields(kind) if each.metadata]


def credential_names() -> list[str]:
    """The keys of [auth.NAME]."""
    return [each.name for each in fields(TenantSettings) if each.metadata and each.metadata["credential"]]


def with_token_caches(settings: Settings) -> Settings:
    """The settings, each tenant with the file that keeps its person signed in."""
    folder = settings.data_dir / "tokens"
    return replace(
        settings,
        tenants=tuple(
            replace(tenant, token_cache=tenant.token_cache or str(folder / f"{tenant.name}.json"))
            for tenant in settings.tenants
        ),
    )


def _read_sync(sources: list[Source]) -> SyncSettings:
    refuse_unknown_keys("sync", key_names(SyncSettings), sources)
    sync = read_record(SyncSettings, "sync", sources)
    for alias in sync.requestor_aliases:
        told, _, shown = alias.partition("=")
        if not told.strip() or not shown.strip() or not alias.isprintable():
            raise ConfigurationError(f"sync.requestor_aliases: '{alias}' is not of the form 'guid = name'")
    if not sync.resources:
        raise ConfigurationError(f"sync.resources is empty: name {' or '.join(RESOURCES)}, or both")
    _check_data_dir(sync.data_dir)
    return replace(sync, resources=tuple(dict.fromkeys(sync.resources)))


def _check_data_dir(name: str) -> None:
    if not name:
        raise ConfigurationError("sync.data_dir is empty: name a folder")
    path = _whole_path("sync.data_dir", name).absolute()
    unfit = next((each for each in str(path) if each in UNFIT_FOR_PATHS), None)
    if unfit:
        raise ConfigurationError(
            f"sync.data_dir: the path {path} has {unfit!r} in it, which the loader cannot take; choose one with "
            f"none of {' '.join(sorted(UNFIT_FOR_PATHS - {chr(0)}))}"
        )


def _whole_path(key: str, name: str) -> Path:
    """The path with ~ made out."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise ConfigurationError(f"{key}: '{name}' names a user that this machine does not have") from None


def _read_alerts(sources: list[Source]) -> AlertSettings:
    refuse_unknown_keys("alerts", key_names(AlertSettings), sources)
    alerts = read_record(AlertSettings, "alerts", sources)
    if alerts.webhook_url:
        _check_webhook(alerts.webhook_url)
    return alerts


def _check_webhook(url: str) -> None:
    """Refuse what is no address to send to; the address is a secret, so no message shows it."""
    parts = _parts(url)
    if parts is None or not parts.hostname or parts.username:
        raise ConfigurationError("alerts.webhook_url is no address such as https://HOST/PATH")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError("alerts.webhook_url: plain http is for loopback hosts only; write https://")


def _check_tenant_name(name: str) -> None:
    if not TENANT_NAME.fullmatch(name) or "__" in name:
        raise ConfigurationError(
            f"tenant name '{name}': write lower-case letters, digits and single underscores, a letter first"
        )


def _tenant(name: str, known: list[str], sources: list[Source]) -> TenantSettings:
    if name not in known:
        if not any(source.document for source in sources):
            raise ConfigurationError(
                f"no configuration: .dlt/config.toml in {Path.cwd()} is missing or empty; "
                "run this in the project's folder"
            )
        raise ConfigurationError(f"sync.tenants names '{name}', but there is no [tenants.{name}] section")
    tenant = _with_credentials(read_record(TenantSettings, f"tenants.{name}", sources, name=name), sources)
    if tenant.needs_own_simulator:
        return tenant
    tenant = _with_whole_paths(_with_cloud_addresses(tenant))
    _check_addresses(tenant)
    _check_credentials(tenant)
    return tenant


def _with_credentials(tenant: TenantSettings, sources: list[Source]) -> TenantSettings:
    """The tenant, with the keys of the [auth.NAME] section that it names; its own come first."""
    if not tenant.credentials:
        return tenant
    named = section_names("auth", sources)
    if tenant.credentials not in named:
        raise ConfigurationError(
            f"tenants.{tenant.name}.credentials names '{tenant.credentials}', but there is no "
            f"[auth.{tenant.credentials}] section" + (f"; known are {', '.join(named)}" if named else "")
        )
    shared = read_record(
        TenantSettings, f"auth.{tenant.credentials}", sources, keys=credential_names(), name=tenant.name
    )
    values = {key: getattr(shared, key) for key in key_names(TenantSettings)}
    return read_record(TenantSettings, f"tenants.{tenant.name}", sources, **values, name=tenant.name)


def _with_cloud_addresses(tenant: TenantSettings) -> TenantSettings:
    cloud = CLOUDS[tenant.cloud]
    return replace(
        tenant,
        api_url=(tenant.api_url or cloud.api_url).rstrip("/"),
        login_url=(tenant.login_url or cloud.login_url).rstrip("/"),
        scope=tenant.scope or cloud.scope,
    )


def _with_whole_paths(tenant: TenantSettings) -> TenantSettings:
    """The tenant, with ~ made out in its paths; each file must be there."""
    paths = {}
    for key in ("ca_bundle", "certificate_path", "federated_token_file"):
        if getattr(tenant, key):
            paths[key] = str(_whole_path(f"tenants.{tenant.name}.{key}", getattr(tenant, key)))
            if "\0" in paths[key] or not Path(paths[key]).is_file():
                raise ConfigurationError(f"tenants.{tenant.name}.{key}: no such file: {getattr(tenant, key)}")
    return replace(tenant, **paths)


def _check_addresses(tenant: TenantSettings) -> None:
    keys = ("api_url",) if tenant.auth in SIGN_IN_IS_ELSEWHERE else ("api_url", "login_url")
    for key in keys:
        url = getattr(tenant, key)
        parts = _parts(url)
        if parts is None or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ConfigurationError(
                f"tenants.{tenant.name}.{key}: '{url}' is no address such as https://HOST"
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigurationError(
                f"tenants.{tenant.name}.{key}: plain http is for loopback hosts only; write https://"
            )
        if tenant.is_simulated and not is_loopback(parts.hostname):
            raise ConfigurationError(
                f"tenants.{tenant.name}.{key}: a simulator runs on this machine; '{parts.hostname}' does not"
            )


def _parts(url: str) -> SplitResult | None:
    """The parts of a web address; None of what is none."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return None
    is_fit = parts.scheme in ("https", "http") and url.isprintable() and " " not in url
    labels = host.removesuffix(".").split(".")
    return parts if is_fit and all(0 < len(label) <= LONGEST_LABEL for label in labels) else None


def _check_credentials(tenant: TenantSettings) -> None:
    if not re.fullmatch(r"[!-~]*", tenant.access_token):
        raise ConfigurationError(
            f"tenants.{tenant.name}.access_token has a character that no token has, such as a space or a line break"
        )
    missing = [key for key in AUTH_KINDS[tenant.auth] if not getattr(tenant, key)]
    offered = tenant.federated_token_file or any(os.environ.get(name) for name in FEDERATED_VARIABLES)
    if tenant.auth == "federated" and not offered:
        missing.append("federated_token_file")
    if missing:
        named = " and ".join(f"tenants.{tenant.name}.{key}" for key in missing)
        variables = " and ".join(f"TENANTS__{tenant.name.upper()}__{key.upper()}" for key in missing)
        raise ConfigurationError(
            f'{named} missing, which auth = "{tenant.auth}" needs: '
            f"set {'it' if len(missing) == 1 else 'them'} in .dlt/secrets.toml or as {variables} in the environment"
        )


def _refuse_mixed_worlds(tenants: Iterable[TenantSettings]) -> None:
    simulated = [tenant.name for tenant in tenants if tenant.is_simulated]
    real = [tenant.name for tenant in tenants if not tenant.is_simulated]
    if simulated and real:
        raise ConfigurationError(
            f"simulator tenants ({', '.join(simulated)}) and real ones ({', '.join(real)}) cannot share a run: "
            "take one kind out of sync.tenants, or choose with --tenant"
        )


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine: localhost or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

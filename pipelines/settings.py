"""The configuration: its keys, their defaults and rules, read through dlt's own providers.

Owns every key under `sync` and `tenants`. An unknown key, a wrong type or a missing credential is a
ConfigurationError that names the key; nothing is read from the network and nothing is written.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pipelines.clouds import CLOUDS, SIMULATOR
from pipelines.errors import ConfigurationError

RESOURCES = ("machine_actions", "investigations")
AUTH_KINDS = ("secret", "token")
TENANT_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Sections of the same files that belong to dlt itself.
DLT_SECTIONS = frozenset({"runtime", "load", "normalize", "extract", "data_writer", "schema", "destination"})

Record = TypeVar("Record", bound="SyncSettings | TenantSettings")


def option(
    default: Any,
    text: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: Iterable[str] | None = None,
    pattern: str | None = None,
    secret: bool = False,
) -> Any:
    """A key's default, its one-sentence meaning and its rules."""
    rules = {
        "text": text,
        "at_least": at_least,
        "at_most": at_most,
        "choices": choices,
        "pattern": pattern,
        "secret": secret,
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
    lookback_minutes: int = option(60, "How far each sync reads again behind its watermark.", at_least=0)
    page_size: int = option(10_000, "Rows asked for a page.", at_least=1, at_most=10_000)
    requests_per_minute: int = option(100, "Calls a minute, for each tenant.", at_least=1)
    requests_per_hour: int = option(1_500, "Calls an hour, for each tenant.", at_least=1)
    max_concurrent_requests: int = option(
        4, "Calls under way at once, for each tenant.", at_least=1, at_most=16
    )
    max_wait_minutes: float = option(65.0, "Patience with throttling, in all, for one tenant.", at_least=0)
    scrub_calls: int = option(2, "Calls a sync spends on reading settled history again.", at_least=0)
    run_log_days: int = option(90, "How long rows of sync_runs are kept.", at_least=1)
    published_mode: str = option("0640", "File mode of what is published.", pattern="0?[0-7]{3}")


@dataclass(frozen=True)
class TenantSettings:
    """The keys of `[tenants.NAME]`."""

    name: str = ""
    cloud: str = option("commercial", "Which of Microsoft's clouds, or the simulator.", choices=CLOUDS)
    tenant_id: str = option("", "Directory (tenant) id.", pattern=r"[0-9A-Za-z.\-]+")
    client_id: str = option("", "Application (client) id.", pattern=r"[0-9A-Za-z.\-]+")
    auth: str = option("secret", "How to sign in.", choices=AUTH_KINDS)
    client_secret: str = option("", "The application's secret, for auth = secret.", secret=True)
    access_token: str = option("", "A token as it is, for auth = token.", secret=True)
    api_url: str = option("", "Overrides the cloud's API address.")
    login_url: str = option("", "Overrides the cloud's sign-in address.")
    scope: str = option("", "Overrides the cloud's scope.")
    ca_bundle: str = option("", "PEM file of the certificate authorities to trust.")

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

    @property
    def data_dir(self) -> Path:
        """Where this run writes; simulated rows never share a folder with real ones."""
        base = Path(self.sync.data_dir).expanduser()
        return base / "demo" if any(tenant.is_simulated for tenant in self.tenants) else base


def load_settings(only_tenants: Iterable[str] = ()) -> Settings:
    """Read and check the configuration; `only_tenants` narrows the run to some of `sync.tenants`.

    Raises ConfigurationError, which names the key and where it stands.
    """
    sources = _sources()
    _refuse_unknown_sections(sources)
    sync = _read(SyncSettings, "sync", sources)
    asked = tuple(dict.fromkeys(only_tenants))
    for name in asked:
        if name not in sync.tenants:
            raise ConfigurationError(
                f"--tenant {name}: not in sync.tenants ({', '.join(sync.tenants) or 'which is empty'})"
            )
    known = _tenant_names(sources)
    for name in (*sync.tenants, *known):
        _check_tenant_name(name)
    for name in known:
        _refuse_unknown_keys(TenantSettings, f"tenants.{name}", sources)
    if not sync.tenants:
        raise ConfigurationError("sync.tenants is empty: name at least one tenant")
    tenants = tuple(_tenant(name, known, sources) for name in asked or dict.fromkeys(sync.tenants))
    _refuse_mixed_worlds(tenants)
    return Settings(sync, tenants)


# --- where values come from ---------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """One of dlt's providers: its name for messages, its whole document, and a look-up of one key."""

    name: str
    document: Mapping[str, Any]
    get: Callable[[str, bool], Any]


def _sources() -> list[Source]:
    """Dlt's providers in the order in which they win: environment, secrets, config."""
    import tomlkit
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.providers import EnvironProvider
    from dlt.common.configuration.providers.doc import BaseDocProvider
    from dlt.common.configuration.specs import PluggableRunContext
    from dlt.common.typing import TSecretStrValue

    try:
        providers = Container()[PluggableRunContext].providers.providers
    except Exception as error:
        raise ConfigurationError(f"the configuration cannot be read: {_one_line(error)}") from error

    sources = []
    for provider in providers:

        def get(dotted: str, secret: bool, provider: Any = provider) -> Any:
            *sections, key = dotted.split(".")
            return provider.get_value(key, TSecretStrValue if secret else str, "", *sections)[0]

        if isinstance(provider, EnvironProvider):
            sources.append(Source("the environment", _environment_document(), get))
        elif isinstance(provider, BaseDocProvider):
            places = ", ".join(provider.present_locations) or provider.name
            document = tomlkit.parse(provider.to_toml()).unwrap()
            sources.append(Source(places, document, get))
    return sources


def _environment_document() -> dict[str, Any]:
    document: dict[str, Any] = {}
    for variable, value in os.environ.items():
        head, *rest = variable.split("__")
        if head == "SYNC":
            document.setdefault("sync", {})["__".join(rest).lower()] = value
        elif head == "TENANTS":
            name, *key = rest or [""]
            section = document.setdefault("tenants", {}).setdefault(name.lower(), {})
            section["__".join(key).lower()] = value
    return document


def _refuse_unknown_sections(sources: Iterable[Source]) -> None:
    for source in sources:
        for section, content in source.document.items():
            if section in DLT_SECTIONS:
                continue
            if section not in ("sync", "tenants"):
                raise ConfigurationError(
                    f"{source.name}: unknown section or key '{section}'; known are [sync] and [tenants.NAME]"
                )
            if not isinstance(content, Mapping):
                raise ConfigurationError(f"{source.name}: '{section}' must be a section: [{section}]")


def _tenant_names(sources: Iterable[Source]) -> list[str]:
    names: dict[str, None] = {}
    for source in sources:
        for name, content in source.document.get("tenants", {}).items():
            if not isinstance(content, Mapping):
                raise ConfigurationError(f"{source.name}: unknown key tenants.{name}; write [tenants.NAME]")
            names[name] = None
    return list(names)


def _check_tenant_name(name: str) -> None:
    if not TENANT_NAME.fullmatch(name) or "__" in name:
        raise ConfigurationError(
            f"tenant name '{name}': write lower-case letters, digits and single underscores, a letter first"
        )


# --- one section --------------------------------------------------------------------------------


def _refuse_unknown_keys(kind: type[Record], section: str, sources: Iterable[Source]) -> None:
    allowed = [f.name for f in fields(kind) if f.metadata]
    for source in sources:
        content: Any = source.document
        for part in section.split("."):
            content = content.get(part, {})
        for key in content:
            if key not in allowed:
                raise ConfigurationError(
                    f"{source.name}: unknown key {section}.{key}; known are {', '.join(sorted(allowed))}"
                )


def _read(kind: type[Record], section: str, sources: list[Source], **given: Any) -> Record:
    _refuse_unknown_keys(kind, section, sources)
    values = dict(given)
    for each in fields(kind):
        if not each.metadata:
            continue
        key = f"{section}.{each.name}"
        for source in sources:
            raw = source.get(key, each.metadata["secret"])
            if raw is not None:
                values[each.name] = _checked(key, raw, each, source.name)
                break
    return kind(**values)


def _checked(key: str, raw: Any, each: Field[Any], place: str) -> Any:
    default = each.default if each.default is not MISSING else ()
    try:
        value = _coerced(raw, default)
    except (ValueError, TypeError):
        shown = "the value" if each.metadata["secret"] else repr(raw)
        raise ConfigurationError(f"{place}: {key} must be {_type_name(default)}, not {shown}") from None
    problem = _broken_rule(value, each.metadata)
    if problem:
        raise ConfigurationError(f"{place}: {key} {problem}")
    return value


def _coerced(raw: Any, default: Any) -> Any:
    """`raw` in the type of `default`; text, as the environment has it, is accepted for every type."""
    if isinstance(default, tuple):
        return _text_list(raw)
    if isinstance(raw, bool):
        raise TypeError
    if isinstance(default, int):
        if isinstance(raw, float):
            raise TypeError
        return int(raw)
    if isinstance(default, float):
        return float(raw)
    if not isinstance(raw, str):
        raise TypeError
    return raw.strip()


def _text_list(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, str):
        raw = json.loads(raw) if raw.lstrip().startswith("[") else [part.strip() for part in raw.split(",")]
    if not isinstance(raw, list) or not all(isinstance(part, str) for part in raw):
        raise TypeError
    return tuple(part for part in raw if part)


def _type_name(default: Any) -> str:
    names = {tuple: "a list of names", int: "a whole number", float: "a number", str: "text in quotes"}
    return names[type(default)]


def _broken_rule(value: Any, rules: Mapping[str, Any]) -> str | None:
    if rules["at_least"] is not None and not value >= rules["at_least"]:
        return f"must be at least {rules['at_least']}, not {value}"
    if rules["at_most"] is not None and not value <= rules["at_most"]:
        return f"must be at most {rules['at_most']}, not {value}"
    if rules["choices"] is not None:
        for each in value if isinstance(value, tuple) else (value,):
            if each not in rules["choices"]:
                return f"must be one of {', '.join(rules['choices'])}, not '{each}'"
    if rules["pattern"] is not None and value and not re.fullmatch(rules["pattern"], value):
        return f"has a value of the wrong form: '{value}'"
    return None


# --- tenants ------------------------------------------------------------------------------------


def _tenant(name: str, known: list[str], sources: list[Source]) -> TenantSettings:
    if name not in known:
        raise ConfigurationError(f"sync.tenants names '{name}', but there is no [tenants.{name}] section")
    tenant = _read(TenantSettings, f"tenants.{name}", sources, name=name)
    if tenant.needs_own_simulator:
        return tenant
    tenant = _with_cloud_addresses(tenant)
    _check_addresses(tenant)
    _check_credentials(tenant)
    return tenant


def _with_cloud_addresses(tenant: TenantSettings) -> TenantSettings:
    cloud = CLOUDS[tenant.cloud]
    return replace(
        tenant,
        api_url=(tenant.api_url or cloud.api_url).rstrip("/"),
        login_url=(tenant.login_url or cloud.login_url).rstrip("/"),
        scope=tenant.scope or cloud.scope,
    )


def _check_addresses(tenant: TenantSettings) -> None:
    keys = ("api_url",) if tenant.auth == "token" else ("api_url", "login_url")
    for key in keys:
        url = getattr(tenant, key)
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
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
    if tenant.ca_bundle and not Path(tenant.ca_bundle).expanduser().is_file():
        raise ConfigurationError(f"tenants.{tenant.name}.ca_bundle: no such file: {tenant.ca_bundle}")


def _check_credentials(tenant: TenantSettings) -> None:
    needed = {"secret": ("tenant_id", "client_id", "client_secret"), "token": ("access_token",)}
    missing = [key for key in needed[tenant.auth] if not getattr(tenant, key)]
    if missing:
        named = " and ".join(f"tenants.{tenant.name}.{key}" for key in missing)
        variable = f"TENANTS__{tenant.name.upper()}__{missing[-1].upper()}"
        raise ConfigurationError(
            f'{named} missing, which auth = "{tenant.auth}" needs: '
            f"set it in .dlt/secrets.toml or as {variable} in the environment"
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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())

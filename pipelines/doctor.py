"""`defender-sync doctor`: looks at everything that a sync needs, and says what is wrong and how to mend it.

It reads one row of each list and writes nothing but the count of its calls. Each finding stands by itself: what
fails does not keep the rest from being looked at, unless there is nothing left to look at.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from pipelines.auth import token_provider
from pipelines.auth.certificate import certificate_end
from pipelines.auth.claims import Claims, read_claims
from pipelines.client import DefenderClient, Patience
from pipelines.clock import Clock
from pipelines.clouds import hosts_for, is_known_host
from pipelines.data_dir import DataDir
from pipelines.database_errors import telling_of
from pipelines.errors import DefenderSyncError, ExitCode, LockedError, NotOfferedError, StoppedError
from pipelines.local_simulator import simulated_tenants
from pipelines.permissions import permission_for
from pipelines.quota import Quota
from pipelines.resources import RESOURCES
from pipelines.settings import Settings, TenantSettings
from pipelines.warehouse import Warehouse, check_free

PATIENCE_SECONDS = 30.0
LARGEST_SKEW = timedelta(minutes=5)  # what Microsoft Entra lets pass
ENDS_SOON = timedelta(days=30)
LEAST_FREE_BYTES = 500_000_000
NOT_OFFERED = "not offered here; a sync leaves it out"
# The worst first: without a disk nothing else matters.
WORST = (ExitCode.UNEXPECTED, ExitCode.CONFIGURATION, ExitCode.AUTHENTICATION, ExitCode.UNAVAILABLE)


@dataclass(frozen=True)
class Finding:
    """What one check found. `code` is the exit code that it calls for, 0 where all is well."""

    subject: str
    told: str
    code: int = ExitCode.DONE

    @property
    def is_good(self) -> bool:
        """Green or red."""
        return self.code == ExitCode.DONE


def exit_code(findings: list[Finding]) -> int:
    """The worst of them."""
    codes = {finding.code for finding in findings if not finding.is_good}
    return next((code for code in (*WORST, *codes) if code in codes), ExitCode.DONE)


def examine(settings: Settings, clock: Clock) -> Iterator[Finding]:
    """Every check, in the order in which a sync would stumble. The configuration has been read already."""
    names = ", ".join(tenant.name for tenant in settings.tenants)
    yield Finding("configuration", f"good; tenants {names}; data in {settings.data_dir}")
    yield from _data_dir(DataDir(settings.data_dir))
    with simulated_tenants(settings) as reachable:
        for tenant in reachable.tenants:
            yield from _Tenant(reachable, tenant, clock).examine()


# --- this machine -------------------------------------------------------------------------------


def _data_dir(data_dir: DataDir) -> Iterator[Finding]:
    yield _disk(data_dir)
    if not data_dir.path.is_dir():
        yield Finding("database", "not there yet; the first sync makes it")
        return
    try:
        with data_dir.locked(wait_seconds=0):
            found = [Finding("lock", "free"), _database(data_dir)]
        yield from found
    except LockedError:
        yield Finding("lock", "held: a sync is running; the database is not looked at meanwhile")
    except DefenderSyncError as error:
        yield _bad("lock", error)


def _disk(data_dir: DataDir) -> Finding:
    place = next(path for path in (data_dir.path, *data_dir.path.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        told = f"{place} cannot be written by this account: give it to the account, or set sync.data_dir"
        return Finding("disk", told, ExitCode.UNEXPECTED)
    free = shutil.disk_usage(place).free
    size = data_dir.warehouse.stat().st_size if data_dir.warehouse.exists() else 0
    # A sync writes a snapshot beside the one that is there, and keeps the one before.
    needed = LEAST_FREE_BYTES + 2 * size
    if free < needed:
        told = f"{_gigabytes(free)} free at {place}, {_gigabytes(needed)} wanted: make room, or set sync.data_dir"
        return Finding("disk", told, ExitCode.UNEXPECTED)
    return Finding("disk", f"{_gigabytes(free)} free at {place}")


def _database(data_dir: DataDir) -> Finding:
    if not data_dir.warehouse.exists():
        return Finding("database", "not there yet; the first sync makes it")
    try:
        with telling_of(data_dir.warehouse):
            data_dir.check_link()
            check_free(data_dir.warehouse)
            warehouse = Warehouse(data_dir.warehouse, read_only=True)
            try:
                counts = warehouse.row_counts() if warehouse.has_state_tables() else {}
            finally:
                warehouse.close()
    except DefenderSyncError as error:
        return _bad("database", error)
    rows = dict.fromkeys(RESOURCES, 0)
    for (_tenant, resource), count in counts.items():
        rows[resource] += count
    return Finding("database", ", ".join(f"{count:,} {name}" for name, count in rows.items()))


# --- one tenant ---------------------------------------------------------------------------------


class _Tenant:
    """The checks of one tenant; its findings bear its name."""

    def __init__(self, settings: Settings, tenant: TenantSettings, clock: Clock) -> None:
        self._settings, self._tenant, self._clock = settings, tenant, clock
        self._tokens = token_provider(tenant, clock)

    def examine(self) -> Iterator[Finding]:
        """Host, clock, credential, token, and one row of each list."""
        with self._clients() as clients:
            try:
                server_time = next(iter(clients.values())).ask_time()
            except DefenderSyncError as error:
                yield self._bad("host", error)
                return
            yield self._good("host", f"{self._tenant.api_url} answers")
            yield from self._clock_skew(server_time)
            yield from self._credential()
            try:
                token = self._tokens.token()
            except DefenderSyncError as error:
                yield self._bad("token", error)
                return
            yield from self._token(read_claims(token))
            lists = [self._list(resource, client) for resource, client in clients.items()]
            yield from lists
            if all(each.told == NOT_OFFERED for each in lists):
                told = f"{self._tenant.api_url} offers none of them: see whether api_url and cloud are this tenant's"
                yield self._red("lists", told, ExitCode.CONFIGURATION)

    @contextmanager
    def _clients(self) -> Iterator[dict[str, DefenderClient]]:
        """A client for each resource. Their calls count in the quota, where there is one."""
        options = self._settings.sync
        limits = options.requests_per_minute, options.requests_per_hour
        patience = Patience(PATIENCE_SECONDS, self._tenant.name)
        with tempfile.TemporaryDirectory() as scratch:
            kept = DataDir(self._settings.data_dir).quota
            path = kept if kept.exists() else Path(scratch) / "quota.sqlite"
            with ExitStack() as stack:
                clients = {}
                for name in options.resources:
                    quota = Quota(path, f"{self._tenant.name}__{name}", *limits)
                    stack.callback(quota.close)
                    clients[name] = DefenderClient(self._tenant, self._tokens, quota, self._clock, patience)
                    stack.callback(clients[name].close)
                yield clients

    def _clock_skew(self, server_time: datetime | None) -> Iterator[Finding]:
        if server_time is None:
            return
        ahead = (self._clock.now() - server_time).total_seconds()
        told = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the API's"
        if abs(ahead) < 1.5:  # the API tells whole seconds
            yield self._good("clock", "in step with the API's")
        elif abs(ahead) <= LARGEST_SKEW.total_seconds():
            yield self._good("clock", told)
        else:
            yield self._red("clock", f"{told}: set this machine's clock, by NTP", ExitCode.CONFIGURATION)

    def _credential(self) -> Iterator[Finding]:
        """When the credential ends, where it can be known: a secret does not tell."""
        if self._tenant.auth != "certificate":
            return
        try:
            ends = certificate_end(self._tenant)
        except DefenderSyncError:
            return  # the token's line tells
        left = ends - self._clock.now()
        if left <= timedelta(0):
            return
        told = f"the certificate ends on {ends:%Y-%m-%d}, in {left.days} days"
        if left > ENDS_SOON:
            yield self._good("credential", told)
        else:
            remedy = "make a new one and upload its public half to the app registration"
            yield self._red("credential", f"{told}: {remedy}", ExitCode.AUTHENTICATION)

    # --- the token ---

    def _token(self, claims: Claims | None) -> Iterator[Finding]:
        if claims is None:
            yield self._good("token", f"signed in by {self._tenant.auth}; it does not tell its permissions")
            return
        yield self._lifetime(claims)
        yield self._audience(claims)
        for resource in self._settings.sync.resources:
            yield self._permission(resource, claims)

    def _lifetime(self, claims: Claims) -> Finding:
        if claims.expires_at is None:
            return self._good("token", f"signed in by {self._tenant.auth}")
        left = claims.expires_at - self._clock.now()
        if left <= timedelta(0):
            told = f"it expired {_span(-left)} ago: give tenants.{self._tenant.name}.access_token a new one"
            return self._red("token", told, ExitCode.AUTHENTICATION)
        return self._good("token", f"signed in by {self._tenant.auth}; good for {_span(left)}")

    def _audience(self, claims: Claims) -> Finding:
        host = urlsplit(self._tenant.api_url).hostname or ""
        fitting = hosts_for(claims.audience)
        if not fitting:
            told = f"the token is for {claims.audience}, not for Defender: set scope to the cloud's own"
            return self._red("audience", told, ExitCode.CONFIGURATION)
        if is_known_host(host) and host not in fitting:
            told = f"the token is for {claims.audience}, which {host} does not take: set api_url to https://{fitting[0]}"
            return self._red("audience", f"{told}, or cloud to the tenant's", ExitCode.CONFIGURATION)
        return self._good("audience", claims.audience)

    def _permission(self, resource: str, claims: Claims) -> Finding:
        held, missing = permission_for(resource, claims.roles, claims.scopes)
        if held:
            return self._good("permission", f"{resource}: {held}")
        whom = f"application {claims.application} in directory {claims.tenant_id}"
        remedy = f"grant {missing} to {whom}, with an administrator's consent"
        return self._red("permission", f"{resource}: {remedy}", ExitCode.AUTHENTICATION)

    # --- the lists ---

    def _list(self, resource: str, client: DefenderClient) -> Finding:
        try:
            client.get(RESOURCES[resource].path, {"$top": "1"}, bytes)
        except NotOfferedError:
            return self._good(resource, NOT_OFFERED)
        except DefenderSyncError as error:
            return self._bad(resource, error)
        return self._good(resource, "answers")

    def _good(self, subject: str, told: str) -> Finding:
        return Finding(f"{self._tenant.name} {subject}", told)

    def _red(self, subject: str, told: str, code: int) -> Finding:
        return Finding(f"{self._tenant.name} {subject}", told, code)

    def _bad(self, subject: str, error: DefenderSyncError) -> Finding:
        return _bad(f"{self._tenant.name} {subject}", error, f"tenant {self._tenant.name}: ")


def _bad(subject: str, error: DefenderSyncError, known: str = "") -> Finding:
    if isinstance(error, StoppedError):
        raise error
    return Finding(subject, str(error).removeprefix(known), error.exit_code)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def _span(span: timedelta) -> str:
    minutes = max(int(span.total_seconds() // 60), 1)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"

"""The one module that talks to the Defender API: one GET at a time, with patience.

Owns time-outs, retries, throttling and the errors that answers mean. It follows no redirect and no
`@odata.nextLink`, and knows nothing of windows or records.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests

from pipelines.auth import BearerAuth, TokenProvider
from pipelines.clock import Clock
from pipelines.errors import (
    AuthenticationError,
    DefenderSyncError,
    NotOfferedError,
    RejectedError,
    ThrottledError,
    UnavailableError,
)
from pipelines.permissions import application_roles, delegated_scopes
from pipelines.quota import Quota
from pipelines.settings import TenantSettings, is_loopback

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 120.0)
MOST_TRIES = 6
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
THROTTLED_DELAY_SECONDS = 10.0
RETRIED_STATUSES = frozenset({408, 500, 502, 503, 504})
USER_AGENT = "defender-sync"


class ApiError(msgspec.Struct):
    """The API's error object."""

    code: str = ""
    message: str = ""


class ErrorBody(msgspec.Struct):
    """The body of an error."""

    error: ApiError = msgspec.field(default_factory=ApiError)


Content = TypeVar("Content")


@dataclass(frozen=True)
class Answer(Generic[Content]):
    """One answer: what its body was decoded to, and the server's clock where it told."""

    content: Content
    server_time: datetime | None


@dataclass
class CallCounts:
    """What the calls of one resource cost; the run log tells it."""

    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class Patience:
    """How long one tenant may wait for its quota, in all."""

    def __init__(self, longest_seconds: float, tenant: str) -> None:
        self.longest_seconds = longest_seconds
        self._tenant = tenant
        self._spent = 0.0
        self._lock = threading.Lock()

    def spend(self, seconds: float) -> None:
        """Take the wait from what is left; ThrottledError where it is more."""
        with self._lock:
            if self._spent + seconds > self.longest_seconds:
                left = max(self.longest_seconds - self._spent, 0)
                raise ThrottledError(
                    f"tenant {self._tenant}: the API's quota is spent; it asks to wait {seconds:.0f} s and "
                    f"sync.max_wait_minutes leaves {left:.0f} s. What was read is kept; sync again later"
                )
            self._spent += seconds


class DefenderClient:
    """Calls one tenant's API. Safe to be used by several threads."""

    def __init__(
        self,
        tenant: TenantSettings,
        tokens: TokenProvider,
        quota: Quota,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self.tenant = tenant
        self.quota = quota
        self.counts = CallCounts()
        self.waiting_for: str | None = None
        self._tokens = tokens
        self._clock = clock
        self._patience = patience
        self._paused_until: datetime | None = None
        self._lock = threading.Lock()
        self._session = self._new_session()

    def get(
        self, path: str, params: Mapping[str, str], decode: Callable[[bytes], Content]
    ) -> Answer[Content]:
        """GET `{api_url}/api/{path}`, retried within bounds.

        `decode` turns the body into its content; where it raises ValueError the body is taken as cut off and
        asked for again. Raises NotOfferedError (404, 410), RejectedError (400), AuthenticationError (401 twice, 403),
        ThrottledError, UnavailableError, StoppedError.
        """
        tries = 0
        renewed = False
        while True:
            self._take_turn()
            token = self._tokens.token()
            answer = self._try_once(path, params, decode)
            if isinstance(answer, Answer):
                return answer
            tries += 1
            if answer.status == 401 and not renewed and self._tokens.renew(token):
                renewed = True
            elif answer.status == 429:
                self._pause(answer.retry_after_seconds, tries)
            elif answer.can_be_retried and tries < MOST_TRIES:
                self._back_off(answer, tries)
            else:
                raise self._error(path, answer, tries)
            with self._lock:
                self.counts.retries += 1

    def ask_time(self) -> datetime | None:
        """The API's clock, asked without a token; None where it does not tell. Raises UnavailableError."""
        try:
            response = self._session.get(
                f"{self.tenant.api_url}/api/",
                auth=lambda request: request,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                verify=self.tenant.ca_bundle or True,
            )
        except requests.exceptions.SSLError:
            reason = "its TLS certificate is not trusted; name its authority in ca_bundle"
            raise UnavailableError(f"tenant {self.tenant.name}: {self.tenant.api_url}: {reason}") from None
        except requests.exceptions.RequestException as error:
            reason = f"no answer ({_cause(error)}): check api_url, the network and its proxy"
            raise UnavailableError(f"tenant {self.tenant.name}: {self.tenant.api_url}: {reason}") from None
        return _http_date(response.headers.get("Date"))

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # --- one request ---

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        session.auth = BearerAuth(self._tokens, self.tenant.api_url)
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=16)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        if is_loopback(urlsplit(self.tenant.api_url).hostname or ""):
            session.trust_env = False
        return session

    def _try_once(
        self, path: str, params: Mapping[str, str], decode: Callable[[bytes], Content]
    ) -> "Answer[Content] | Failure":
        # `$` and `'` stay as they are: some gateways in front of the API do not decode parameter names.
        query = "&".join(f"{key}={quote(value, safe=chr(39))}" for key, value in params.items())
        with self._lock:
            self.counts.calls += 1
        try:
            response = self._session.get(
                f"{self.tenant.api_url}/api/{path}?{query}",
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                # Given with the request, so that REQUESTS_CA_BUNDLE does not replace it.
                verify=self.tenant.ca_bundle or True,
            )
        except requests.exceptions.SSLError:
            return Failure("its TLS certificate is not trusted; name its authority in ca_bundle", final=True)
        except requests.exceptions.Timeout:
            return Failure("no answer in time")
        except requests.exceptions.RequestException as error:
            return Failure(f"the connection failed ({_cause(error)})")
        if response.status_code == 200:
            return _answer_of(response, decode)
        return _failure_of(response, self._clock.now())

    # --- waiting ---

    def _take_turn(self) -> None:
        """Wait until the pause that a 429 asked for is over and the quota allows a call."""
        while True:
            self._clock.raise_if_stopping()
            with self._lock:
                paused_until = self._paused_until
            now = self._clock.now()
            if paused_until is not None and now < paused_until:
                self._sleep((paused_until - now).total_seconds(), "throttled by the API")
                continue
            wait = self.quota.take(now)
            if not wait:
                return
            self._patience.spend(wait)
            self._sleep(wait, "call quota")

    def _pause(self, retry_after_seconds: float | None, tries: int) -> None:
        """Hold back all calls of this tenant as long as a 429 asks."""
        seconds = retry_after_seconds
        if seconds is None:
            seconds = min(THROTTLED_DELAY_SECONDS * 2 ** (tries - 1), LONGEST_DELAY_SECONDS)
        seconds += self._clock.jitter()
        until = self._clock.now() + timedelta(seconds=seconds)
        with self._lock:
            longer = self._paused_until is None or until > self._paused_until
            already = (
                max((self._paused_until - self._clock.now()).total_seconds(), 0) if self._paused_until else 0
            )
        if longer:
            self._patience.spend(seconds - already)
            with self._lock:
                self._paused_until = until
        logger.warning("tenant %s: throttled; waiting %.0f s as the API asks", self.tenant.name, seconds)

    def _back_off(self, answer: "Failure", tries: int) -> None:
        delay = min(FIRST_DELAY_SECONDS * 2 ** (tries - 1), LONGEST_DELAY_SECONDS)
        delay *= 0.5 + self._clock.jitter()
        if answer.retry_after_seconds is not None:
            delay = max(delay, min(answer.retry_after_seconds, LONGEST_DELAY_SECONDS))
        logger.warning(
            "tenant %s: %s; try %d of %d in %.1f s",
            self.tenant.name,
            answer.reason,
            tries + 1,
            MOST_TRIES,
            delay,
        )
        self._sleep(delay, "retry")

    def _sleep(self, seconds: float, reason: str) -> None:
        self.waiting_for = f"{reason}, {seconds:.0f} s"
        try:
            self._clock.sleep(seconds)
        finally:
            self.waiting_for = None
            with self._lock:
                self.counts.waited_seconds += seconds

    # --- errors ---

    def _error(self, path: str, answer: "Failure", tries: int) -> DefenderSyncError:
        where = f"tenant {self.tenant.name}: {path}"
        if answer.status in (404, 410):
            return NotOfferedError(f"{where}: not offered here (HTTP {answer.status})")
        if answer.status == 400:
            return RejectedError(f"{where}: the API refuses the request (HTTP 400): {answer.reason}")
        if answer.status == 401:
            return AuthenticationError(
                f"{where}: the API refuses the token (HTTP 401): {answer.reason}. "
                "Check the app registration, the cloud, and that the tenant has a licence"
            )
        if answer.status == 403:
            return AuthenticationError(
                f"{where}: permission is missing (HTTP 403): {_role_hint(path, answer, self.tenant)}"
            )
        if answer.status and 300 <= answer.status < 400:
            return UnavailableError(
                f"{where}: the API redirects elsewhere, which is not followed; check api_url"
            )
        after = f" after {tries} tries" if tries > 1 else ""
        return UnavailableError(f"{where}: {answer.reason}{after}; try again later")


@dataclass(frozen=True)
class Failure:
    """An answer that is no page, or none at all (`status` 0)."""

    reason: str
    status: int = 0
    retry_after_seconds: float | None = None
    final: bool = False

    @property
    def can_be_retried(self) -> bool:
        """Whether the next try may do better."""
        return not self.final and (self.status in RETRIED_STATUSES or self.status in (0, 200))


_error_decoder = msgspec.json.Decoder(ErrorBody)


def _answer_of(response: requests.Response, decode: Callable[[bytes], Content]) -> Answer[Content] | Failure:
    try:
        content = decode(response.content)
    except requests.exceptions.RequestException as error:
        return Failure(f"the answer broke off ({_cause(error)})", 200)
    except ValueError as error:
        # A cut-off or empty body comes with a 200: an error to retry, never "no rows".
        kind = response.headers.get("Content-Type", "none")
        return Failure(f"the answer is {_plain(str(error))} (content type {_plain(kind)[:60]})", 200)
    return Answer(content, _http_date(response.headers.get("Date")))


def _failure_of(response: requests.Response, now: datetime) -> Failure:
    status = response.status_code
    try:
        error = _error_decoder.decode(response.content).error
        told = ": ".join(part for part in (error.code, error.message) if part)
    except (msgspec.DecodeError, UnicodeDecodeError, requests.exceptions.RequestException, RecursionError):
        told = ""
    reason = f"HTTP {status}" + (f" ({_plain(told)})" if told else "")
    return Failure(reason, status, _retry_after(response.headers.get("Retry-After"), now))


def _retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a header in seconds or as an HTTP date."""
    if header is None:
        return None
    try:
        return max(float(int(header.strip())), 0.0)
    except ValueError:
        moment = _http_date(header)
        return None if moment is None else max((moment - now).total_seconds(), 0.0)


def _http_date(header: str | None) -> datetime | None:
    if not header:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _role_hint(path: str, answer: Failure, tenant: TenantSettings) -> str:
    resource = "investigations" if path.startswith("investigations") else "machine_actions"
    role, scope = application_roles(resource)[0], delegated_scopes(resource)[0]
    wanted = f"delegated permission {scope}" if tenant.auth == "device_code" else f"application role {role}"
    return f"{answer.reason}. Grant the {wanted}, with an administrator's consent"


def _plain(text: str) -> str:
    """Text of the API as one harmless line."""
    return "".join(char if char.isprintable() else " " for char in text)[:300]


def _cause(error: BaseException) -> str:
    return type(error).__name__

"""The one module that talks to the Defender API: one GET at a time, with patience.

Owns time-outs, retries, throttling and the errors that answers mean. It follows no redirect and no
`@odata.nextLink`, and knows nothing of windows or records.
"""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
from urllib3.exceptions import ReadTimeoutError

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
from pipelines.plain_text import plain
from pipelines.quota import Quota
from pipelines.settings import TenantSettings, is_loopback

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = (10.0, 120.0)
READ_AT_ONCE = 2**20
MOST_TRIES = 6
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
THROTTLED_DELAY_SECONDS = 10.0
# Beyond anybody's patience, and within what a date can hold.
LONGEST_RETRY_AFTER_SECONDS = 366 * 86_400.0
ABSENT_STATUSES = (404, 410)
RETRIED_STATUSES = frozenset({408, 500, 502, 503, 504})
# A request that will never do: a bad filter, or an address or header that is too long.
REFUSED_STATUSES = frozenset({400, 414, 431})
USER_AGENT = "defender-sync"
LONGEST_REASON = 300


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
    """One answer: what its body was decoded to, and the server's clock where it told.

    `server_ahead` is how far that is ahead of ours, negative where it is behind; zero where it lies between question
    and answer, however long that took.
    """

    content: Content
    server_time: datetime | None
    server_ahead: timedelta = timedelta(0)


@dataclass
class CallCounts:
    """What the calls of one resource cost; the run log tells it."""

    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0


class Patience:
    """How long one tenant may wait for its quota, in all; waits at the same time count once."""

    def __init__(self, longest_seconds: float, tenant: str) -> None:
        self.longest_seconds = longest_seconds
        self._tenant = tenant
        self._spent = 0.0
        self._spent_until: datetime | None = None
        self._lock = threading.Lock()

    def spend(self, now: datetime, seconds: float) -> float:
        """Take a wait that begins now from what is left; ThrottledError where it is more.

        Returns the seconds of it that no wait before covers.
        """
        end = now + timedelta(seconds=seconds)
        with self._lock:
            begin = max(now, self._spent_until or now)
            fresh = max((end - begin).total_seconds(), 0.0)
            if self._spent + fresh > self.longest_seconds:
                left = max(self.longest_seconds - self._spent, 0)
                raise ThrottledError(
                    f"tenant {self._tenant}: the API's quota is spent; it asks to wait {seconds:.0f} s and "
                    f"sync.max_wait_minutes leaves {left:.0f} s. What was read is kept; sync again later"
                )
            self._spent += fresh
            self._spent_until = max(end, begin)
            return fresh


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
        self._has_answered = False
        self._lock = threading.Lock()
        self._session = self._new_session()

    def get(
        self, path: str, params: Mapping[str, str], decode: Callable[[bytes], Content]
    ) -> Answer[Content]:
        """GET `{api_url}/api/{path}`, retried within bounds.

        `decode` turns the body into its content; where it raises ValueError the body is taken as cut off and
        asked for again. Raises NotOfferedError (404, 410 before any answer), RejectedError (400), AuthenticationError
        (401 twice, 403), ThrottledError, UnavailableError, StoppedError.
        """
        tries = throttled = 0
        renewed = False
        while True:
            self._take_turn()
            token = self._tokens.token()
            answer = self._try_once(path, params, decode, token)
            if isinstance(answer, Answer):
                self._has_answered = True
                return answer
            if answer.status == 429:
                throttled += 1
                self._pause(answer.retry_after_seconds, throttled)
                self._count_retry()
                continue
            tries += 1
            if answer.status == 401 and not renewed and self._tokens.renew(token):
                renewed = True
            elif (answer.can_be_retried or self._vanished(answer)) and tries < MOST_TRIES:
                self._back_off(answer, tries)
            else:
                raise self._error(path, answer, tries)
            self._count_retry()

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
        except (requests.exceptions.RequestException, ValueError) as error:
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
        self, path: str, params: Mapping[str, str], decode: Callable[[bytes], Content], token: str
    ) -> "Answer[Content] | Failure":
        # `$` and `'` stay as they are: some gateways in front of the API do not decode parameter names.
        query = "&".join(f"{key}={quote(value, safe=chr(39))}" for key, value in params.items())
        with self._lock:
            self.counts.calls += 1
        asked_at = self._clock.now()
        try:
            with self._session.get(
                f"{self.tenant.api_url}/api/{path}?{query}",
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                # Given with the request, so that REQUESTS_CA_BUNDLE does not replace it.
                verify=self.tenant.ca_bundle or True,
                stream=True,
            ) as response:
                body = _body_of(response)
        except requests.exceptions.SSLError:
            return Failure("its TLS certificate is not trusted; name its authority in ca_bundle", final=True)
        except requests.exceptions.RequestException as error:
            if _is_timeout(error):
                return Failure("no answer in time")
            return Failure(f"the connection failed ({_cause(error)})")
        except ValueError as error:
            # Raised as it is for a redirect to what is no address.
            return Failure(f"the answer cannot be read ({_cause(error)})")
        if response.status_code == 200:
            return _answer_of(response, body, decode, asked_at, self._clock.now())
        return _failure_of(response, body, self._clock.now(), token)

    def _count_retry(self) -> None:
        with self._lock:
            self.counts.retries += 1

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
            self._spend(now, wait)
            self._sleep(wait, "call quota")

    def _pause(self, retry_after_seconds: float | None, throttled: int) -> None:
        """Hold back all calls of this tenant as long as a 429 asks, and longer where it repeats itself."""
        if retry_after_seconds is None:
            seconds = _doubled(THROTTLED_DELAY_SECONDS, throttled)
        else:
            again = _doubled(FIRST_DELAY_SECONDS, throttled) if throttled > 1 else 0.0
            seconds = max(retry_after_seconds, again)
        seconds += self._clock.jitter()
        now = self._clock.now()
        self._spend(now, seconds)
        with self._lock:
            self._paused_until = max(now + timedelta(seconds=seconds), self._paused_until or now)
        logger.warning("tenant %s: throttled; waiting %.0f s as the API asks", self.tenant.name, seconds)

    def _back_off(self, answer: "Failure", tries: int) -> None:
        delay = _doubled(FIRST_DELAY_SECONDS, tries)
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
        with self._lock:
            self.counts.waited_seconds += delay
        self._sleep(delay, "retry")

    def _spend(self, now: datetime, seconds: float) -> None:
        """Wait on the tenant's patience; what several threads wait for at once is counted once."""
        fresh = self._patience.spend(now, seconds)
        with self._lock:
            self.counts.waited_seconds += fresh

    def _sleep(self, seconds: float, reason: str) -> None:
        self.waiting_for = f"{reason}, {seconds:.0f} s"
        try:
            self._clock.sleep(seconds)
        finally:
            self.waiting_for = None

    # --- errors ---

    def _vanished(self, answer: "Failure") -> bool:
        """A list that was there a moment ago has not ceased to be offered: something on the way fails."""
        return answer.status in ABSENT_STATUSES and self._has_answered

    def _error(self, path: str, answer: "Failure", tries: int) -> DefenderSyncError:
        where = f"tenant {self.tenant.name}: {path}"
        if answer.status in ABSENT_STATUSES and not self._vanished(answer):
            return NotOfferedError(f"{where}: not offered here (HTTP {answer.status})")
        if answer.status in REFUSED_STATUSES:
            return RejectedError(f"{where}: the API refuses the request: {answer.reason}")
        if answer.status == 401:
            return AuthenticationError(
                f"{where}: the API refuses the token: {answer.reason}. "
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


def _body_of(response: requests.Response) -> bytes:
    # Left to itself, it reads a page in hundreds of pieces, which takes up to three times as long.
    return b"".join(response.iter_content(READ_AT_ONCE))


def _answer_of(
    response: requests.Response,
    body: bytes,
    decode: Callable[[bytes], Content],
    asked_at: datetime,
    answered_at: datetime,
) -> Answer[Content] | Failure:
    try:
        content = decode(body)
    except ValueError as error:
        # A cut-off or empty body comes with a 200: an error to retry, never "no rows".
        kind = response.headers.get("Content-Type", "none")
        return Failure(f"the answer is {plain(str(error))[:100]} (content type {plain(kind)[:60]})", 200)
    server_time = _http_date(response.headers.get("Date"))
    if server_time is None:
        return Answer(content, None)
    return Answer(content, server_time, server_time - min(max(server_time, asked_at), answered_at))


def _failure_of(response: requests.Response, body: bytes, now: datetime, token: str) -> Failure:
    status = response.status_code
    try:
        error = _error_decoder.decode(body).error
        told = ": ".join(part for part in (error.code, error.message) if part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = ""
    # Some proxies tell what they were asked.
    told = plain(told.replace(token, "…"))[:LONGEST_REASON]
    reason = f"HTTP {status}" + (f" ({told})" if told else "")
    # A date is told by the server's clock; ours may be wrong.
    server_now = _http_date(response.headers.get("Date")) or now
    return Failure(reason, status, _retry_after(response.headers.get("Retry-After"), server_now))


def _retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds to wait, from a header in seconds or as an HTTP date; None where it says neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        moment = _http_date(header)
        if moment is None:
            return None
        seconds = (moment - now).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _doubled(first_seconds: float, times: int) -> float:
    """The first delay, then twice as long each time, up to the longest."""
    return min(first_seconds * 2.0 ** min(times - 1, 30), LONGEST_DELAY_SECONDS)


def _http_date(header: str | None) -> datetime | None:
    if not header:
        return None
    try:
        moment = parsedate_to_datetime(header)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _role_hint(path: str, answer: Failure, tenant: TenantSettings) -> str:
    resource = "investigations" if path.startswith("investigations") else "machine_actions"
    role, scope = application_roles(resource)[0], delegated_scopes(resource)[0]
    wanted = f"delegated permission {scope}" if tenant.auth == "device_code" else f"application role {role}"
    return f"{answer.reason}. Grant the {wanted}, with an administrator's consent"


def _is_timeout(error: requests.exceptions.RequestException) -> bool:
    """Whether nothing came for too long; requests calls it a failed connection where part of the body had come."""
    return isinstance(error, requests.exceptions.Timeout) or any(
        isinstance(cause, ReadTimeoutError) for cause in error.args
    )


def _cause(error: BaseException) -> str:
    return type(error).__name__

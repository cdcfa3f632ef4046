"""A token in hand: when it is renewed, and what is done when it cannot be. Knows no way to sign in."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pipelines.clock import Clock
from pipelines.errors import DefenderSyncError, UnavailableError

RENEW_BEFORE = timedelta(minutes=5)
RETRY_DELAY_SECONDS = 2.0
# A token refused this soon after another was is no accident: a third would be refused too.
REFUSED_AGAIN = timedelta(minutes=5)
# A failure is told again for so long without asking again: the other resource would only fail likewise.
FAILURE_KEPT = timedelta(minutes=1)


@dataclass(frozen=True)
class Grant:
    """A token and how long it is good for."""

    access_token: str
    lifetime: timedelta


class SignIn(Protocol):
    """One way to sign in."""

    def __call__(self, *, refused: bool) -> Grant:
        """A new token; never one from a cache where the last was `refused`.

        Raises AuthenticationError, ConfigurationError, UnavailableError.
        """


class TokenProvider(Protocol):
    """What the client needs of a sign-in."""

    def token(self) -> str:
        """A token that is valid for a while yet."""

    def renew(self, refused: str) -> bool:
        """Drop the token that the API refused; False when a new one cannot be had."""


class GivenToken:
    """A token as it is, such as the Azure CLI gives; it cannot be renewed."""

    def __init__(self, access_token: str) -> None:
        self._token = access_token

    def token(self) -> str:
        """The token."""
        return self._token

    def renew(self, refused: str) -> bool:  # noqa: ARG002
        """Not possible."""
        return False


class RenewedToken:
    """A token that is renewed before it expires and once it is refused. Safe to be used by several threads."""

    def __init__(self, sign_in: SignIn, clock: Clock) -> None:
        self._sign_in = sign_in
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refused = False
        self._last_refusal: datetime | None = None
        self._renew_at: datetime | None = None
        self._failure: tuple[DefenderSyncError, datetime] | None = None

    def token(self) -> str:
        """The token in hand, or a new one when it is about to expire."""
        with self._lock:
            now = self._clock.now()
            if self._token is not None and self._renew_at is not None and now < self._renew_at:
                return self._token
            if self._failure is not None and now < self._failure[1]:
                raise self._failure[0]
            return self._new_token()

    def renew(self, refused: str) -> bool:
        """Drop the refused token, unless another thread has renewed it already.

        False where the one before it was refused as well, just now.
        """
        with self._lock:
            if self._token != refused:
                return True
            now = self._clock.now()
            if self._last_refusal is not None and abs(now - self._last_refusal) < REFUSED_AGAIN:
                return False
            self._token, self._refused, self._last_refusal = None, True, now
            return True

    def _new_token(self) -> str:
        try:
            grant = self._tried_twice()
        except DefenderSyncError as error:
            self._failure = (error, self._clock.now() + FAILURE_KEPT)
            raise
        self._token, self._refused, self._failure = grant.access_token, False, None
        margin = min(RENEW_BEFORE, grant.lifetime / 2)
        self._renew_at = self._clock.now() + grant.lifetime - margin
        return self._token

    def _tried_twice(self) -> Grant:
        """A sign-in address that does not answer is asked once more."""
        try:
            return self._sign_in(refused=self._refused)
        except UnavailableError:
            self._clock.sleep(RETRY_DELAY_SECONDS * (0.5 + self._clock.jitter()))
            return self._sign_in(refused=self._refused)

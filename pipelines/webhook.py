"""Sends messages to the webhook of `[alerts]`: one small POST each, with little patience.

The address is a secret: it is in no message, log or trace. It follows no redirect and reads no answer's body.
Whatever goes wrong is a reason, never an error.
"""

import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests

from pipelines.clock import Clock
from pipelines.errors import StoppedError
from pipelines.settings import is_loopback

TIMEOUT_SECONDS = 5.0
MOST_TRIES = 3
FIRST_DELAY_SECONDS = 0.5
# For all messages of one time together: a receiver that drips its answer holds no sync up.
LONGEST_SECONDS = 20.0
RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class Delivery:
    """Messages on their way, in order; `sent` counts those that arrived, `problem` says why it ended there."""

    def __init__(self, url: str, messages: Sequence[Mapping[str, Any]], clock: Clock) -> None:
        self.sent = 0
        self.problem: str | None = None
        self._url, self._messages, self._clock = url, messages, clock
        self._abandoned = threading.Event()

    def run(self, longest_seconds: float = LONGEST_SECONDS) -> None:
        """Send them, in that time; one that is under way when it is up may still arrive."""
        thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        with _address_unlogged(self._url):
            thread.start()
            thread.join(longest_seconds)
        if thread.is_alive():
            self._abandoned.set()
            self.problem = "it is too slow"

    def _send_all(self) -> None:
        for message in self._messages:
            problem = "it is too slow" if self._abandoned.is_set() else self._send(message)
            if problem is not None:
                self.problem = problem
                return
            self.sent += 1

    def _send(self, message: Mapping[str, Any]) -> str | None:
        """Why it did not arrive; None where it did."""
        delay = FIRST_DELAY_SECONDS
        for number in range(1, MOST_TRIES + 1):
            problem, can_be_retried = self._try_once(message)
            if problem is None or not can_be_retried or number == MOST_TRIES or self._abandoned.is_set():
                return problem
            try:
                self._clock.sleep(delay)
            except StoppedError:
                return "the run was stopped"
            delay *= 2
        return None

    def _try_once(self, message: Mapping[str, Any]) -> tuple[str | None, bool]:
        with requests.Session() as session:
            session.trust_env = not is_loopback(urlsplit(self._url).hostname or "")
            try:
                with session.post(
                    self._url,
                    data=json.dumps(message).encode(),
                    headers={"Content-Type": "application/json", "User-Agent": "defender-sync"},
                    # A .netrc adds no credentials.
                    auth=lambda request: request,
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=False,
                    stream=True,
                ) as response:
                    status = response.status_code
            except requests.exceptions.ReadTimeout:
                # It may well have arrived: once more is for the next run.
                return "no answer in time", False
            except (requests.exceptions.RequestException, ValueError, OSError) as error:
                # The error's own words hold the address.
                return f"no answer ({type(error).__name__})", True
        if 200 <= status < 300:
            return None, False
        if 300 <= status < 400:
            return f"it redirects (HTTP {status}), which is not followed", False
        return f"HTTP {status}", status in RETRIED_STATUSES


@contextmanager
def _address_unlogged(url: str) -> Iterator[None]:
    """Meanwhile urllib3 logs nothing of it: its warning of a malformed header names the whole address."""
    loggers = [
        logging.getLogger(f"urllib3.{name}") for name in ("connection", "connectionpool", "util.retry")
    ]

    def hides(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        parts = urlsplit(url)
        return not (parts.netloc in text or (len(parts.path) > 1 and parts.path in text))

    for logger in loggers:
        logger.addFilter(hides)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(hides)

"""Walks the pages of one list, several at a time, and the first ones of the list that comes next.

A reading tells whether every position of the list was read once, each with a row of its own: then none was missed.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

import pyarrow as pa

from pipelines.client import Answer, DefenderClient
from pipelines.odata import PagePlan, PageSizes, Proof
from pipelines.records import BadRecord, DecodedPage, page_decoder
from pipelines.resources import Resource
from pipelines.windows import CHUNK_ROWS, Window

MOST_REPLANS = 8
# How many rounds of pages are read of a list ahead of its turn.
ROUNDS_AHEAD = 2
# A list that turns out to hold more rows than this is to be cut before it is read.
TOO_MANY_ROWS = 2 * CHUNK_ROWS


class TooManyRowsError(Exception):
    """The list holds more rows than are to be held in memory at once."""


@dataclass
class Reading:
    """What came of reading one list. `proven` tells that no row was missed."""

    tables: list[pa.Table] = field(default_factory=list)
    bad_records: list[BadRecord] = field(default_factory=list)
    identities: set[object] = field(default_factory=set)
    rows: int = 0
    pages: int = 0
    proven: bool = True
    server_time: datetime | None = None
    server_ahead: timedelta = timedelta(0)
    unproven_windows: list[Window] = field(default_factory=list)

    def add(self, other: "Reading") -> None:
        """Put what another reading brought behind this one; the newest reading of a row is the last."""
        self.tables += other.tables
        self.bad_records += other.bad_records
        self.identities |= other.identities
        self.rows += other.rows
        self.pages += other.pages
        self.proven = self.proven and other.proven
        self.unproven_windows += other.unproven_windows
        self.learn_clock(other.server_time, other.server_ahead)

    def learn_clock(self, server_time: datetime | None, server_ahead: timedelta) -> None:
        """Keep the first answer's clock: rows born after it may have been missed by it."""
        if self.server_time is None and server_time is not None:
            self.server_time, self.server_ahead = server_time, server_ahead


@dataclass
class _PageWalk:
    """The pages of one list, from the first to the last; those asked for wait in `in_flight` for their turn."""

    filter_text: str
    plan: PagePlan
    in_flight: deque[Future[Answer[DecodedPage]]] = field(default_factory=deque)

    @property
    def waiting(self) -> list[Future[Answer[DecodedPage]]]:
        """The pages that have not come yet."""
        return [future for future in self.in_flight if not future.done()]

    @property
    def comes_full(self) -> bool:
        """Whether the first page came, and every one that came is full."""
        came = [future for future in self.in_flight if future.done()]
        return (
            bool(came)
            and self.in_flight[0].done()
            and all(
                future.exception() is None and future.result().content.rows == self.plan.size
                for future in came
            )
        )

    def cancel(self) -> None:
        """Wait for none of the pages asked for."""
        for future in self.in_flight:
            future.cancel()
        self.in_flight.clear()


# Tells which list comes next: its filter, with the rows expected in it; None where there is none.
FollowingList = Callable[[], tuple[str, int | None] | None]


class PageReader:
    """Reads pages of one resource of one tenant."""

    def __init__(
        self, client: DefenderClient, resource: Resource, page_size: int, most_at_once: int, largest_page: int
    ) -> None:
        self.client = client
        self.resource = resource
        self.sizes = PageSizes(page_size, largest_ever=largest_page)
        self.pages = 0
        self.rows = 0
        self._most_at_once = most_at_once
        self._decode = page_decoder(resource)
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: _PageWalk | None = None

    @contextmanager
    def opened(self) -> Iterator[Self]:
        """The reader with the threads that fetch its pages."""
        pool = ThreadPoolExecutor(self._most_at_once, thread_name_prefix="page")
        self._pool = pool
        try:
            yield self
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def turn_back(self) -> None:
        """Give up the list that was begun ahead of its turn."""
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def read_pages(
        self,
        filter_text: str,
        expected_rows: int | None,
        known_rows: int | None,
        *,
        guarded: bool = False,
        most_rows: int | None = None,
        following: FollowingList | None = None,
    ) -> Reading:
        """Walk the pages of one list from the first to the last, or to the most rows that it can have.

        While its last pages come, the first ones of the list `following` are asked for; that is then the next one
        read, or given up by `turn_back`. Raises TooManyRowsError where `guarded`, and the list holds over twice the
        rows expected, and more than TOO_MANY_ROWS.
        """
        walk = self._begun(filter_text, expected_rows) or self._new_walk(filter_text, expected_rows)
        plan, in_flight = walk.plan, walk.in_flight
        proof = Proof()
        reading = Reading()
        replans = 0
        while not plan.done and (most_rows is None or plan.covered < most_rows):
            while plan.may_ask(len(in_flight)):
                self._ask(walk)
            if following is not None and plan.is_asked_whole and self._most_at_once > 1:
                self._look_ahead(walk, following)
            answer = in_flight.popleft().result()
            page = answer.content
            reading.learn_clock(answer.server_time, answer.server_ahead)
            if page.rows and proof.repeats(page.identities) and self.sizes.is_shorter_than_others(page.rows):
                # `$skip` has no effect: only its length can tell that the first page was the only one.
                break
            brought_news = self._take(page, reading, proof)
            if not brought_news:
                # The same rows again: `$skip` has no effect, or the order turned over. No proof.
                reading.proven = False
                break
            aligned = plan.answer(page.rows, self.sizes, known_rows)
            if plan.done or not aligned:
                # Where it is not done, they are asked again from where they should start.
                behind = [future.result().content for future in in_flight if plan.done]
                walk.cancel()
                if any(later.rows for later in behind):
                    plan.contradicted()
                    replans += 1
                if replans > MOST_REPLANS:
                    reading.proven = False
                    break
            if (
                guarded
                and (aligned or self.sizes.capped)
                and not plan.done
                and plan.covered > 2 * (expected_rows or 0)
            ):
                guarded = False
                self._refuse_too_many(filter_text)
        walk.cancel()
        reading.proven = reading.proven and proof.holds
        reading.identities = proof.identities
        reading.rows = proof.positions
        return reading

    def _new_walk(self, filter_text: str, expected_rows: int | None) -> _PageWalk:
        plan = PagePlan(self.sizes.asked, self._most_at_once, expected_rows)
        return _PageWalk(filter_text, plan)

    def _begun(self, filter_text: str, expected_rows: int | None) -> _PageWalk | None:
        """The walk of this list, if it was begun ahead of its turn."""
        if self._ahead is None or self._ahead.filter_text != filter_text:
            return None
        walk, self._ahead = self._ahead, None
        # By now, the list before it is read whole.
        walk.plan.expected_rows = expected_rows
        return walk

    def _look_ahead(self, walk: _PageWalk, following: FollowingList) -> None:
        """Until the walk's next page comes, ask for pages of the list that comes next."""
        if self._ahead is None and (behind := following()) is not None:
            self._ahead = self._new_walk(*behind)
        while self._ahead is not None:
            # Told before anything is asked: what comes meanwhile ends the wait at once.
            came = [future for future in self._ahead.in_flight if future.done()]
            if len(self._ahead.in_flight) == 1 and self._ahead.comes_full:
                self._ahead.plan.widen()
            while self._may_ask_ahead(walk, self._ahead):
                self._ask(self._ahead)
            if walk.in_flight[0].done():
                break
            coming = [future for future in self._ahead.in_flight if future not in came]
            wait((walk.in_flight[0], *coming), return_when=FIRST_COMPLETED)

    def _may_ask_ahead(self, walk: _PageWalk, ahead: _PageWalk) -> bool:
        """One page at first, as the list may be empty; more once that came full, and all behind it."""
        held, waiting = len(ahead.in_flight), len(ahead.waiting)
        is_room = max(len(walk.waiting), 1) + waiting < self._most_at_once
        if not is_room or held >= ROUNDS_AHEAD * self._most_at_once:
            return False
        return not held or (ahead.comes_full and ahead.plan.may_ask(max(waiting, 1)))

    def _ask(self, walk: _PageWalk) -> None:
        walk.in_flight.append(self._submit(walk.filter_text, walk.plan.ask(), walk.plan.size))

    def _take(self, page: DecodedPage, reading: Reading, proof: Proof) -> bool:
        brought_news = proof.add(page.identities)
        if page.rows:
            reading.pages += 1
            self.pages += 1
            self.rows += page.rows
            reading.tables.append(page.table)
            reading.bad_records += page.bad_records
        return brought_news

    def _refuse_too_many(self, filter_text: str) -> None:
        """One call for a row far behind tells whether the list is too large to be held."""
        if self._submit(filter_text, TOO_MANY_ROWS, 1).result().content.rows:
            raise TooManyRowsError

    def _submit(self, filter_text: str, skip: int, top: int) -> Future[Answer[DecodedPage]]:
        if self._pool is None:
            raise RuntimeError("the reader is not open")
        return self._pool.submit(self.fetch, filter_text, skip, top)

    def fetch(self, filter_text: str, skip: int, top: int) -> Answer[DecodedPage]:
        """One page."""
        params = {"$filter": filter_text} if filter_text else {}
        params["$top"] = str(top)
        if skip:
            params["$skip"] = str(skip)
        return self.client.get(self.resource.path, params, self._decode)

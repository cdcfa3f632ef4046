"""What is asked of the API, and what its answers prove. Pure: no I/O.

Owns filters and literals in OData's spelling, the plan of which page to ask next, and the proof that a
set of pages holds every row.
"""

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

# A page that holds less than this part of the rows asked is taken to be too short for a server's cap.
LEAST_CAP = 1 / 100


def time_literal(moment: datetime) -> str:
    """An unquoted OData time, UTC, to the microsecond."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def text_literal(text: str) -> str:
    """A quoted OData string; a quote inside is doubled."""
    return "'" + text.replace("'", "''") + "'"


def window_filter(cursor_field: str, start: datetime, end: datetime) -> str:
    """The rows of the half-open range [start, end): `ge`, never `gt`, as rows share their times."""
    return f"{cursor_field} ge {time_literal(start)} and {cursor_field} lt {time_literal(end)}"


def null_filter(cursor_field: str) -> str:
    """The rows without a time, which no range holds."""
    return f"{cursor_field} eq null"


def ids_filter(ids: Iterable[str]) -> str:
    """The rows of these ids."""
    return " or ".join(f"id eq {text_literal(each)}" for each in ids)


@dataclass
class PageSizes:
    """What was learnt about the length of an endpoint's pages.

    `asked` is sent as `$top`; `largest_ever` and `largest_now` are the longest page seen in any run and in
    this one; `capped` tells that in this run rows were found behind a short page.
    """

    asked: int
    largest_ever: int = 0
    largest_now: int = 0
    capped: bool = False

    def saw(self, rows: int) -> None:
        """Remember a page of that many rows."""
        self.largest_now = max(self.largest_now, rows)
        self.largest_ever = max(self.largest_ever, rows)

    def is_whole_list(self, rows: int, known_rows: int | None = None) -> bool:
        """Whether a first page of that many rows, fewer than asked, is taken for the whole of its list.

        It is where longer pages were seen in any run, and little would hide behind a cap that is new since
        the last of them: where the page is quite short, or holds at least the rows that the warehouse has of
        that range (`known_rows`, where it has any). Where the server was caught capping its pages, only an
        empty one ends a list: it may cap by bytes, and no two pages be of one length.
        """
        if self.capped or rows >= self.largest_ever:
            return False
        return rows < self.asked * LEAST_CAP or 0 < (known_rows or 0) <= rows

    def is_shorter_than_others(self, rows: int) -> bool:
        """Whether longer pages came in this run, in which no page was seen to be capped."""
        return not self.capped and rows < self.largest_now


@dataclass
class PagePlan:
    """Which positions of a list to ask next, told by the pages that came back.

    One page at first, then twice as many with each that comes back full, or half of those expected if that is more,
    up to `most_at_once` and to the rows expected. Positions are counted from 0; every position is to be read once.
    """

    size: int
    most_at_once: int
    expected_rows: int | None = None
    covered: int = 0
    done: bool = False
    _width: int = 1
    _next: int = 0
    _short: int = 0

    def may_ask(self, in_flight: int) -> bool:
        """Whether one more page may be asked while that many are under way."""
        if self.done or in_flight >= self._width:
            return False
        if in_flight == 0:
            return True
        # Behind the rows expected, as far ahead as full pages have come from there.
        if self.covered <= (self.expected_rows or 0):
            return self._next < (self.expected_rows or 0)
        return self._next < 2 * self.covered - (self.expected_rows or 0) + self.size

    @property
    def is_asked_whole(self) -> bool:
        """Whether the rows expected, several pages of them, are all asked for."""
        return self.expected_rows is not None and self._next >= self.expected_rows > self.size

    def ask(self) -> int:
        """The `$skip` to ask next."""
        skip = self._next
        self._next += self.size
        return skip

    def answer(self, rows: int, sizes: PageSizes, known_rows: int | None = None) -> bool:
        """Take the page at `covered`; False when pages asked after it do not start where they should."""
        short, self._short = self._short, 0
        self.covered += rows
        sizes.saw(rows)
        if rows == 0:
            self.done = True
            return True
        if rows == self.size and not short:
            self.widen()
            return True
        if short:
            # Rows behind a short page: the server caps its pages, at about that length.
            self.size = short
            sizes.capped = True
        if rows < self.size:
            # Behind other pages, a short one is the last if none comes behind it: the cap may be new.
            if self.covered == rows and sizes.is_whole_list(rows, known_rows):
                self.done = True
                return True
            self._short = rows
        self.size = max(self.size, rows)
        self._ask_again()
        return False

    def widen(self) -> None:
        """Ask more at once: a page came back full."""
        expected_pages = ((self.expected_rows or 0) - self.covered) // self.size
        self._width = min(max(self._width * 2, expected_pages // 2), self.most_at_once)

    def contradicted(self) -> None:
        """A page behind the end, which an empty page seemed to be, holds rows: plan again there."""
        self.done = False
        self._ask_again()

    def _ask_again(self) -> None:
        self._width = 1
        self._next = self.covered


@dataclass
class Proof:
    """Whether a settled list was read whole.

    A settled list is a fixed set of N rows. Each of its N positions was read once; so if all N identities
    differ, every row was read, whatever the order did meanwhile.
    """

    positions: int = 0
    pages: int = 0
    identities: set[Hashable] = field(default_factory=set)

    def add(self, identities: Iterable[Hashable]) -> bool:
        """Count a page; False when it brought no row that was not there before."""
        before = len(self.identities)
        rows = 0
        for identity in identities:
            self.identities.add(identity)
            rows += 1
        self.positions += rows
        self.pages += rows > 0
        return len(self.identities) > before or rows == 0

    def repeats(self, identities: Collection[Hashable]) -> bool:
        """Whether a page holds the very rows of the pages counted so far."""
        return len(identities) == self.positions and self.identities == set(identities)

    @property
    def holds(self) -> bool:
        """Whether the pages prove that no row was missed; a single page is one answer and needs no proof."""
        return self.pages <= 1 or len(self.identities) == self.positions

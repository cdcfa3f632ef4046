"""Which rows are read again, and the cheapest way to do it. Pure: no I/O.

Owns two choices: how to ask for rows that were still open (by id, or by the window that holds them), and
which part of settled history the next scrub reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from pipelines.windows import Horizon, Window

IDS_PER_CALL = 20
# Ids are 36 characters. One that is much longer in an address would make that too long for the server.
LONGEST_ID = 100


@dataclass(frozen=True)
class OpenRow:
    """A row that may still change. `cursor_at` is its creation or start time, None where it has none;
    `rows_since` counts the warehouse's rows from that time to the newest open one.
    """

    id: str
    cursor_at: datetime | None
    rows_since: int


@dataclass(frozen=True)
class RefreshPlan:
    """Batches of ids, each one call; and a window that holds all other open rows, or None."""

    id_batches: tuple[tuple[str, ...], ...]
    window: Window | None
    window_ids: tuple[str, ...] = ()
    window_rows: int = 0
    calls: int = 0


def plan_refresh(rows: Sequence[OpenRow], page_size: int) -> RefreshPlan:
    """Read the oldest k by id and the rest by one window, with the k that costs fewest calls.

    The old ones are few and far apart (an offline device, a week-long investigation), the young ones many
    and close together; so a cut between the two is cheaper than either way alone. A row with an overlong id
    can only be read by its window.
    """
    timeless = [row.id for row in rows if row.cursor_at is None]
    timed = sorted(
        (row for row in rows if row.cursor_at is not None), key=lambda row: (row.cursor_at, row.id)
    )
    overlong = next((k for k, row in enumerate(timed) if len(quote(row.id)) > LONGEST_ID), len(timed))
    # Choice k asks for the k oldest by id, the last one for all, as long as no id among them is too long.
    choices = {
        k: _calls_by_id(len(timeless) + k)
        + (_calls_by_window(timed[k].rows_since, page_size) if k < len(timed) else 0)
        for k in range(overlong + 1)
    }
    best = min(choices, key=lambda k: (choices[k], -k))
    by_window = timed[best:]
    by_id = timeless + [row.id for row in timed[:best]]
    return RefreshPlan(
        id_batches=tuple(
            tuple(by_id[start : start + IDS_PER_CALL]) for start in range(0, len(by_id), IDS_PER_CALL)
        ),
        window=_window_around(by_window),
        window_ids=tuple(row.id for row in by_window),
        window_rows=by_window[0].rows_since if by_window else 0,
        calls=choices[best],
    )


def _calls_by_id(count: int) -> int:
    return -(-count // IDS_PER_CALL)


def _calls_by_window(rows: int, page_size: int) -> int:
    # Behind a full page or several pages, one more call looks for the end.
    return 1 if rows < page_size else -(-rows // page_size) + 1


def _window_around(rows: Sequence[OpenRow]) -> Window | None:
    times = [row.cursor_at for row in rows if row.cursor_at is not None]
    return Window(min(times), max(times) + timedelta(microseconds=1)) if times else None


def settled_history(
    horizon: Horizon, until: datetime, initial_lookback: timedelta, oldest_at: datetime | None
) -> Window:
    """What a scrub may read: settled, before `until`, and no older than what the warehouse is to cover, which
    is the first sync's reach and whatever rows it has from before. Empty where its end is not after its start.
    """
    covered_from = horizon.run_start - initial_lookback
    if oldest_at is not None:
        covered_from = min(covered_from, oldest_at)
    return Window(max(horizon.settled_from, covered_from), min(horizon.settled_to, until))


def scrub_start(scrubbed_until: datetime | None, settled: Window) -> datetime:
    """Where the next scrub begins: where the last one ended, or at the oldest settled moment."""
    if scrubbed_until is None or not settled.start <= scrubbed_until < settled.end:
        return settled.start
    return scrubbed_until

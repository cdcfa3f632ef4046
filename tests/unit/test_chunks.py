"""Readings become chunks: small ones that come soon after each other are stored together, and none behind a failure."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from support.records import NOW, action, ago, iso
from support.stage import Events, empty_warehouse
from support.warehouse import Reading as Rows

from pipelines.chunks import GATHERED_ROWS, Chunk, ChunkStore, Part
from pipelines.clock import Clock
from pipelines.defender import Loader
from pipelines.errors import StoppedError, UnavailableError
from pipelines.pages import Reading
from pipelines.reader import ListReader
from pipelines.records import page_decoder
from pipelines.resources import MACHINE_ACTIONS
from pipelines.storing import ChunkWriter
from pipelines.warehouse import RunRow, Warehouse
from pipelines.windows import Window

LONGEST_SECONDS = 60  # of a test that went wrong
DECODE = page_decoder(MACHINE_ACTIONS)


def reading_of(*records: dict[str, object], rows: int | None = None) -> Reading:
    page = DECODE(json.dumps({"value": records}).encode())
    return Reading(
        tables=[page.table],
        bad_records=list(page.bad_records),
        identities=set(page.identities),
        rows=len(records) if rows is None else rows,
        pages=1,
    )


def window(days_ago: float, length: float = 1) -> Window:
    return Window(ago(days=days_ago), ago(days=days_ago - length))


class Desk:
    """A warehouse with its one writer, which can be kept busy, and the chunk store of one resource."""

    def __init__(self, path) -> None:
        self.path = empty_warehouse(path / "warehouse.duckdb")
        self.warehouse = Warehouse(self.path)
        self.loader = Loader(self.warehouse, path / "dlt")
        self.writer = ChunkWriter(self.warehouse, self.loader)
        self.events = Events()
        self.now = NOW
        self.run = RunRow("run", "contoso", MACHINE_ACTIONS.name, "sync", NOW)
        self.store = self.new_store()
        self._gates: list[threading.Event] = []

    def new_store(self) -> ChunkStore:
        return ChunkStore(
            clock=Clock(now=lambda: self.now),
            warehouse=self.warehouse,
            writer=self.writer,
            reader=ListReader(None, MACHINE_ACTIONS, 10_000, 4, 0),
            run=self.run,
            observer=self.events,
        )

    def keep_writer_busy(self) -> Callable[[], None]:
        """The writer does nothing until what this returns is called."""
        gate, is_kept = threading.Event(), threading.Event()

        def take() -> Chunk:
            is_kept.set()
            gate.wait(LONGEST_SECONDS)
            raise StoppedError

        self.writer.submit(take, lambda: True)
        assert is_kept.wait(LONGEST_SECONDS)
        self._gates.append(gate)
        return gate.set

    def close(self) -> None:
        for gate in self._gates:
            gate.set()
        self.writer.close(wait=True)
        self.loader.close()
        self.warehouse.close()

    def stored(self) -> list[tuple[str, int]]:
        return [event[2:] for event in self.events.of("stored")]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        self.close()
        return [tuple(row.values()) for row in Rows(self.path).rows(query)]


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.close()


STATE = "select id, status, gone_at is not null as is_gone from defender.machine_actions order by id"
WATERMARK = "select watermark, scrubbed_until from defender.watermarks where tenant = 'contoso'"
VERSIONS = "select id, version, status from defender.machine_action_versions order by all"


def test_what_comes_while_the_writer_is_busy_is_stored_together(desk):
    go_on = desk.keep_writer_busy()
    with desk.store as store:
        for number, days in enumerate((5, 4, 3)):
            made = action(f"a{number}", ago(days=days))
            store.store(reading_of(made), Part(window=window(days)), watermark=window(days).end)
        last = action("a0", ago(days=5), status="Failed")
        store.store(reading_of(last), Part("without a start"))
        store.store(reading_of(), Part("scrub", window(9)), scrubbed_until=ago(days=8))
        assert desk.stored() == []
        go_on()
    names = ", ".join([str(Part(window=window(5, 3))), "without a start", f"scrub {window(9)}"])
    assert desk.stored() == [(names, 4)]
    assert (desk.run.rows_new, desk.run.rows_changed) == (3, 0)
    assert desk.rows(STATE) == [
        ("a0", "Failed", False),
        ("a1", "Succeeded", False),
        ("a2", "Succeeded", False),
    ]
    assert desk.rows(WATERMARK) == [(ago(days=2), ago(days=8))]
    assert [row[:2] for row in desk.rows(VERSIONS)] == [("a0", 1), ("a1", 1), ("a2", 1)]


def stored_without_more(store: ChunkStore) -> None:
    """Wait for the one chunk that was handed over, as no reader does that has more to read."""
    [(future, _)] = store._handed_over
    future.result(LONGEST_SECONDS / 2)


@pytest.fixture
def patient(monkeypatch):
    """An idle writer that waits for more rows as long as a test may take."""
    monkeypatch.setattr("pipelines.storing.LINGER_SECONDS", 2 * LONGEST_SECONDS)


def test_an_idle_writer_waits_a_moment_for_more(desk, patient):
    with desk.store as store:
        store.store(reading_of(action("a", NOW)), Part("first"), watermark=ago(days=1))
        store.store(reading_of(action("b", NOW)), Part("second"), watermark=NOW)
    assert desk.stored() == [("first, second", 2)]
    assert desk.rows(WATERMARK) == [(NOW, None)]


def test_an_idle_writer_waits_no_longer_than_a_moment(desk, monkeypatch):
    """So a run that waits for the API, and is killed then, has lost nothing that it read before."""
    monkeypatch.setattr("pipelines.storing.LINGER_SECONDS", 0.01)
    desk.store.store(reading_of(action("a", NOW)), Part("first"), watermark=NOW)
    stored_without_more(desk.store)
    assert desk.rows(STATE) == [("a", "Succeeded", False)]


@pytest.mark.parametrize("why", ["it is large", "it is sealed", "something is gone", "another waits"])
def test_a_chunk_that_should_not_grow_is_not_waited_for(desk, patient, why):
    rows = GATHERED_ROWS if why == "it is large" else 1
    gone_ids = ["b"] if why == "something is gone" else []
    desk.store.store(reading_of(action("a", NOW), rows=rows), Part("first"), gone_ids=gone_ids)
    if why == "it is sealed":
        desk.store.seal()
    if why == "another waits":
        desk.keep_writer_busy()()
    stored_without_more(desk.store)
    assert desk.rows(STATE) == [("a", "Succeeded", False)]


def test_a_chunk_that_waits_for_more_is_not_stored_when_the_run_is_stopped(desk, patient):
    desk.store.store(reading_of(action("a", NOW)), Part("first"))
    desk.writer.close(wait=False)
    with pytest.raises(StoppedError):
        stored_without_more(desk.store)
    assert desk.rows(STATE) == []


def test_more_rows_than_a_chunk_gathers_wait_for_those_before(desk):
    go_on = desk.keep_writer_busy()
    desk.store.store(reading_of(action("a", NOW), rows=GATHERED_ROWS - 1), Part("first"))
    desk.store.store(reading_of(action("b", NOW)), Part("second"))
    threading.Timer(0.05, go_on).start()
    desk.store.store(reading_of(action("c", NOW)), Part("third"))
    desk.store.wait()
    assert desk.stored() == [("first, second", GATHERED_ROWS), ("third", 1)]


def test_a_row_read_twice_has_both_versions_where_its_first_reading_is_sealed(desk):
    go_on = desk.keep_writer_busy()
    desk.store.store(reading_of(action("a", NOW, status="Pending")), Part("1 open"))
    desk.store.seal()
    desk.store.store(reading_of(action("a", NOW, status="Succeeded")), Part("scrub", window(1)))
    go_on()
    desk.store.wait()
    assert [what for what, _ in desk.stored()] == ["1 open", f"scrub {window(1)}"]
    assert desk.rows(VERSIONS) == [("a", 1, "Pending"), ("a", 2, "Succeeded")]


def test_nothing_is_stored_behind_a_chunk_that_could_not_be(desk, monkeypatch):
    commits: list[datetime | None] = []
    commit = desk.warehouse.commit

    def failing(*args, watermark=None, **options):
        commits.append(watermark)
        if len(commits) == 1:
            raise OSError("no room")
        commit(*args, watermark=watermark, **options)

    monkeypatch.setattr(desk.warehouse, "commit", failing)
    go_on = desk.keep_writer_busy()

    def read() -> None:
        with desk.store as store:
            store.store(reading_of(action("a", ago(days=5))), Part(window=window(5)), watermark=ago(days=4))
            store.seal()
            store.store(reading_of(action("b", ago(days=4))), Part(window=window(4)), watermark=ago(days=3))
            go_on()
            store.wait()

    with pytest.raises(OSError, match="no room"):
        read()
    assert commits == [ago(days=4)]
    assert desk.rows(WATERMARK) == []


def test_what_was_read_before_the_api_failed_is_stored(desk):
    go_on = desk.keep_writer_busy()

    def read() -> None:
        with desk.store as store:
            store.store(reading_of(action("a", ago(days=5))), Part(window=window(5)), watermark=ago(days=4))
            go_on()
            raise UnavailableError("it does not answer")

    with pytest.raises(UnavailableError):
        read()
    assert len(desk.stored()) == desk.run.rows_new == 1
    assert desk.rows(WATERMARK) == [(ago(days=4), None)]


def test_a_run_that_is_stopped_waits_for_no_chunk(desk):
    desk.keep_writer_busy()

    def read() -> None:
        with desk.store as store:
            store.store(reading_of(action("a", NOW)), Part("first"))
            raise StoppedError

    with pytest.raises(StoppedError):
        read()
    assert desk.stored() == []


@pytest.mark.parametrize("is_seen_first", [True, False])
def test_of_two_readings_the_later_one_tells_whether_a_row_is_gone(desk, is_seen_first):
    desk.store.store(reading_of(action("a", ago(days=5)), action("b", ago(days=5))), Part("first"))
    desk.store.wait()
    desk.now += timedelta(hours=1)
    shown = (reading_of(action("a", ago(days=5))), Part("shown"), ())
    gone = (reading_of(), Part("gone"), ("a", "b"))
    go_on = desk.keep_writer_busy()
    with desk.new_store() as store:
        for reading, part, gone_ids in (shown, gone) if is_seen_first else (gone, shown):
            store.store(reading, part, gone_ids=gone_ids)
        go_on()
    assert desk.rows(STATE) == [("a", "Succeeded", is_seen_first), ("b", "Succeeded", True)]


def test_a_row_that_vanishes_while_a_window_is_read_again_is_gone(desk):
    """The reading has it from the first attempt, and the last one does not."""
    desk.store.store(reading_of(action("a", ago(days=5))), Part("1 open"), gone_ids=["a"])
    desk.store.wait()
    assert desk.rows(STATE) == [("a", "Succeeded", True)]


def test_the_run_log_tells_how_far_rows_are_stored_not_how_far_they_are_read(desk):
    go_on = desk.keep_writer_busy()
    for days in (5, 4):
        made = action(f"a{days}", ago(days=days))
        desk.store.store(reading_of(made), Part(window=window(days)), window_end=window(days).end)
        desk.store.seal()
    assert desk.run.window_end is None
    go_on()
    desk.store.wait()
    assert desk.rows("select window_end, rows_new from defender.sync_runs") == [(ago(days=3), 2)]
    ends = [event[2] for event in desk.events.of("stored")]
    assert ends == [str(window(5)), str(window(4))]


def test_the_writer_holds_nothing_of_what_it_has_stored(desk):
    desk.store.store(reading_of(action("a", NOW)), Part("first"))
    held = weakref.ref(desk.store._handed_over[0][0])
    desk.store.wait()
    gc.collect()
    assert held() is None
    assert not desk.writer.is_busy


def test_a_chunk_is_stamped_with_the_time_of_its_last_reading(desk):
    go_on = desk.keep_writer_busy()
    desk.store.store(reading_of(action("a", NOW)), Part("first"))
    desk.now += timedelta(seconds=3)
    desk.store.store(reading_of(action("b", NOW)), Part("second"))
    desk.now += timedelta(minutes=5)
    go_on()
    desk.store.wait()
    found = desk.rows("select distinct synced_at from defender.machine_actions")
    assert [iso(moment) for (moment,) in found] == [iso(NOW + timedelta(seconds=3))]

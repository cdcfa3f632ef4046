"""Every page, drawn by Streamlit's AppTest over the simulator's world."""

from __future__ import annotations

import shutil
from datetime import date, timedelta

import duckdb
import pytest
from hostile import HOSTILE_COMMENT, HOSTILE_ID, HOSTILE_NAME
from screen import PAGES, Screen
from support.records import action

from dashboard import words
from dashboard.query import names
from simulator import ScriptedWorld

TITLES = {
    "now": [
        "At a glance",
        "Isolated machines, longest first",
        "Isolation not known",
        "Needs attention, most severe first",
        "Open work, oldest first",
    ],
    "response": [
        "Containment and activity",
        "Actions by day and outcome",
        "Actions by type and outcome",
        "Time to contain by week",
        "When actions are asked for",
        "Isolations, latest first",
    ],
    "machine": [],
    "live_response": ["Live response", "Scripts and transfers, most used first", "Commands, latest first"],
    "people": ["Who asks", "Actions by day and kind of requestor", "Requestors, busiest first"],
    "health": ["Freshness", "Runs, latest first", "Quarantine"],
}


@pytest.mark.parametrize("page", PAGES)
def test_each_page_says_how_fresh_it_is_and_draws_its_panels(page, published):
    screen = Screen(page)
    assert screen.titles == TITLES[page]
    assert "all 2 tenants fresh" in screen.words
    assert f"{published.one('select count(*) from marts.machine_actions'):,} actions" in screen.words
    assert "never appears in the API" in screen.words


@pytest.mark.parametrize("page", PAGES)
def test_each_panel_shows_sql_that_runs_as_it_stands_and_offers_its_rows(page, published):
    screen = Screen(page)
    assert len(screen.queries) == len(screen.app.get("download_button")) == len(TITLES[page])
    with duckdb.connect(str(published.path), read_only=True) as connection:
        for query in screen.queries:
            connection.execute(query).fetchall()


def test_the_figures_of_now_are_those_of_the_marts(published):
    [containment] = published.rows(
        """
        select
            count(*) filter (where isolation_state = 'isolated') as isolated,
            count(*) filter (where isolation_state in ('unknown', 'no_evidence')) as unknown
        from marts.machine_containment
        """
    )
    figures = Screen().figures
    assert containment["isolated"] > 3
    assert figures["Isolated"][0] == f"{containment['isolated']:,}"
    assert figures["Isolation not known"][0] == f"{containment['unknown']:,}"
    assert figures["Needs attention"][0] == f"{published.one('select count(*) from marts.needs_attention'):,}"
    assert figures["Open actions"][0] == str(
        published.one("select count(*) from marts.machine_actions where outcome = 'pending'")
    )


def test_isolated_machines_stand_longest_first(published):
    longest = published.rows(
        "select tenant, machine_name, seconds_isolated from marts.machine_containment "
        "where is_isolated order by seconds_isolated desc limit 3"
    )
    shown = Screen().table("Isolated machines, longest first")[:3]
    assert [(row[0], row[2]) for row in shown] == [
        (row["tenant"], words.duration(row["seconds_isolated"])) for row in longest
    ]


def test_the_figures_of_a_period_are_those_of_its_episodes(published):
    screen = Screen("response", period="Last 7 days")
    until = published.one("select max(as_of) from marts.sync_freshness").replace(
        minute=0, second=0, microsecond=0
    ) + timedelta(hours=1)
    [episodes] = published.rows(
        """
        select
            count(*) as episodes,
            median(seconds_to_contain) as median,
            quantile_cont(seconds_to_contain, 0.95) as p95,
            count(*) filter (where outcome = 'never_contained') as never
        from marts.containment_episodes where requested_at >= ? and requested_at < ?
        """,
        until - timedelta(days=7),
        until,
    )
    assert episodes["episodes"] > 3
    assert screen.figures["Isolations asked for"][0] == str(episodes["episodes"])
    assert screen.figures["Never contained"][0] == str(episodes["never"])
    assert screen.figures["Median time to contain"] == (
        words.duration(episodes["median"]),
        f"p95 {words.duration(episodes['p95'])}",
    )
    assert "Actions by hour and outcome" in screen.titles


def test_the_tenant_filter_leaves_only_that_tenant(published):
    screen = Screen(tenant="contoso_emea")
    assert screen.figures["Isolated"][0] == "1"
    assert screen.app.multiselect(key="tenant").value == ["contoso_emea"]
    screen.app.multiselect(key="tenant").set_value(["contoso"])
    isolated = "select count(*) from marts.machine_containment where is_isolated and tenant = 'contoso'"
    assert screen.again().figures["Isolated"][0] == str(published.one(isolated))


def test_own_dates_are_whole_days_in_utc(published):
    screen = Screen("people", period="Own dates")
    day = published.one("select max(created_at) from marts.machine_actions").date() - timedelta(days=3)
    screen.app.date_input(key="days").set_value((day, day))
    count = published.one(
        "select count(*) from marts.machine_actions where (created_at at time zone 'UTC')::date = ?", day
    )
    assert count > 0
    assert screen.again().figures["Actions"][0] == f"{count:,}"


def test_all_time_is_everything(published):
    screen = Screen("people", period="All time")
    assert screen.figures["Actions"][0] == f"{published.one('select count(*) from marts.machine_actions'):,}"


def test_a_machine_is_found_by_a_part_of_its_name_whatever_the_case_and_by_its_id(published):
    assert Screen("machine", machine="KIOSK-7.Con").titles == [
        "kiosk-7.contoso.com",
        "Timeline, latest first",
    ]
    screen = Screen("machine", machine=HOSTILE_ID)
    assert screen.figures["Isolation"][0] == "isolated"
    rows = published.one("select count(*) from marts.machine_timeline where machine_id = ?", HOSTILE_ID)
    assert len(screen.table("Timeline, latest first")) == rows > 0
    many = Screen("machine", machine="contoso.com")
    assert len(many.table("Machines")) > 5


def test_a_machine_of_two_tenants_is_shown_for_each(published):
    machine = published.one("select min(machine_id) from marts.machines where tenant = 'contoso'")
    assert len(Screen("machine", machine=machine, tenant="contoso").table("Timeline, latest first")) > 0
    assert Screen("machine", machine=machine, tenant="contoso_emea").notices == [
        f"No machine is named like “{machine}”, and none has that id."
    ]


def test_live_response_is_found_by_what_it_ran(published):
    script = published.one("select mode(script_name) from marts.live_response_commands")
    screen = Screen("live_response", period="All time", contains=script.upper())
    count = published.one(
        "select count(*) from marts.live_response_commands where contains(lower(script_name), ?)",
        script.lower(),
    )
    assert f"Commands, latest first {count:,}" in " ".join(screen.words.split())


def test_no_results_are_said_in_words(published):
    said = {
        "now": "No action and no investigation is open.",
        "response": "No isolation was asked for in this period.",
        "live_response": "No live response was asked for in this period.",
        "health": "No record is in quarantine.",
    }
    for page, sentence in said.items():
        assert sentence in Screen(page, tenant="contoso_emea", period="Last 24 hours").notices
    unheard = Screen("machine", machine="no-such-machine").notices
    assert unheard == ["No machine is named like “no-such-machine”, and none has that id."]


def test_a_share_of_nothing_is_no_number(published):
    screen = Screen("people", period="Own dates")
    screen.app.date_input(key="days").set_value((date(2020, 1, 1), date(2020, 1, 2)))
    assert screen.again().figures["By people"][0] == words.NOTHING
    assert screen.notices == ["No action was asked for in this period."] * 2


# --- when there is little or nothing to show ---


def test_no_snapshot_is_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(tmp_path / "published"))
    [notice] = Screen().notices
    assert "Nothing is published" in notice
    assert "make sync" in notice


def test_an_empty_warehouse_is_said_in_words(open_stage, monkeypatch):
    stage = open_stage(ScriptedWorld(), publishes=True)
    stage.sync().assert_ok()
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(stage.data_dir / "published"))
    for page in PAGES:
        assert any("The warehouse is empty" in notice for notice in Screen(page).notices)


def test_stale_data_is_said_in_words_and_names_the_tenant(published, monkeypatch):
    monkeypatch.setenv("DASHBOARD_LATE_MINUTES", "0.1")
    screen = Screen()
    assert "2 of 2 tenants late" in screen.words
    assert screen.notices[0].startswith("Stale data. Last complete sync: contoso")


def test_a_tenant_that_was_taken_out_is_not_late_but_named(published, snapshot, tmp_path, monkeypatch):
    shutil.copytree(snapshot, tmp_path / "published")
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(tmp_path / "published"))

    def last_ran(days, which):
        with duckdb.connect(str(tmp_path / "published" / "defender.duckdb")) as connection:
            connection.execute(
                f"update marts.sync_freshness set last_run_started_at = as_of - interval '{days} days', "
                f"last_success_at = as_of - interval '{days} days' where {which}"
            )

    last_ran(29, "tenant = 'contoso_emea'")
    screen = Screen()
    assert "1 of 2 tenants late" in screen.words
    assert screen.notices[0].startswith("Stale data. Last complete sync: contoso_emea (29")
    last_ran(-1, "tenant = 'contoso_emea'")
    assert "contoso_emea (in the future: check the clock)" in Screen().notices[0]
    last_ran(31, "tenant = 'contoso_emea'")
    screen = Screen()
    assert "fresh" in screen.words
    assert "not synced any more: contoso_emea" in screen.words
    assert not any("Stale" in notice for notice in screen.notices)
    assert not any('ds-ok">fresh' in body for body in screen.bodies)
    assert "not synced any more" in Screen(tenant="contoso_emea").words
    last_ran(31, "tenant = 'contoso' and resource = 'investigations'")
    assert "not synced any more: contoso investigations, contoso_emea" in Screen().words
    last_ran(31, "tenant = 'contoso' and resource = 'machine_actions'")
    last_ran(0, "tenant = 'contoso' and resource = 'investigations'")
    assert Screen(tenant="contoso").notices[0].startswith("Stale data. Last complete sync: contoso (31")


def test_a_snapshot_of_another_version_is_said_in_words(published, snapshot, tmp_path, monkeypatch):
    shutil.copytree(snapshot, tmp_path / "published")
    with duckdb.connect(str(tmp_path / "published" / "defender.duckdb")) as connection:
        connection.execute("alter table marts.needs_attention drop column severity_rank")
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(tmp_path / "published"))
    notices = Screen().notices
    assert any("another version" in notice and "defender-sync publish" in notice for notice in notices)


def test_a_damaged_snapshot_is_said_in_words(tmp_path, monkeypatch):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "defender.duckdb").write_bytes(b"not a database" * 1_000)
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(folder))
    [notice] = Screen().notices
    assert "defender-sync publish" in notice


# --- promises ---


def test_a_new_snapshot_is_followed_without_a_restart_and_no_file_stays_open(open_stage, monkeypatch, world):
    stage = open_stage(world, publishes=True)
    stage.sync().assert_ok()
    monkeypatch.setenv("DASHBOARD_PUBLISHED", str(stage.data_dir / "published"))
    screen = Screen()
    assert screen.figures["Open actions"][0] == "0"
    world.put_action(action("new", stage.sim.now(), status="Pending"))
    stage.clock.advance(minutes=5)
    stage.sync().assert_ok()
    assert screen.again().figures["Open actions"][0] == "1"
    with duckdb.connect(str((stage.data_dir / "published" / "defender.duckdb").resolve())):
        pass  # a write lock is to be had, so the dashboard holds none


def test_hostile_text_is_only_text(published):
    screen = Screen(tenant="contoso_emea")
    [row] = screen.table("Isolated machines, longest first")
    assert row[0].startswith(HOSTILE_NAME)
    assert row[-1] == HOSTILE_COMMENT
    assert not [body for body in screen.bodies if "<img" in body or "<script" in body]
    attention = screen.table("Needs attention, most severe first")
    assert [row[-1] for row in attention] == ["[click](javascript:alert(1)) \N{REPLACEMENT CHARACTER}gnp.exe"]


def test_every_query_is_on_a_page(published):
    shown = {
        query
        for page in PAGES
        for period, machine in (("Last 7 days", "a"), ("Last 30 days", HOSTILE_ID))
        for query in [
            button.proto.id
            for button in Screen(page, period=period, machine=machine).app.get("download_button")
        ]
    }
    unused = [name for name in names() if not any(f"csv-{name}" in each for each in shown)]
    assert unused == ["tenants"]

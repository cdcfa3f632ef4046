"""The dashboard as a person sees it: its own process, a real browser, the simulator's world."""

from __future__ import annotations

import csv
import io
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser import ROOT, find_browser, serve, started, tab_of
from hostile import HOSTILE_COMMENT, HOSTILE_ID, HOSTILE_NAME
from PIL import Image
from playwright.sync_api import expect
from support.records import action, ago

IMAGES = {
    "now": "?tenant=contoso",
    "response": "response?tenant=contoso",
    "machine": "machine?tenant=contoso&machine={machine}",
}


@pytest.fixture(scope="module")
def executable() -> str:
    found = find_browser()
    if found is None:
        message = "no Chromium here: install Debian's chromium, or name one by CHROMIUM"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def browser(executable):
    with started(executable) as running:
        yield running


@pytest.fixture(scope="module")
def server(executable, snapshot, tmp_path_factory):
    with serve(snapshot, tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.foreign == [], "the dashboard asked another host"


@pytest.fixture
def tab(browser, server):
    with tab_of(browser, server) as opened:
        yield opened


def test_each_page_draws_its_panels(tab):
    tab.open()
    for page, panel in {
        "Response": "containment_by_week",
        "Live response": "live_response_commands",
        "People and automation": "requestors",
        "Sync health": "sync_runs",
        "Machine": None,
        "Now": "open_work",
    }.items():
        tab.go(page) if page != "Now" else (tab.page.get_by_role("link", name="Now").click(), tab.settled())
        expect(tab.page.locator(".ds-strip")).to_contain_text("fresh")
        if panel:
            expect(tab.panel(panel).locator("h2")).to_be_visible()
        assert tab.page.get_by_text("went wrong").count() == 0


def test_charts_are_drawn(tab):
    tab.open("response")
    for name in ("activity_by_day", "containment_by_week", "activity_by_hour_of_day"):
        drawn = tab.panel(name).locator("canvas, svg.marks").first
        expect(drawn).to_be_visible()
        assert (drawn.bounding_box() or {"height": 0})["height"] > 100


def test_figures_and_rows_equal_the_sql(tab, published):
    tab.open()
    isolated = published.one("select count(*) from marts.machine_containment where is_isolated")
    expect(tab.figure("Isolated")).to_have_text(f"{isolated:,}")
    expect(tab.panel("isolated_machines").locator("tbody tr")).to_have_count(min(isolated, 200))
    tab.choose("Tenants", "contoso_emea")
    expect(tab.figure("Isolated")).to_have_text("1")
    assert "tenant=contoso_emea" in tab.page.url


def test_filters_stay_from_page_to_page_and_stand_in_the_address(tab, published):
    tab.open("response").choose("Period", "All time")
    episodes = published.one("select count(*) from marts.containment_episodes")
    expect(tab.figure("Isolations asked for")).to_have_text(f"{episodes:,}")
    tab.go("Live response")
    commands = published.one("select count(*) from marts.live_response_commands")
    expect(tab.figure("Commands")).to_have_text(f"{commands:,}")
    tab.open(tab.page.url.removeprefix(tab.server.url + "/"))
    expect(tab.figure("Commands")).to_have_text(f"{commands:,}")


def test_a_machine_is_searched_and_its_timeline_read(tab, published):
    tab.open("machine").write("Part of a name, or an id", "kiosk-7.contoso")
    expect(tab.panel("machine_search").locator("h2")).to_have_text("kiosk-7.contoso.com")
    expect(tab.panel("machine_timeline").locator("tbody tr")).to_have_count(
        published.one(
            "select count(*) from marts.machine_timeline where machine_name = 'kiosk-7.contoso.com'"
        )
    )
    tab.write("Part of a name, or an id", "no-such-machine")
    expect(tab.page.locator(".ds-notice")).to_contain_text("No machine is named like “no-such-machine”")


def test_a_machine_is_one_click_away(tab):
    tab.open("?tenant=contoso_emea")
    tab.panel("isolated_machines").locator("a.ds-machine").click()
    tab.page.wait_for_url("**/machine?**")
    tab.settled()
    expect(tab.panel("machine_timeline").locator("tbody tr")).to_have_count(2)
    assert HOSTILE_ID in tab.page.url


def test_hostile_text_is_shown_and_does_nothing(tab):
    tab.open("?tenant=contoso_emea")
    expect(tab.panel("isolated_machines").locator("a.ds-machine")).to_have_text(HOSTILE_NAME)
    tab.open(f"machine?tenant=contoso_emea&machine={HOSTILE_ID}")
    expect(tab.panel("machine_search").locator("h2")).to_have_text(HOSTILE_NAME)
    assert tab.page.title() != "1"
    assert tab.page.locator(".ds-table img, .ds-title img, .ds-table script").count() == 0


def test_rows_are_downloaded_whole_and_without_formulas(tab, published):
    tab.open("?tenant=contoso_emea")
    with tab.page.expect_download() as download:
        tab.panel("isolated_machines").get_by_role("button", name="CSV").click()
    document = Path(download.value.path()).read_text(encoding="utf-8-sig")
    [row] = csv.DictReader(io.StringIO(document, newline=""))
    assert download.value.suggested_filename == "isolated_machines.csv"
    assert row["machine_name"] == HOSTILE_NAME
    assert row["comment"] == f"'{HOSTILE_COMMENT}"
    assert float(row["seconds_isolated"]) > 0


def test_a_panel_shows_its_sql(tab):
    tab.open("?tenant=contoso_emea")
    tab.panel("isolated_machines").get_by_role("button", name="SQL").click()
    expect(tab.page.get_by_test_id("stCode")).to_contain_text(
        "list_contains(['contoso_emea']::varchar[], tenant)"
    )


@pytest.mark.parametrize(
    ("host", "origin", "answer"),
    [
        ("127.0.0.1", "http://127.0.0.1", "101"),
        ("attacker.contoso.com", "http://attacker.contoso.com", "403"),
        ("127.0.0.1", "http://attacker.contoso.com", "403"),
    ],
)
def test_a_page_of_another_site_gets_nothing_and_makes_the_dashboard_ask_nobody(server, host, origin, answer):
    port = urlsplit(server.url).port
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(
            f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {origin}:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert f"HTTP/1.1 {answer}".encode() in connection.recv(200)
    assert server.foreign == []


def test_a_new_snapshot_shows_by_itself(browser, open_stage, world, tmp_path):
    stage = open_stage(world, publishes=True)
    with serve(stage.data_dir / "published", tmp_path) as server, tab_of(browser, server) as tab:
        tab.open()
        expect(tab.page.locator(".ds-notice")).to_contain_text("Nothing is published")
        world.put_action(action("a", ago(minutes=2), status="Pending"))
        stage.sync().assert_ok()
        expect(tab.figure("Open actions")).to_have_text("1")
        world.put_action(action("b", ago(minutes=1), status="Pending"))
        stage.clock.advance(minutes=5)
        stage.sync().assert_ok()
        expect(tab.figure("Open actions")).to_have_text("2")
        expect(tab.page.locator(".ds-notice").first).to_contain_text("Stale data")
        assert server.foreign == []


def test_the_screenshots_that_the_readme_shows(tab, published, tmp_path):
    """Writes them where SCREENSHOTS says (`make docs`), else only proves that they can be taken."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    machine = published.one(
        "select max(machine_id) from marts.machine_containment where tenant = 'contoso' and is_isolated "
        "and is_release_pending"
    ) or published.one(
        "select max(machine_id) from marts.machine_containment where tenant = 'contoso' and is_isolated"
    )
    for name, address in IMAGES.items():
        tab.open(address.format(machine=machine))
        tab.page.wait_for_timeout(1_500)
        picture = tmp_path / f"{name}-full.png"
        tab.page.screenshot(path=picture)
        with Image.open(picture) as image:
            image.convert("RGB").quantize(255).save(folder / f"{name}.png", optimize=True)
        assert 20_000 < (folder / f"{name}.png").stat().st_size < 250_000
        assert (ROOT / "docs" / "images" / f"{name}.png").exists(), "run: make docs"

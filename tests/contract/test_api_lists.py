"""How the list endpoints page, order and refuse (facts: "Paging", "Endpoints in scope")."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from simulator import ScriptedWorld, World

SAMPLES = Path(__file__).parent / "samples"
MOST = 10_000


def five(action):
    return ScriptedWorld([action(f"a{n}", minutes=n) for n in range(5)])


def ids(rows):
    return [row["id"] for row in rows]


def error(answer):
    return answer.json()["error"]


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("list_machineactions*.json")))
def test_a_documented_list_of_actions_is_served_whole(serve, name):
    sample = json.loads((SAMPLES / name).read_text())["value"]
    assert serve(ScriptedWorld(sample)).actions() == sample


def test_the_documented_filtered_list_is_served_as_documented(serve):
    sample = json.loads((SAMPLES / "list_machineactions.json").read_text())["value"]
    expected = json.loads((SAMPLES / "list_machineactions_top2.json").read_text())["value"]
    machine = "f46b9bb259ed4a7fb9981b73510e3cc7aa81ec1f"
    assert serve(ScriptedWorld(sample)).actions(filter=f"machineId eq '{machine}'", top=2) == expected


def test_the_documented_list_of_investigations_is_served_whole(serve):
    sample = json.loads((SAMPLES / "list_investigations.json").read_text())["value"]
    assert serve(ScriptedWorld(investigations=sample)).investigations() == sample


@pytest.mark.parametrize("name", ["get_machineaction.json", "machineaction.json"])
def test_a_documented_single_action_is_served_whole(serve, name):
    sample = json.loads((SAMPLES / name).read_text())
    sample.pop("@odata.context", None)
    answer = serve(ScriptedWorld([sample])).get(f"/api/machineactions/{sample['id']}").json()
    assert answer.pop("@odata.context").endswith("$metadata#MachineActions/$entity")
    assert answer == sample


def test_a_list_is_streamed_json_with_a_context_that_names_another_host(serve, action):
    caller = serve(five(action))
    answer = caller.get("/api/machineactions")
    assert "odata.streaming=true" in answer.headers["Content-Type"]
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in answer.headers
    context = answer.json()["@odata.context"]
    assert context.endswith("$metadata#MachineActions")
    assert not context.startswith(caller.sim.url)


def test_skip_and_top_walk_the_list_until_a_page_is_empty(serve, action):
    caller = serve(five(action))
    pages = [ids(caller.actions(top=2, skip=skip)) for skip in (0, 2, 4, 6)]
    assert pages == [["a0", "a1"], ["a2", "a3"], ["a4"], []]


def test_top_zero_is_an_empty_page(serve, action):
    assert serve(five(action)).actions(top=0) == []


def test_top_goes_up_to_ten_thousand_and_no_further(serve, action):
    caller = serve(five(action))
    assert len(caller.actions(top=MOST)) == 5
    answer = caller.get("/api/machineactions", top=MOST + 1)
    assert answer.status_code == 400
    assert "The limit of '10000' for Top query has been exceeded" in error(answer)["message"]


def test_with_top_there_is_no_next_link_and_without_it_one_that_leads_elsewhere(serve, action):
    caller = serve(ScriptedWorld(action(f"a{n}", minutes=n) for n in range(MOST + 1)))
    assert "@odata.nextLink" not in caller.get("/api/machineactions", top=MOST).json()
    page = caller.get("/api/machineactions").json()
    assert len(page["value"]) == MOST
    assert not page["@odata.nextLink"].startswith(caller.sim.url)


@pytest.mark.parametrize("value", ["1e+06", "-1", "1.0", "", "ten", "+5"])
@pytest.mark.parametrize("option", ["top", "skip"])
def test_top_and_skip_are_plain_integers(serve, value, option):
    assert serve().get("/api/machineactions", **{option: value}).status_code == 400


def test_the_typo_stop_is_refused_in_the_recorded_words(serve):
    answer = serve().get("/api/machineactions", stop=5)
    assert answer.status_code == 400
    assert answer.json() == {
        "error": {
            "code": "",
            "message": "The query specified in the URI is not valid. "
            "Custom query option '$stop' that starts with '$' is not supported.",
            "details": [],
        }
    }


@pytest.mark.parametrize(
    "option", ["orderby", "count", "select", "expand", "search", "skiptoken", "format", "Top"]
)
def test_an_undocumented_option_is_refused(serve, option):
    answer = serve().get("/api/machineactions", **{option: "id"})
    assert answer.status_code == 400
    assert f"'${option}'" in error(answer)["message"]


def test_the_default_order_is_newest_update_first_and_moves_as_records_change(serve, action):
    world = five(action)
    caller = serve(world)
    assert ids(caller.actions()) == ["a0", "a1", "a2", "a3", "a4"]
    world.change("a3", lastUpdateDateTimeUtc="2026-11-20T12:00:00.0000001Z", status="Succeeded")
    assert ids(caller.actions()) == ["a3", "a0", "a1", "a2", "a4"]


def test_plain_skip_paging_loses_a_row_when_records_change_between_two_pages(serve, action):
    world = five(action)
    caller = serve(world)
    seen = ids(caller.actions(top=3))
    world.change("a4", lastUpdateDateTimeUtc="2026-11-20T12:00:00.5Z")
    world.remove("a0")
    seen += ids(caller.actions(top=3, skip=3))
    assert "a4" not in seen


def test_a_seeded_world_is_paged_whole_while_the_clock_stands(serve):
    world = World(seed=3, rows=300)
    caller = serve(world)
    rows = [row for skip in range(0, 1000, 100) for row in caller.actions(top=100, skip=skip)]
    assert rows == world.machine_actions(caller.clock.now())
    assert caller.investigations() == world.investigations(caller.clock.now())


def test_a_seeded_world_shows_nothing_older_than_180_days(serve):
    caller = serve(World(seed=3, rows=300))
    edge = (caller.clock.now() - timedelta(days=180)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert caller.actions(filter=f"creationDateTimeUtc le {edge}") == []
    assert caller.actions(filter=f"creationDateTimeUtc gt {edge}") == caller.actions()


def test_an_unknown_path_is_a_404(serve):
    assert serve().get("/api/machines").status_code == 404
    assert serve().get("/elsewhere").status_code == 404

"""Applications under the names that the configuration gives them."""

from __future__ import annotations

import pytest
from support.records import action, ago

from pipelines import sql_files

GUID = "7F1C5C0E-2b63-4b38-9a55-0d0000000001"


@pytest.fixture
def asked(open_stage, world):
    """A stage with actions of a guid, of a person and of `system`, and what the marts say of who asked."""
    for number, requestor in enumerate((GUID, "analyst@contoso.com", "system")):
        world.put_action(action(f"a{number}", ago(days=1), requestor=requestor, requestSource="PublicApi"))
    stage = open_stage(world, publishes=True)

    def ask(*aliases: str):
        stage.clock.advance(minutes=1)
        stage.sync(requestor_aliases=aliases).assert_ok()
        rows = stage.published().rows(
            "select requested_by, requested_by_kind, requestor from marts.machine_actions order by machine_action_id"
        )
        return [tuple(row.values()) for row in rows]

    return ask


def test_an_application_has_the_name_that_the_configuration_gives_it(asked):
    before = asked()
    assert before[0] == (GUID.lower(), "application", GUID)
    named = asked(f"{GUID.lower()} = Contoso's SOAR")
    assert named == [("Contoso's SOAR", "application", GUID), *before[1:]]
    assert asked() == before, "and loses it again"


def test_an_alias_comes_before_the_names_that_are_known(asked):
    assert asked()[2] == ("system", "automation", "system")
    assert asked("System = nightly job")[2] == ("nightly job", "application", "system")


def test_the_view_s_own_names_stay_beside_those_of_the_configuration():
    text = (sql_files.SQL_DIR / "staging" / "requestor_aliases.sql").read_text()
    assert sql_files.with_aliases(text, {}) == text
    with_one = sql_files.with_aliases(text, {"it's": "x"})
    assert "('it''s', 'x', 'application')," in with_one
    assert len(with_one.splitlines()) == len(text.splitlines()) + 1

"""The documents are true: their keys, codes, messages and shapes are those of the program."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest
from support.program import program

from pipelines.errors import ExitCode
from pipelines.settings import AUTH_KINDS, TenantSettings, key_names
from pipelines.status import FIELDS, read_status

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
OPERATING = (ROOT / "docs" / "operating.md").read_text()
CONNECT = (ROOT / "docs" / "connect.md").read_text()
TYPES = {
    "time": lambda value: isinstance(value, str) and "T" in value,
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}

__all__ = ["program"]


def table(heading: str, text: str = OPERATING) -> list[list[str]]:
    """The cells of the table whose first heading line starts so."""
    lines = text[text.index(heading) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# --- configuration.md -----------------------------------------------------------------------------


def test_the_configuration_reference_is_what_the_settings_say():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "configuration_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.reference(), "run: python tools/configuration_reference.py"


# --- connect.md -----------------------------------------------------------------------------------


def configurations() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", CONNECT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(5))
def test_each_configuration_that_is_shown_is_taken(program, tmp_path, number):
    certificate = tmp_path / "defender-sync.pem"
    certificate.touch()
    shown = configurations()[number].replace("/etc/defender-sync/defender-sync.pem", str(certificate))
    program.configure('[sync]\ntenants = ["contoso"]\n', shown)
    [tenant] = program.settings(env={"AZURE_FEDERATED_TOKEN_FILE": "x"}).tenants
    assert tenant.name == "contoso"


def test_every_way_to_sign_in_is_shown():
    shown = {kind for text in configurations() for kind in re.findall(r'auth = "(\w+)"', text)}
    assert len(configurations()) == 5
    assert shown | {"secret", "token"} == set(AUTH_KINDS)


def test_every_key_that_is_named_exists():
    named = set(re.findall(r"^#? ?(\w+) = ", "".join(configurations()), re.MULTILINE))
    assert named <= set(key_names(TenantSettings))


# --- operating.md ---------------------------------------------------------------------------------


def test_every_exit_code_is_told():
    told = {int(code) for row in table("| code | meaning | alarm?") for code in row[0].split(",")}
    assert told == {int(code) for code in ExitCode} | {130, 143}


def texts_of_the_program() -> list[str]:
    """Every text in the source, with … for what is filled in."""
    found = []
    for path in (ROOT / "pipelines").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


@pytest.mark.parametrize("row", table("| code | message |"), ids=lambda row: row[1])
def test_every_message_that_is_explained_is_one_of_the_program_s(row):
    pieces = [piece for piece in row[1].strip("`").split("…") if piece.strip(" .:;")]
    assert any(all(piece in text for piece in pieces) for text in texts_of_the_program()), row[1]


def assert_shape(told: list[list[str]], shown: dict[str, object]) -> None:
    assert {key.strip("`") for key, *_ in told} == set(shown)
    for key, kinds, _meaning in told:
        value = shown[key.strip("`")]
        assert any(TYPES[kind](value) for kind in kinds.split(" or ")), (key, value)


def test_status_has_the_shape_that_is_told(open_stage):
    stage = open_stage(fresh=True)
    fresh = read_status(stage.settings(), stage.clock())
    stage.sync()
    for report in (fresh, read_status(stage.settings(), stage.clock())):
        assert_shape(table("| key | type | meaning |\n|---|---|---|\n| `format`"), report)
        for facts in report["tenants"]["contoso"].values():
            assert_shape(table("| key | type | meaning |\n|---|---|---|\n| `last_success_at`"), facts)
    assert set(report["tenants"]["contoso"]) == {"machine_actions", "investigations"}
    assert set(FIELDS) < set(facts)


# --- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*DOCS, ROOT / "README.md"], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target

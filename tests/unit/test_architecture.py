"""The rules of docs/architecture.md that can be read off the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = ("windows", "odata", "refresh", "errors", "clouds", "health")
PURE_MAY_IMPORT = {
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "signal",
    "urllib",
    "pendulum",
    "pipelines",
}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, whole names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def importers(package: str, module: str) -> set[str]:
    return {
        path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        for path in files_of(package)
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
    }


@pytest.mark.parametrize(("package", "other"), [("pipelines", "simulator"), ("simulator", "pipelines")])
def test_the_program_and_the_simulator_share_no_code(package, other):
    assert importers(package, other) == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_nothing_that_could_do_io(module):
    names = {name.split(".")[0] for name in imports(ROOT / "pipelines" / f"{module}.py")}
    assert names <= PURE_MAY_IMPORT


def test_only_the_client_the_sign_in_and_the_webhook_touch_the_network():
    assert importers("pipelines", "requests") <= {"client", "auth", "webhook"}


def test_only_the_warehouse_opens_a_database():
    openers = {path.stem for path in files_of("pipelines") if "duckdb.connect(" in path.read_text()}
    assert openers == {"warehouse"}


def test_only_the_clock_module_sleeps_or_asks_the_time():
    for path in files_of("pipelines"):
        text = path.read_text()
        if path.stem != "clock":
            assert "time.sleep(" not in text, path
            assert "datetime.now(" not in text, path

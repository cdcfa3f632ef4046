"""What is published, read by DuckDB 1.4 from an environment of its own, and held open while syncs go on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from filelock import FileLock
from support.records import action, ago

from pipelines.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv" / "duckdb-1.4"
# Answers questions, a line of JSON each: SQL in, rows out; `again` opens the file once more.
READER = """
import json, sys
import duckdb
path = sys.argv[1]
connection = duckdb.connect(path, read_only=True)
connection.execute("set TimeZone = 'UTC'")
print(json.dumps(duckdb.__version__), flush=True)
for line in sys.stdin:
    query = json.loads(line)
    if query == "again":
        connection.close()
        connection = duckdb.connect(path, read_only=True)
        rows = []
    else:
        rows = connection.execute(query).fetchall()
    print(json.dumps(rows, default=str), flush=True)
"""


@pytest.fixture(scope="session")
def old_python() -> str:
    """A Python that has DuckDB 1.4, made once and kept under .venv."""
    python = ENVIRONMENT / "bin" / "python"
    (ROOT / ".venv").mkdir(exist_ok=True)
    with FileLock(ENVIRONMENT.with_suffix(".lock")):
        done = ENVIRONMENT / "installed"
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
            command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            installed = subprocess.run(
                [*command, "--retries", "1", "duckdb==1.4.*", "pytz"],
                check=False,
                capture_output=True,
                text=True,
            )
            if installed.returncode:
                message = f"DuckDB 1.4 cannot be installed here: {installed.stderr.strip()[-300:]}"
                if os.environ.get("CI") == "true":
                    pytest.fail(message)
                pytest.skip(message)
            done.touch()
    return str(python)


class OldReader:
    """A process that reads with DuckDB 1.4 and keeps the file open."""

    def __init__(self, python: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [python, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = self._answer()

    def ask(self, query: str):
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(query) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def open_reader(old_python):
    readers = []

    def opened(path):
        readers.append(OldReader(old_python, path))
        return readers[-1]

    yield opened
    for reader in readers:
        reader.close()


def test_duckdb_1_4_reads_every_table_as_we_do(open_reader, published):
    reader = open_reader(published.path)
    assert reader.version.startswith("1.4.")
    tables = [
        f"{row['schema_name']}.{row['table_name']}"
        for row in published.rows("select schema_name, table_name from duckdb_tables() order by all")
    ]
    assert len(tables) >= 15
    for table in tables:
        rows = f"select columns(*)::varchar from {table} order by all limit 500"
        with duckdb.connect(str(published.path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            ours = [list(row) for row in connection.execute(rows).fetchall()]
        assert reader.ask(rows) == ours, table
    comment = "select comment from duckdb_columns() where table_name = 'machine_containment' and column_name = 'since'"
    assert reader.ask(comment) == [[published.one(comment)]]


def test_duckdb_1_4_reads_the_parquet_files_by_the_link(open_reader, published, snapshot):
    reader = open_reader(published.path)
    for file in sorted((snapshot / "parquet").glob("*.parquet")):
        assert reader.ask(f"select count(*) from '{file}'") == reader.ask(
            f"select count(*) from marts.{file.stem}"
        )


def test_a_reader_that_holds_a_snapshot_open_keeps_it_while_syncs_go_on(open_reader, open_stage, world):
    stage = open_stage(world, publishes=True)
    world.put_action(action("a0", ago(minutes=1)))
    stage.sync().assert_ok()
    count = "select count(*) from marts.machine_actions"
    reader = open_reader(stage.data_dir / "published" / "defender.duckdb")
    assert reader.ask(count) == [[1]]
    # More syncs than snapshots are kept: the one that is held open is removed meanwhile.
    for number in (1, 2, 3):
        world.put_action(action(f"a{number}", stage.sim.now()))
        stage.clock.advance(minutes=1)
        stage.sync().assert_ok()
        assert reader.ask(count) == [[1]]
        assert reader.ask("select machine_action_id from marts.machine_actions") == [["a0"]]
    assert reader.ask("again") == []
    assert reader.ask(count) == [[4]]


def test_a_reader_opens_what_is_published_while_a_sync_holds_the_warehouse(open_reader, open_stage, world):
    stage = open_stage(world, publishes=True)
    world.put_action(action("a", ago(minutes=1)))
    stage.sync().assert_ok()
    warehouse = Warehouse(stage.data_dir / "warehouse.duckdb")
    try:
        with warehouse.transaction() as cursor:
            cursor.execute("delete from defender.machine_actions")
            reader = open_reader(stage.data_dir / "published" / "defender.duckdb")
            assert reader.ask("select count(*) from marts.machine_actions") == [[1]]
    finally:
        warehouse.close()


def test_the_examples_of_the_guide_run_as_they_stand(published, snapshot, tmp_path, monkeypatch):
    guide = (ROOT / "docs" / "bi.md").read_text()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "published").symlink_to(snapshot)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect("data/published/defender.duckdb", read_only=True) as connection:
        for block in re.findall(r"```sql\n(.*?)```", guide, re.DOTALL):
            for statement in filter(str.strip, block.split(";")):
                connection.execute(statement).fetchall()
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        exec(block, names)  # noqa: S102  our own guide
    assert len(names["rows"]) == published.one("select count(*) from marts.needs_attention")
    assert len(names["isolated"]) == published.one(
        "select count(*) from marts.machine_containment where is_isolated"
    )
    assert (tmp_path / "isolated.csv").exists()

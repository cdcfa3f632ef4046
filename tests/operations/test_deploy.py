"""The unit files, the cron line and `make sync` for schedules."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.records import action
from support.warehouse import Reading

from pipelines.data_dir import DataDir
from simulator import ScriptedWorld, Simulator

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")


@needs_systemd
def test_systemd_finds_nothing_wrong(tmp_path):
    for name in ("defender-sync.service", "defender-sync.timer"):
        shutil.copy(DEPLOY / name, tmp_path)
    for name in ("defender-sync.service", "defender-sync.timer"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / name],
            capture_output=True,
            text=True,
            check=False,
        )
        told = [line for line in done.stderr.splitlines() if "defender-sync" in line]
        assert (done.returncode, told) == (0, [])


@needs_systemd
def test_the_service_is_hardened(tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", DEPLOY / "defender-sync.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    level = re.search(r"Overall exposure level for defender-sync.service: ([\d.]+)", done.stdout)
    if level is None:
        pytest.skip("this systemd does not judge a unit that is not installed")
    assert float(level[1]) < 2.5, done.stdout


def test_each_schedule_runs_make_sync_and_is_not_alarmed_by_an_overlap():
    for name in ("defender-sync.service", "crontab"):
        [line] = [
            line for line in (DEPLOY / name).read_text().splitlines() if "make " in line and line[0] != "#"
        ]
        assert re.search(r"make --silent sync .?PASS=(4 )?6", line)


@pytest.mark.parametrize(("more", "code"), [([], 2), (["PASS=4 6"], 0), (["PASS=4"], 2)])
def test_a_run_that_overlaps_is_an_alarm_only_where_it_is_not_passed(tmp_path, program, more, code):
    program.configure('[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n')
    data_dir = DataDir(program.folder / "data" / "demo")
    data_dir.path.mkdir(parents=True)
    # The recipe as it stands, on this environment's program.
    recipe = (ROOT / "Makefile").read_text().replace("$(call install,sync,simulator)", "@true")
    venv = Path(shutil.which("defender-sync") or ROOT / ".venv/bin/defender-sync").parents[1]
    (program.folder / "Makefile").write_text(recipe)
    with data_dir.locked():
        done = subprocess.run(
            ["make", "--silent", "sync", f"VENV={venv}", *more],
            cwd=program.folder,
            env=program.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert "another sync is running" in done.stderr
    assert done.returncode == code


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as pip installs it from a copy of the checkout, which is gone by then."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "data", "tests", "benchmarks", "build", "*.egg-info")
    shutil.copytree(ROOT, folder / "checkout", ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", folder, folder / "checkout"], check=True, capture_output=True)
    shutil.rmtree(folder / "checkout")
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_an_installed_package_syncs_without_a_checkout(installed, program):
    world = ScriptedWorld([action("a", datetime.now(UTC) - timedelta(days=1))])
    with Simulator(world) as sim:
        program.configure(
            '[sync]\ntenants = ["contoso"]\n[tenants.contoso]\n'
            f'tenant_id = "{sim.tenant_id}"\nclient_id = "{sim.client_id}"\nclient_secret = "{sim.client_secret}"\n'
            f'api_url = "{sim.url}"\nlogin_url = "{sim.url}"\nca_bundle = "{sim.ca_bundle}"\n'
        )
        done = program("sync", env={"PYTHONPATH": str(installed)})
    assert (done.code, done.err) == (0, "")
    published = Reading(program.folder / "data" / "published" / "defender.duckdb")
    marts = published.rows("select table_name from duckdb_tables() where schema_name = 'marts' order by all")
    files = sorted((ROOT / "sql" / "marts").glob("*.sql"))
    assert [row["table_name"] for row in marts] == [path.stem for path in files]
    asked = [sys.executable, "-c", "import pipelines.sql_files as each; print(each.SQL_DIR)"]
    found = subprocess.run(
        asked, env=program.environment({"PYTHONPATH": str(installed)}), cwd=program.folder, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(installed / "pipelines" / "sql")


@pytest.mark.parametrize("folder", ["dashboard", "pipelines", "simulator", "sql"])
def test_an_installed_package_has_every_file_of_the_checkout(installed, folder):
    place = installed / "pipelines" / "sql" if folder == "sql" else installed / folder
    files = {
        path.relative_to(ROOT / folder)
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.name[0] != "." and "__pycache__" not in path.parts
    }
    kept = {path.relative_to(place) for path in place.rglob("*") if path.is_file()}
    assert files <= kept

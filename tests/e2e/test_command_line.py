"""The commands as a person and a scheduler have them: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from filelock import FileLock
from support.program import Ended
from support.records import action, investigation

from pipelines.warehouse import Warehouse
from simulator import ScriptedWorld, Simulator

DEMO = '[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n'
REAL = '[sync]\ntenants = ["contoso"]\n[tenants.contoso]\ntenant_id = "t"\nclient_id = "c"\n'
SECRET = '[tenants.contoso]\nclient_secret = "S3cr3t"\n'


@pytest.fixture
def here(program, monkeypatch, capfd):
    """Runs a command in this process, in the program's folder: a second faster than a process of its own."""
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs import PluggableRunContext

    from pipelines.cli import main

    context = Container()[PluggableRunContext]
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(program.folder)

    def run(*args: str, **env: str) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("SYNC__", "TENANTS__", "AUTH__")):
                    patch.delenv(name)
            patch.setenv("COLUMNS", "200")
            for name, value in env.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["defender-sync", *args])
            context.reload(str(program.folder))
            umask = os.umask(0o022)
            try:
                with pytest.raises(SystemExit) as ended:
                    main()
            finally:
                os.umask(umask)
            out, err = capfd.readouterr()
            return Ended(int(ended.value.code or 0), out, err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    monkeypatch.undo()
    context.reload(os.getcwd())


@pytest.fixture
def real(program):
    """A simulator on the machine's own clock, and the program set up for it as for a real tenant."""
    now = datetime.now(UTC)
    world = ScriptedWorld(
        [action(f"a{n}", now - timedelta(days=1, minutes=n), status="Pending") for n in range(3)],
        [investigation("1", now - timedelta(days=1), state="Running")],
    )
    with Simulator(world) as sim:
        program.configure(
            "[sync]\n"
            'tenants = ["contoso"]\n'
            "[tenants.contoso]\n"
            f'tenant_id = "{sim.tenant_id}"\nclient_id = "{sim.client_id}"\n'
            f'api_url = "{sim.url}"\nlogin_url = "{sim.url}"\nca_bundle = "{sim.ca_bundle}"\n',
            f'[tenants.contoso]\nclient_secret = "{sim.client_secret}"\n',
        )
        yield sim


def without_times(text: str) -> list[str]:
    return [re.sub(r"^\S+ \S+Z ", "", line) for line in text.splitlines()]


def test_a_first_sync_tells_its_rows_and_the_next_only_what_moved(program, here, real):
    first = program("sync")
    assert (first.code, first.err) == (0, "")
    said = without_times(first.out)
    assert any(
        line.startswith("contoso machine_actions: succeeded, 3 new, 0 changed, 3 read") for line in said
    )
    assert any(
        line.startswith("contoso investigations: succeeded, 1 new, 0 changed, 1 read") for line in said
    )
    assert any(line.startswith("published data/snapshots/") for line in said)

    real.world.change("a1", status="Succeeded")
    calls_before = len(real.requests)
    second = here("sync")
    assert (second.code, second.err) == (0, "")
    assert any(
        line.startswith("contoso machine_actions: succeeded, 0 new, 1 changed")
        for line in without_times(second.out)
    )
    lists = [
        call for call in real.requests[calls_before:] if call.endpoint in ("machineactions", "investigations")
    ]
    assert len(lists) <= 2 * (2 + 1 + 2)


def test_status_and_publish_tell_of_the_last_run(here, real, program):
    before = here("status")
    assert before.code == 0
    assert "never" in before.out
    assert "nothing is published yet" in before.out
    assert here("sync").code == 0

    snapshots = program.folder / "data" / "snapshots"
    snapshots.rename(aside := program.folder / "aside")
    snapshots.touch()
    assert here("sync").code == 1
    failed = " ".join(here("status").out.split())
    assert re.search(
        r"the run of \S+Z failed as a whole \(exit code 1\): the snapshot cannot be written", failed
    )
    snapshots.unlink()
    aside.rename(snapshots)
    assert here("publish").code == 0

    (status := program.folder / "data" / "status.json").rename(aside)
    assert here("publish").code == 0
    assert here("status").code == 1, "what is missing is not made up"
    aside.rename(status)

    table = here("status")
    assert "failed" not in table.out
    assert re.search(r"^published (just now|\d+ seconds? ago)$", table.out, re.MULTILINE)
    assert table.code == 0
    [line] = [line for line in table.out.splitlines() if "machine_actions" in line]
    assert re.search(r"contoso\s+machine_actions\s+.*\s3\s+3\s+succeeded\s+\d+/min, \d+/h", line)

    narrow = here("status", COLUMNS="60")
    assert "…" not in narrow.out, "what does not fit is wrapped, not cut"

    report = json.loads(here("status", "--json").out)
    facts = report["tenants"]["contoso"]["machine_actions"]
    assert (facts["row_count"], facts["open_count"], facts["last_run_status"]) == (3, 3, "succeeded")
    assert facts["quota_left_minute"] < 100
    assert 0 <= facts["age_seconds"] < 60
    assert report["running"] is None

    assert here("status", "--max-age", "1h").code == 0
    assert here("status", "--max-age", "0s").code == 1

    written = here("publish")
    assert written.code == 0
    assert written.out.startswith("published data/snapshots/")
    files = (program.folder / written.out.split()[1] / "parquet").iterdir()
    assert {file.stat().st_nlink for file in files} == {1}, (
        "from scratch: nothing is taken from the one before"
    )


def test_a_dry_run_makes_no_call_and_writes_nothing(here, real, program):
    done = here("sync", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "contoso machine_actions:" in done.out
    assert "the first sync" in done.out
    assert "nothing was called, nothing was loaded" in done.out
    assert list(real.requests) == []
    assert sorted(path.name for path in program.folder.iterdir()) == [".dlt"]


def test_a_dry_run_after_a_sync_tells_what_is_due(here, real):
    assert here("sync").code == 0
    calls = len(real.requests)
    done = here("sync", "--dry-run")
    assert done.code == 0
    machine_actions, investigations = done.out.split("contoso investigations:\n")
    assert "  refresh  3 open rows, 1 call\n  scrub    [" in machine_actions
    assert "no start" not in machine_actions
    assert "\n  no start 1 call\n" in investigations
    assert len(real.requests) == calls


def test_a_dry_run_counts_the_calls_for_rows_without_a_start(here, real):
    for number in range(2, 5):
        real.world.put_investigation(investigation(str(number), None))
    assert here("sync").code == 0
    for size, calls in (("2", "4 calls"), ("4", "1 call")):
        done = here("sync", "--dry-run", SYNC__PAGE_SIZE=size)
        assert f"\n  no start {calls}\n" in done.out


def test_a_dry_run_of_the_demo_starts_no_simulator(program, here, monkeypatch):
    program.configure(DEMO)
    monkeypatch.setattr("pipelines.local_simulator.COMMAND", ("no-such-program",))
    done = here("sync", "--dry-run")
    assert done.code == 0
    assert "demo investigations:" in done.out


def test_a_sync_that_finds_the_lock_held_exits_6_and_does_nothing(here, real, program):
    assert here("sync").code == 0
    calls = len(real.requests)
    with FileLock(program.folder / "data" / "lock"):
        done = here("sync")
        assert done.code == 6
        assert "another sync is running" in done.err
        assert len(done.err.strip().splitlines()) <= 2
        assert here("publish").code == 6
        assert here("status").code == 0
    assert len(real.requests) == calls


def test_a_refused_secret_exits_3_and_is_not_shown(here, real):
    real.tenants[0].secret_expired = True
    done = here("sync")
    assert done.code == 3
    assert "secret" in done.err
    assert real.client_secret not in done.out + done.err


def test_a_publish_before_the_first_sync_says_so(here, program):
    program.configure(DEMO)
    done = here("publish")
    assert done.code == 1
    assert "defender-sync sync" in done.err
    assert not (program.folder / "data").exists()


def test_a_publish_of_a_lost_database_leaves_what_is_published(program, here, real):
    assert here("sync").code == 0
    data = program.folder / "data"
    published = (data / "published").readlink()
    (data / "warehouse.duckdb").unlink()
    Warehouse(data / "warehouse.duckdb").close()
    for _ in ("killed before it had tables", "ended before anything was read"):
        done = here("publish")
        assert done.code == 1
        assert "holds nothing yet: run defender-sync sync first" in done.err
        done = here("purge", "--before", "2026-01-01", "--yes")
        assert "holds nothing yet: run defender-sync sync first" in done.err
        assert (data / "published").readlink() == published
        real.tenants[0].secret_expired = True
        assert here("sync").code == 3


BAD = {
    "an unknown key of sync": (DEMO.replace("[tenants", "page_sise = 5\n[tenants"), "", "sync.page_sise"),
    "an unknown key of a tenant": (REAL + 'tenantid = "x"\n', SECRET, "tenants.contoso.tenantid"),
    "an unknown section": (DEMO + "[sink]\nx = 1\n", "", "sink"),
    "a wrong type": (DEMO.replace("[tenants", 'page_size = "many"\n[tenants'), "", "sync.page_size"),
    "a list that is none": (DEMO.replace('["demo"]', "5"), "", "sync.tenants"),
    "text for a list": (DEMO.replace('["demo"]', '"demo"'), "", "sync.tenants"),
    "text for a number": (DEMO.replace("[tenants", 'page_size = "5"\n[tenants'), "", "sync.page_size"),
    "an alias that is none": (
        DEMO.replace("[tenants", 'requestor_aliases = ["guid"]\n[tenants'), "", "sync.requestor_aliases",
    ),
    "no data_dir": (DEMO.replace("[tenants", 'data_dir = ""\n[tenants'), "", "sync.data_dir"),
    "a data_dir that cannot be": (DEMO.replace("[tenants", 'data_dir = "/dev/null/x"\n[tenants'), "", "sync.data_dir"),
    "a missing secret": (REAL, "", "tenants.contoso.client_secret"),
    "missing ids": ('[sync]\ntenants = ["contoso"]\n[tenants.contoso]\n', SECRET, "tenants.contoso.tenant_id"),
    "an unknown cloud": (REAL + 'cloud = "moon"\n', SECRET, "tenants.contoso.cloud"),
    "a tenant's name in capitals": (DEMO.replace("demo", "Demo"), "", "'Demo'"),
    "a tenant's name with two underscores": (DEMO.replace("demo", "de__mo"), "", "'de__mo'"),
    "a tenant without a section": (DEMO.replace('["demo"]', '["demo", "acme"]'), "", "tenants.acme"),
    "no tenant at all": (DEMO.replace('["demo"]', "[]"), "", "sync.tenants"),
    "http to another host": (REAL + 'api_url = "http://api.example.com"\n', SECRET, "tenants.contoso.api_url"),
    "http sign-in at another host": (REAL + 'login_url = "http://x.example"\n', SECRET, "tenants.contoso.login_url"),
    "an address that is none": (REAL + 'api_url = "api.example.com"\n', SECRET, "tenants.contoso.api_url"),
    "a page size over 10,000": (DEMO.replace("[tenants", "page_size = 10001\n[tenants"), "", "sync.page_size"),
    "a page size of nothing": (DEMO.replace("[tenants", "page_size = 0\n[tenants"), "", "sync.page_size"),
    "a lookback beyond what is kept": (
        DEMO.replace("[tenants", "initial_lookback_days = 181\n[tenants"), "", "sync.initial_lookback_days",
    ),
    "an unknown resource": (DEMO.replace("[tenants", 'resources = ["alerts"]\n[tenants'), "", "sync.resources"),
    "a mode that is none": (DEMO.replace("[tenants", 'published_mode = "rw"\n[tenants'), "", "sync.published_mode"),
    "a simulator beside a real tenant": (
        REAL.replace('["contoso"]', '["contoso", "demo"]') + '[tenants.demo]\ncloud = "simulator"\n',
        SECRET,
        "sync.tenants",
    ),
    "a data_dir of nobody": (DEMO.replace("[tenants", 'data_dir = "~nobody-here/x"\n[tenants'), "", "sync.data_dir"),
    "no resource at all": (DEMO.replace("[tenants", "resources = []\n[tenants"), "", "sync.resources"),
    "a run log for ever": (DEMO.replace("[tenants", "run_log_days = 999999\n[tenants"), "", "sync.run_log_days"),
    "a lookback of ages": (DEMO.replace("[tenants", "lookback_minutes = 9999999999\n[tenants"), "", "sync.lookback"),
    "patience for ages": (DEMO.replace("[tenants", "max_wait_minutes = 1e12\n[tenants"), "", "sync.max_wait_minutes"),
    "an address of half a host": (REAL + 'api_url = "https://[::1"\n', SECRET, "tenants.contoso.api_url"),
    "an address with a port that is none": (REAL + 'api_url = "https://x.example:99999"\n', SECRET, "contoso.api_url"),
    "an address with a fragment": (REAL + 'api_url = "https://x.example/#api"\n', SECRET, "tenants.contoso.api_url"),
    "an address with an empty part": (REAL + 'api_url = "https://a..b"\n', SECRET, "tenants.contoso.api_url"),
    "an address longer than any": (REAL + f'api_url = "https://{"x" * 64}.example"\n', SECRET, "contoso.api_url"),
    "a ca_bundle of nobody": (REAL + 'ca_bundle = "~nobody-here/x"\n', SECRET, "tenants.contoso.ca_bundle"),
    "a ca_bundle that is not there": (REAL + 'ca_bundle = "none.pem"\n', SECRET, "tenants.contoso.ca_bundle"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_configuration_exits_2_with_its_key_named_and_nothing_touched(program, here, kind):
    config, secrets, named = BAD[kind]
    program.configure(config, secrets)
    done = here("sync")
    assert done.code == 2
    assert named in done.err
    assert len(done.err.strip().splitlines()) <= 2
    assert "Traceback" not in done.err
    assert "S3cr3t" not in done.out + done.err
    assert sorted(path.name for path in program.folder.iterdir()) == [".dlt"]


@pytest.mark.parametrize(
    ("config", "secrets", "line"),
    [
        ("[sync\n", "", r".dlt/config.toml cannot be read: Unexpected character: '\n' at line 1 col 5"),
        (DEMO, "[a]\nb = 1\nb = 2\n", '.dlt/secrets.toml cannot be read: Key "b" already exists.'),
        (
            "\N{BYTE ORDER MARK}" + DEMO,
            "",
            ".dlt/config.toml cannot be read: it begins with a byte order mark; save it as UTF-8 without one",
        ),
    ],
)
def test_a_configuration_that_is_no_toml_exits_2_with_its_file_named(program, config, secrets, line):
    program.configure(config, secrets)
    assert program("sync") == Ended(2, "", f"defender-sync: {line}\n")
    assert sorted(path.name for path in program.folder.iterdir()) == [".dlt"]


def test_a_tenant_that_only_the_environment_knows_exits_2(program, here):
    program.configure(DEMO)
    done = here("sync", "--dry-run", TENANTS__DEMOO__CLIENT_SECRET="S3cr3t")
    assert (done.code, "TENANTS__DEMOO__" in done.err, "S3cr3t" in done.err) == (2, True, False)


def test_a_folder_without_a_configuration_or_with_an_empty_one_is_told(program, here):
    told = f".dlt/config.toml in {program.folder} is missing or empty"
    done = here("sync")
    assert (done.code, told in done.err) == (2, True)
    program.configure("")
    done = here("sync")
    assert (done.code, told in done.err) == (2, True)


@pytest.mark.parametrize(
    "variable", ["SYNC__PAGE_SISE", "TENANTS__DEMO__COLOR", "TENANTS__DEMO__A__B", "SYNC__A__B"]
)
def test_an_unknown_key_in_the_environment_exits_2(program, here, variable):
    program.configure(DEMO)
    done = here("sync", **{variable: "1"})
    assert done.code == 2
    assert variable.lower().replace("__", ".", 1).split(".")[1].replace("__", ".").split(".")[-1] in done.err


@pytest.mark.parametrize("variable", ["SYNC__page_size", "TENANTS__demo__CLOUD", "TENANTS__DEMO__cloud"])
def test_a_key_in_the_environment_that_would_never_be_read_exits_2(program, here, variable):
    program.configure(DEMO)
    done = here("sync", **{variable: "5"})
    assert (done.code, done.err) == (
        2,
        f"defender-sync: the environment: {variable} must be in capitals: {variable.upper()}\n",
    )
    assert not (program.folder / "data").exists()


def test_a_tenant_s_name_that_ends_in_an_underscore_may_stand_in_the_environment(program):
    program.configure('[sync]\ntenants = ["a_"]\n[tenants.a_]\ncloud = "simulator"\n')
    [tenant] = program.settings(env={"TENANTS__A___SCOPE": "s"}).tenants
    assert (tenant.name, tenant.scope) == ("a_", "s")


@pytest.mark.parametrize("character", ["'", "%", "?", "=", "\\", "\0"])
def test_a_folder_that_the_loader_could_not_write_is_refused_at_once(program, here, character):
    program.configure(DEMO.replace("[tenants", f"data_dir = {json.dumps(f'o{character}brien')}\n[tenants"))
    done = here("sync")
    assert done.code == 2
    assert done.err.startswith("defender-sync: sync.data_dir: the path ")
    assert f" has {character!r} in it, " in done.err
    assert not list(program.folder.glob("o*"))


@pytest.mark.parametrize("token", ["a b", "a\nb", "a\u20acb"])
def test_a_token_that_is_none_is_refused_and_not_shown(program, here, token):
    program.configure(REAL + 'auth = "token"\n', f"[tenants.contoso]\naccess_token = {json.dumps(token)}\n")
    done = here("sync")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "tenants.contoso.access_token has a character that no token has" in done.err
    assert token not in done.err


def test_resources_named_twice_are_read_once(program):
    program.configure(DEMO.replace("[tenants", 'resources = ["investigations", "investigations"]\n[tenants'))
    assert program.settings().sync.resources == ("investigations",)


def test_an_empty_age_is_no_age(program, here):
    program.configure(DEMO)
    assert here("status", "--max-age", "").code == 2


def test_a_bad_configuration_exits_2_in_every_command(program, here):
    program.configure(DEMO.replace("[tenants", "page_sise = 5\n[tenants"))
    for command in (["sync", "--dry-run"], ["status"], ["publish"], ["sync", "--tenant", "demo"]):
        assert here(*command).code == 2


def test_a_tenant_that_is_not_configured_exits_2(program, here):
    program.configure(DEMO)
    done = here("sync", "--tenant", "acme")
    assert done.code == 2
    assert "acme" in done.err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["sink"], "no such command 'sink'; see: defender-sync --help"),
        (["syn"], "no such command 'syn'; did you mean 'sync'; see: defender-sync --help"),
        (["sync", "--fast"], "no such option: --fast; see: defender-sync sync --help"),
        (["backfill", "--from", "2026-11-01"], "missing option '--to'; see: defender-sync backfill --help"),
        (["sync", "--tenant"], "option '--tenant' requires an argument; see: defender-sync --help"),
        (["status", "--max-age", "soon"], "--max-age soon: write a number and s, m, h or d, such as 30m"),
    ],
)
def test_a_wrong_usage_is_told_in_one_line_and_exits_2(program, here, args, line):
    program.configure(DEMO)
    assert here(*args) == Ended(2, "", f"defender-sync: {line}\n")


def test_no_command_shows_the_help_and_exits_2(here):
    done = here()
    assert done.code == 2
    assert done.err.startswith("Usage: defender-sync [OPTIONS] COMMAND [ARGS]...")
    assert "  sync " in done.err


def test_settings_come_from_environment_before_secrets_before_config(program):
    program.configure(
        DEMO.replace("[tenants", "page_size = 10\nscrub_calls = 1\n[tenants"), "[sync]\nscrub_calls = 3\n"
    )
    settings = program.settings(env={"SYNC__PAGE_SIZE": "20", "SYNC__RESOURCES": '["investigations"]'})
    assert (settings.sync.page_size, settings.sync.scrub_calls) == (20, 3)
    assert settings.sync.resources == ("investigations",)


def test_the_defaults_are_those_of_the_contract(program):
    program.configure('[tenants.demo]\ncloud = "simulator"\n')
    sync = program.settings().sync
    assert (sync.tenants, sync.resources) == (("demo",), ("machine_actions", "investigations"))
    assert (sync.data_dir, sync.initial_lookback_days, sync.lookback_minutes) == ("data", 180, 60)
    assert (sync.page_size, sync.requests_per_minute, sync.requests_per_hour) == (10_000, 100, 1_500)
    assert (sync.max_concurrent_requests, sync.max_wait_minutes, sync.scrub_calls) == (4, 65, 2)
    assert (sync.run_log_days, sync.published_mode) == (90, "0640")


def test_simulated_rows_have_a_folder_of_their_own(program):
    program.configure(DEMO)
    assert str(program.settings().data_dir) == "data/demo"
    program.configure(REAL, SECRET)
    assert str(program.settings().data_dir) == "data"


def test_a_secret_is_in_no_representation_of_the_settings(program):
    program.configure(REAL, SECRET)
    assert "S3cr3t" not in repr(program.settings())


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [
        ("2001-01-01", "2001-02-01", "--to 2001-02-01 lies before "),
        ("2020-02-01", "2020-01-01", "--from 2020-02-01 does not lie before --to 2020-01-01"),
        ("2020-01-01", "9999-01-01", "--to 9999-01-01 lies in the future: a backfill reads a closed range"),
        ("yesterday", "2020-01-01", "--from"),
        ("1999-12-31", "2020-01-01", "--from 1999-12-31 lies before the year 2000"),
        ("0001-01-01T00:00+14:00", "2020-01-01", "--from 0001-01-01T00:00+14:00: write a date or time"),
    ],
)
def test_a_range_that_cannot_be_read_is_told_and_nothing_is_touched(program, here, start, end, complaint):
    program.configure(REAL, SECRET)
    done = here("backfill", "--from", start, "--to", end)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err
    assert len(done.err.splitlines()) == 1
    assert not (program.folder / "data").exists()

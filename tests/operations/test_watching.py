"""What a run leaves for those who watch it: the metrics file, and messages on a change of health."""

from __future__ import annotations

import json
import re
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.receiver import SECRET_PATH, receiving
from support.records import action, ago, investigation
from support.stage import Stage, Stages

from pipelines.errors import ConfigurationError, ExitCode, LockedError, StoppedError, WarehouseError
from pipelines.health import FAILING, OK, PARTIAL, REMEDIES, STALE, Facts, Health, health
from pipelines.settings import AlertSettings
from pipelines.status import read_status
from simulator import ScriptedWorld, Simulator, Status, Tenant

DOCUMENT = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()
MINUTES = timedelta(minutes=1)
MACHINE_ACTIONS = ("contoso", "machine_actions")
LABELS = ("tenant", "resource", "status", "window")
HOSTILE = "row-text-\x1b[31m-never-told"


@pytest.fixture
def stage(open_stage: Stages) -> Stage:
    actions = [
        action("a1", ago(hours=3), requestorComment=HOSTILE),
        action("a2", ago(hours=2), status="Pending"),
        action("a3", ago(hours=1), lastUpdateDateTimeUtc="no time"),
    ]
    return open_stage(ScriptedWorld(actions, [investigation("1", ago(hours=3))]), initial_lookback_days=1)


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


# --- metrics --------------------------------------------------------------------------------------


def metrics_file(stage: Stage) -> Path:
    return stage.data_dir / "metrics.prom"


def metrics(stage: Stage) -> dict[tuple[str, ...], float]:
    """The samples: the name without its prefix, then the labels' values."""
    found = {}
    for family in text_string_to_metric_families(metrics_file(stage).read_text()):
        assert (family.type, bool(family.documentation)) == ("gauge", True), family.name
        for sample in family.samples:
            assert sample.name.startswith("defender_sync_")
            assert not sample.name.endswith("_total"), "each run counts anew: these are no counters"
            assert sample.timestamp is None, "node_exporter takes no times"
            labels = [sample.labels[name] for name in LABELS if name in sample.labels]
            found[sample.name.removeprefix("defender_sync_"), *labels] = sample.value
    return found


def assert_metrics_equal_the_run_log(stage: Stage) -> None:
    found = metrics(stage)
    runs = stage.warehouse().rows(
        "from defender.sync_runs qualify row_number() over "
        "(partition by tenant, resource order by started_at desc, run_id desc) = 1"
    )
    facts = read_status(stage.settings(), stage.clock())["tenants"]
    assert len(runs) == 2 * len(stage.tenants)
    for run in runs:
        labels = (run["tenant"], run["resource"])
        names = ("calls", "retries", "waited_seconds", "checks_failed")
        for name in (*names, "rows_read", "rows_new", "rows_changed", "rows_quarantined"):
            assert found[f"last_run_{name}", *labels] == run[name], name
        started, finished = run["started_at"], run["finished_at"]
        assert found["last_run_started_timestamp_seconds", *labels] == started.timestamp()
        assert found["last_run_finished_timestamp_seconds", *labels] == finished.timestamp()
        assert found["last_run_duration_seconds", *labels] == (finished - started).total_seconds()
        statuses = {key[3]: value for key, value in found.items() if key[:3] == ("last_run_status", *labels)}
        assert statuses == {
            each: float(each == run["status"])
            for each in ("succeeded", "partial", "failed", "unavailable", "stopped")
        }
        known = facts[run["tenant"]][run["resource"]]
        for name, fact in (
            ("rows", "row_count"),
            ("open_rows", "open_count"),
            ("gone_rows", "gone_count"),
            ("quarantined_records", "quarantined_count"),
        ):
            assert found[name, *labels] == known[fact], name
        for name, fact in (
            ("last_success", "last_success_at"),
            ("failing_since", "failing_since"),
            ("watermark", "watermark"),
        ):
            told = found.get((f"{name}_timestamp_seconds", *labels))
            expected = known[fact] and datetime.fromisoformat(known[fact]).timestamp()
            assert told == expected, name
        for window in ("minute", "hour"):
            assert found["quota_left_calls", *labels, window] == known[f"quota_left_{window}"]


def test_the_metrics_are_the_run_log_s_figures_also_after_a_failed_run(stage):
    stage.sync().assert_ok()
    assert_metrics_equal_the_run_log(stage)
    found = metrics(stage)
    labels = MACHINE_ACTIONS
    shown = [
        found[name, *labels] for name in ("rows", "open_rows", "quarantined_records", "last_run_rows_new")
    ]
    assert shown == [3, 1, 1, 3]
    assert found["run_exit_code",] == 0

    stage.clock.advance(minutes=15)
    stage.sim.faults.add(Status(503), "machineactions")
    stage.sim.faults.add(Status(403), "investigations", times=None)
    done = stage.sync()
    assert (done.exit_code, done.run().retries) == (5, 1)
    assert_metrics_equal_the_run_log(stage)
    found = metrics(stage)
    assert found["run_exit_code",] == 5
    assert found["last_run_status", "contoso", "investigations", "failed"] == 1
    assert found["run_finished_timestamp_seconds",] == stage.clock().timestamp()


def test_a_run_of_one_tenant_keeps_the_figures_of_the_others(open_stage):
    stage = open_stage(
        {name: ScriptedWorld([action(name, ago(hours=1))]) for name in ("contoso", "fabrikam")}
    )
    stage.sync().assert_ok()
    stage.clock.advance(minutes=15)
    settings = replace(stage.settings(), tenants=(stage.tenant_settings("contoso"),))
    stage.sync(settings).assert_ok()
    assert_metrics_equal_the_run_log(stage)


def test_a_run_that_fails_as_a_whole_is_told_beside_the_figures_before(stage):
    stage.sync().assert_ok()
    before = metrics(stage)
    stage.clock.advance(minutes=15)
    (stage.data_dir / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(WarehouseError):
        stage.sync()
    after = metrics(stage)
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed == {
        ("run_exit_code",),
        ("run_started_timestamp_seconds",),
        ("run_finished_timestamp_seconds",),
    }
    assert after["run_exit_code",] == 1


def test_the_metrics_tell_when_what_is_published_was_written(open_stage, monkeypatch):
    stage = open_stage(ScriptedWorld([action("a", ago(hours=1))]), publishes=True)
    stage.sync().assert_ok()
    published = stage.clock()
    assert metrics(stage)["published_timestamp_seconds",] == published.timestamp()
    stage.clock.advance(minutes=15)
    stage.sim.world.put_action(action("b", ago(minutes=5)))
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.publish._set_modes", full_disk)
        with pytest.raises(WarehouseError):
            stage.sync()
    found = metrics(stage)
    assert (found["run_exit_code",], found["published_timestamp_seconds",]) == (1, published.timestamp())
    assert found["rows", *MACHINE_ACTIONS] == 2, "what was read is told, though it is not published"
    stage.clock.advance(minutes=15)
    stage.sync().assert_ok()
    assert metrics(stage)["published_timestamp_seconds",] == stage.clock().timestamp()


def full_disk(*_args: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_failure_of_the_run_as_a_whole_tells_when_a_sync_last_succeeded(stage, receiver):
    sync(stage, receiver).assert_ok()
    succeeded_at = stage.clock()
    (stage.data_dir / "warehouse.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(WarehouseError):
        sync(stage, receiver)
    told = [(message["to"], message["last_success_at"]) for message in receiver.take()]
    assert told == [("failing", succeeded_at.isoformat().replace("+00:00", "Z"))] * 2, "of both resources"


def test_a_status_that_is_somebody_else_s_fails_the_run_and_is_told(stage, receiver, monkeypatch):
    sync(stage, receiver).assert_ok()
    read_text = Path.read_text

    def refused(path: Path, *args: str) -> str:
        if path.name == "status.json":
            raise PermissionError
        return read_text(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refused)
        with pytest.raises(WarehouseError, match="its owner's only"):
            sync(stage, receiver)
    assert {message["to"] for message in receiver.take()} == {"failing"}


def test_the_metrics_file_is_whole_at_any_moment(stage):
    stage.sync().assert_ok()
    whole, ended = set(), threading.Event()

    def look() -> None:
        while not ended.is_set():
            whole.add(metrics_file(stage).read_text().count("\n"))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(3):
        stage.clock.advance(minutes=1)
        stage.sync().assert_ok()
    ended.set()
    reader.join()
    assert whole == {metrics_file(stage).read_text().count("\n")}
    assert not list(stage.data_dir.glob("*metrics*new"))


def test_the_metrics_are_the_owner_s_only_unless_they_are_published_elsewhere(stage, tmp_path):
    stage.sync().assert_ok()
    assert stat.S_IMODE(metrics_file(stage).stat().st_mode) == 0o600
    metrics_file(stage).unlink()
    elsewhere = tmp_path / "defender_sync.prom"
    stage.sync(metrics_file=str(elsewhere), published_mode="0644").assert_ok()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644
    assert not metrics_file(stage).exists()
    assert "defender_sync_rows{" in elsewhere.read_text()


def test_metrics_that_cannot_be_written_are_a_warning(stage, caplog):
    metrics_file(stage).mkdir()
    stage.sync().assert_ok()
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    path = metrics_file(stage)
    assert warnings == [f"the metrics of this run could not be written: {path}: Is a directory"]


def test_a_folder_for_the_metrics_that_is_not_there_is_told_with_its_key(stage, caplog, tmp_path):
    stage.sync(metrics_file=str(tmp_path / "none" / "defender_sync.prom")).assert_ok()
    [warning] = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert f"sync.metrics_file {tmp_path}/none/defender_sync.prom: No such file" in warning


# --- alerts: what is told, and when ---------------------------------------------------------------


def watched(stage: Stage, receiver, **alerts):
    return replace(stage.settings(), alerts=AlertSettings(webhook_url=receiver.url, **alerts))


def sync(stage: Stage, receiver, **alerts):
    """A sync a quarter of an hour later, with the webhook."""
    stage.clock.advance(minutes=15)
    return stage.sync(watched(stage, receiver, **alerts))


def fail(stage: Stage, status: int = 403):
    return stage.sim.faults.add(Status(status), "machineactions", times=None)


def test_a_change_is_told_once_and_so_is_the_recovery(stage, receiver):
    sync(stage, receiver).assert_ok()
    sync(stage, receiver).assert_ok()
    assert receiver.tries == 0, "all is well, and nothing changed"
    last_success_at = stage.clock()

    fault = fail(stage)
    done = sync(stage, receiver)
    failing_since = stage.clock()
    [message] = receiver.take()
    assert message == {
        "format": 1,
        "event_id": f"contoso.machine_actions.failing.{failing_since:%Y%m%dT%H%M%S.%fZ}",
        "text": "defender-sync: contoso machine_actions: ok → failing",
        "tenant": "contoso",
        "resource": "machine_actions",
        "from": "ok",
        "to": "failing",
        "since": failing_since.isoformat().replace("+00:00", "Z"),
        "at": failing_since.isoformat().replace("+00:00", "Z"),
        "last_success_at": last_success_at.isoformat().replace("+00:00", "Z"),
        "exit_code": 3,
        "remedy": "credentials",
        "run_id": done.run().run_id,
    }
    sync(stage, receiver)
    assert receiver.take() == [], "it fails as before"

    stage.sim.faults.remove(fault)
    sync(stage, receiver).assert_ok()
    [message] = receiver.take()
    shown = {key: message[key] for key in ("from", "to", "exit_code", "remedy")}
    assert shown == {"from": "failing", "to": "ok", "exit_code": 0, "remedy": "none"}
    sync(stage, receiver).assert_ok()
    assert receiver.take() == []


def test_each_tenant_and_resource_is_told_alone(open_stage, receiver):
    stage = open_stage(
        {name: ScriptedWorld([action(name, ago(hours=1))]) for name in ("contoso", "fabrikam")}
    )
    sync(stage, receiver).assert_ok()
    stage.sim.faults.add(
        Status(403),
        "machineactions",
        times=None,
        when=lambda call: call.tenant_id == stage.tenants["fabrikam"].tenant_id,
    )
    sync(stage, receiver)
    told = sorted((each["tenant"], each["resource"], each["to"]) for each in receiver.take())
    assert told == [("fabrikam", "machine_actions", "failing")]


def test_a_first_sync_that_fails_is_told(stage, receiver):
    fail(stage)
    sync(stage, receiver)
    assert receiver.changes() == [(None, "failing")]


def test_a_list_that_is_not_offered_is_no_alarm(stage, receiver):
    sync(stage, receiver).assert_ok()
    fail(stage, 404)
    assert sync(stage, receiver).run().status == "unavailable"
    stage.clock.advance(days=1)
    sync(stage, receiver)
    assert receiver.changes() == []


def test_a_failure_that_lasts_goes_stale(stage, receiver):
    sync(stage, receiver).assert_ok()
    fault = fail(stage)
    for _ in range(8):
        sync(stage, receiver)
    assert receiver.changes() == [("ok", "failing")], "120 minutes old is not too old"
    sync(stage, receiver)
    assert receiver.changes() == [("failing", "stale")]
    stage.sim.faults.remove(fault)
    sync(stage, receiver).assert_ok()
    assert receiver.changes() == [("stale", "ok")]


def test_a_run_after_a_long_pause_tells_that_rows_went_stale_and_that_they_are_fresh_again(stage, receiver):
    sync(stage, receiver, max_age_minutes=30).assert_ok()
    last = stage.clock()
    stage.clock.advance(minutes=10)
    sync(stage, receiver, max_age_minutes=30).assert_ok()
    assert receiver.take() == []
    last = stage.clock()
    stage.clock.advance(hours=5)
    sync(stage, receiver, max_age_minutes=30).assert_ok()
    stale, fresh = [each for each in receiver.take() if each["resource"] == "machine_actions"]
    assert (stale["from"], stale["to"], stale["remedy"], stale["exit_code"]) == (
        "ok",
        "stale",
        "schedule",
        None,
    )
    assert datetime.fromisoformat(stale["since"]) == last + 30 * MINUTES
    assert (fresh["from"], fresh["to"]) == ("stale", "ok")


def test_a_run_that_fails_as_a_whole_is_told_and_mended_only_by_one_that_ends(stage, receiver):
    sync(stage, receiver).assert_ok()
    database = stage.data_dir / "warehouse.duckdb"
    content = database.read_bytes()
    database.write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(WarehouseError):
            sync(stage, receiver)
    [actions, _investigations] = receiver.take()
    assert (actions["to"], actions["exit_code"], actions["remedy"]) == ("failing", 1, "investigate")

    database.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.sync._Run._check", lambda *_: (_ for _ in ()).throw(StoppedError()))
        with pytest.raises(StoppedError):
            sync(stage, receiver)
    assert receiver.take() == [], "a run that was stopped proves nothing"
    sync(stage, receiver).assert_ok()
    assert receiver.changes() == [("failing", "ok")]


def test_a_run_that_is_stopped_tells_nothing(stage, receiver, monkeypatch):
    sync(stage, receiver).assert_ok()
    figures = metrics_file(stage).read_text()
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.sync._Run._check", lambda *_: (_ for _ in ()).throw(StoppedError()))
        with pytest.raises(StoppedError):
            sync(stage, receiver)
    assert (receiver.tries, metrics_file(stage).read_text()) == (0, figures)


def test_another_sync_at_work_is_no_alarm(stage, receiver):
    from pipelines.data_dir import DataDir

    sync(stage, receiver).assert_ok()
    figures = metrics_file(stage).read_text()
    with DataDir(stage.data_dir).locked(), pytest.raises(LockedError):
        sync(stage, receiver)
    assert (receiver.tries, metrics_file(stage).read_text()) == (0, figures)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts("succeeded", "r", ago(minutes=10), None), Health(OK, ago(minutes=10))),
        (Facts("succeeded", "r", ago(minutes=121), None), Health(STALE, ago(minutes=1))),
        (Facts("partial", "r", ago(minutes=10), ago(minutes=5)), Health(PARTIAL, ago(minutes=5))),
        (Facts("failed", "r", ago(minutes=10), ago(minutes=5)), Health(FAILING, ago(minutes=5))),
        (Facts("failed", "r", None, ago(minutes=120)), Health(FAILING, ago(minutes=120))),
        (Facts("failed", "r", None, ago(minutes=121)), Health(STALE, ago(minutes=1))),
        (Facts("unavailable", "r", ago(days=9), None), Health(OK, ago())),
    ],
)
def test_health_is_decided_by_the_last_sync_and_by_age(facts, expected):
    assert health(facts, ago(), 120 * MINUTES) == expected


# --- alerts: what may go wrong --------------------------------------------------------------------


class KilledError(BaseException):
    """The process ends here."""


def test_a_run_that_is_killed_before_it_noted_a_change_loses_none(stage, receiver, monkeypatch):
    sync(stage, receiver).assert_ok()
    fault = fail(stage)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.watching.Watch.ended", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            sync(stage, receiver)
    assert receiver.take() == []
    stage.sim.faults.remove(fault)
    sync(stage, receiver).assert_ok()
    told = [each for each in receiver.take() if each["resource"] == "machine_actions"]
    assert [(each["from"], each["to"], each["remedy"]) for each in told] == [
        ("ok", "failing", "run_log"),
        ("failing", "ok", "none"),
    ]


def test_a_run_that_is_killed_after_it_sent_a_change_tells_it_twice_as_the_same(stage, receiver, monkeypatch):
    sync(stage, receiver).assert_ok()
    fail(stage)
    from pipelines.webhook import Delivery

    send = Delivery.run

    def send_and_die(delivery: Delivery) -> None:
        send(delivery)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "run", send_and_die)
        with pytest.raises(KilledError):
            sync(stage, receiver)
    for _ in range(3):
        sync(stage, receiver)
    told = receiver.take()
    assert [each["to"] for each in told] == ["failing", "failing"]
    assert told[0] == told[1]


@pytest.mark.parametrize("trouble", ["down", "an error", "refuses", "redirects", "slow", "malformed"])
def test_a_receiver_in_trouble_fails_no_sync_is_not_named_and_is_told_later(
    stage, receiver, caplog, capfd, monkeypatch, trouble
):
    caplog.set_level("DEBUG")
    monkeypatch.setattr("pipelines.webhook.TIMEOUT_SECONDS", 0.3)
    sync(stage, receiver).assert_ok()
    settings = watched(stage, receiver)
    with receiving() as elsewhere:
        tries = 3
        if trouble == "down":
            with receiving() as gone:
                url = gone.url
            settings, tries = replace(settings, alerts=AlertSettings(url)), 0
        elif trouble == "an error":
            receiver.status = 503
        elif trouble == "refuses":
            receiver.status, tries = 410, 1
        elif trouble == "redirects":
            receiver.status, tries = 307, 1
            receiver.headers = [("Location", elsewhere.url)]
        elif trouble == "slow":
            receiver.status, receiver.delay_seconds, tries = 503, 1, 1
        elif trouble == "malformed":
            receiver.status, tries = 400, 1
            receiver.headers = [("X bad", "1"), ("no\r\n header at all", "")]
        fault = fail(stage)
        stage.clock.advance(minutes=15)
        done = stage.sync(settings)
        assert elsewhere.tries == 0
    assert (done.exit_code, receiver.tries) == (5, tries)
    told = [record for record in caplog.records if record.name == "pipelines.alerts"]
    assert [record.levelname for record in told] == ["WARNING"]
    assert "the webhook of [alerts] took 0 of 1 messages: " in told[0].getMessage()
    shown = caplog.text + "".join(capfd.readouterr())
    assert SECRET_PATH not in shown
    assert SECRET_PATH.encode() not in b"".join(
        path.read_bytes() for path in stage.data_dir.rglob("*") if path.is_file()
    )

    receiver.status, receiver.headers, receiver.delay_seconds = 200, [], 0
    receiver.take()
    stage.sim.faults.remove(fault)
    sync(stage, receiver).assert_ok()
    assert receiver.changes() == [("ok", "failing"), ("failing", "ok")], "the whole story, in order"


def test_a_receiver_that_drips_its_answer_holds_no_sync_up(receiver):
    from pipelines.clock import Clock
    from pipelines.webhook import Delivery

    receiver.delay_seconds = 2
    delivery = Delivery(receiver.url, [{}, {}, {}], Clock())
    delivery.run(longest_seconds=0.2)
    assert (delivery.sent, delivery.problem) == (0, "it is too slow")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"noted": {"contoso.machine_actions": 1}}', "\xff"])
def test_a_broken_file_of_alerts_begins_anew(stage, receiver, content):
    sync(stage, receiver).assert_ok()
    (stage.data_dir / "alerts.json").write_text(content)
    fail(stage)
    sync(stage, receiver)
    assert receiver.changes() == [("ok", "failing")], "the run log knows how things stood"


def test_no_more_waits_for_a_receiver_than_fits(stage, receiver, monkeypatch):
    monkeypatch.setattr("pipelines.alerts.MOST_PENDING", 2)
    receiver.status = 410
    sync(stage, receiver).assert_ok()
    for _ in range(2):
        fault = fail(stage)
        sync(stage, receiver)
        stage.sim.faults.remove(fault)
        sync(stage, receiver).assert_ok()
    path = stage.data_dir / "alerts.json"
    assert [each["to"] for each in json.loads(path.read_text())["pending"]] == ["failing", "ok"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- the program ----------------------------------------------------------------------------------

CONFIG = """
[sync]
tenants = ["contoso"]
initial_lookback_days = 1
[tenants.contoso]
tenant_id = "{sim.tenant_id}"
client_id = "{sim.client_id}"
client_secret = "{sim.client_secret}"
api_url = "{sim.url}"
login_url = "{sim.url}"
ca_bundle = "{sim.ca_bundle}"
"""


def test_nothing_that_is_sent_or_shown_holds_a_secret_a_row_or_the_address(program, receiver):
    now = datetime.now(UTC)
    world = ScriptedWorld([action("id-of-a-row", now - timedelta(hours=1), requestorComment=HOSTILE)])
    with Simulator(world, tenants=[Tenant()]) as sim:
        program.configure("", CONFIG.format(sim=sim))
        env = {"ALERTS__WEBHOOK_URL": receiver.url}
        body = b'{"error": {"code": "Forbidden", "message": "text-of-the-api \\u001b[31m"}}'
        sim.faults.add(Status(403, body=body), "investigations", times=None)
        done = program("--debug", "sync", env=env)
        receiver.status = 500
        sim.faults.add(Status(403, body=body), "machineactions", times=None)
        failed = program("--debug", "sync", env=env)
        secret = sim.client_secret
    assert (done.code, failed.code) == (5, 3)
    assert receiver.paths == [SECRET_PATH] * 4, "one change told, another tried three times"
    assert "the webhook of [alerts] took 0 of 1 messages: HTTP 500" in failed.err
    sent = b"".join(receiver.bodies).decode()
    for each in (secret, "id-of-a-row", "never-told", "text-of-the-api", "Bearer"):
        assert each not in sent
    files = b"".join(path.read_bytes() for path in (program.folder / "data").rglob("*") if path.is_file())
    shown = done.out + done.err + failed.out + failed.err
    for each in (SECRET_PATH, SECRET_PATH.rpartition("/")[2]):
        assert each not in shown
        assert each.encode() not in files
    metrics = (program.folder / "data" / "metrics.prom").read_text()
    for each in (secret, "id-of-a-row", "never-told", "text-of-the-api"):
        assert each not in metrics


def test_the_settings_come_from_secrets_and_environment(program):
    config = '[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n'
    program.configure(
        config + "[alerts]\nmax_age_minutes = 30\n", '[alerts]\nwebhook_url = "https://a.test/x"\n'
    )
    assert program.settings().alerts == AlertSettings("https://a.test/x", 30)
    assert (
        program.settings(env={"ALERTS__WEBHOOK_URL": "https://b.test/y"}).alerts.webhook_url
        == "https://b.test/y"
    )
    assert "a.test" not in repr(program.settings())
    program.configure(config)
    assert program.settings().alerts == AlertSettings("", 120)


@pytest.mark.parametrize(
    ("alerts", "told"),
    [
        ("webhook = 1", "unknown key alerts.webhook; known are max_age_minutes, webhook_url"),
        ("max_age_minutes = 0", "alerts.max_age_minutes must be at least 1"),
        ("webhook_url = 7001", "alerts.webhook_url must be text in quotes, not the value"),
        ('webhook_url = "http://h0st.test/7001"', "plain http is for loopback hosts only"),
        ('webhook_url = "h0st.test/7001"', "alerts.webhook_url is no address such as https://HOST/PATH"),
        ('webhook_url = "ftp://h0st.test/7001"', "alerts.webhook_url is no address"),
        ('webhook_url = "https://u:7001@h0st.test/"', "alerts.webhook_url is no address"),
        ('webhook_url = "https://h0st.test:7001x/"', "alerts.webhook_url is no address"),
        ('webhook_url = "https://h0st.test/7001\\r\\nX: y"', "alerts.webhook_url is no address"),
    ],
)
def test_a_wrong_setting_is_named_and_the_address_is_not(program, alerts, told):
    program.configure(
        f'[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n[alerts]\n{alerts}\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        program.settings()
    assert told in str(caught.value)
    assert "7001" not in str(caught.value)
    assert "h0st" not in str(caught.value)


def test_an_unknown_key_of_the_environment_is_named(program):
    program.configure('[sync]\ntenants = ["demo"]\n[tenants.demo]\ncloud = "simulator"\n')
    with pytest.raises(ConfigurationError, match=r"the environment: unknown key alerts\.webhok_url"):
        program.settings(env={"ALERTS__WEBHOK_URL": "https://a.test/x"})


# --- docs/watching.md -----------------------------------------------------------------------------


def test_the_document_tells_every_metric_key_and_remedy(stage, receiver):
    stage.publishes = True
    stage.sync().assert_ok()
    fail(stage)
    sync(stage, receiver)
    [message] = receiver.take()
    keys = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    names = {f"defender_sync_{key[0]}" for key in metrics(stage)}
    assert {key for key in keys if key.startswith("defender_sync_")} == names
    assert set(message) <= set(keys)
    remedies = set(re.findall(r"`(\w+)`", DOCUMENT.split("| `remedy` |")[1].split("\n")[0]))
    assert remedies == {*REMEDIES.values(), "schedule", "run_log"}
    assert set(REMEDIES) | {ExitCode.LOCKED} == set(ExitCode)
    assert set(re.findall(r"defender_sync_\w+", DOCUMENT)) == names

"""How long each mart takes to answer, over a warehouse of 1M machine actions and 200k investigations.

Run as a process of its own: `python -m benchmarks.marts FOLDER` prints JSON, by mart: its rows, the seconds
that it takes to be worked out whole from the state tables, and to be read whole, every column of it, from
what is published, as BI does.
"""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines import sql_files
from pipelines.data_dir import DataDir
from pipelines.defender import Loader
from pipelines.publish import publish
from pipelines.snapshot_files import DATABASE
from pipelines.warehouse import Warehouse

ACTIONS, INVESTIGATIONS, MACHINES = 1_000_000, 200_000, 20_000
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ROUNDS = 3
STATE = f"""
insert into defender.machine_actions by name
select
    'contoso' as tenant,
    'a' || i as id,
    ['RunAntiVirusScan', 'RunAntiVirusScan', 'RunAntiVirusScan', 'Isolate', 'Unisolate', 'LiveResponse',
     'StopAndQuarantineFile', 'CollectInvestigationPackage', 'RestrictCodeExecution',
     'UnrestrictCodeExecution'][1 + (hash(i) % 10)::bigint] as type,
    ['Succeeded', 'Succeeded', 'Succeeded', 'Succeeded', 'Failed', 'TimeOut'][1 + (hash(i + 1) % 6)::bigint] as status,
    'analyst' || (hash(i + 2) % 40)::bigint || '@contoso.com' as requestor,
    'comment ' || i as requestor_comment,
    'm' || (hash(i + 3) % {MACHINES})::bigint as machine_id,
    'desktop-' || (hash(i + 3) % {MACHINES})::bigint as computer_dns_name,
    timestamptz '2026-11-20 12:00:00Z' - to_seconds(i * 15.55) as creation_date_time_utc,
    creation_date_time_utc + to_seconds(60 + (hash(i + 4) % 3600)::bigint) as last_update_date_time_utc,
    case when type = 'Isolate' then 'Full' end as scope,
    case when type = 'LiveResponse' then '[{{"index": 0, "startTime": null, "endTime": null,
        "commandStatus": "Completed", "errors": [], "command": {{"type": "RunScript", "params":
        [{{"key": "ScriptName", "value": "collect.ps1"}}]}}}}]' end as commands,
    'Portal' as request_source,
    0 as error_h_result,
    timestamptz '2026-11-20 12:00:00Z' as synced_at
from range({ACTIONS}) as numbers(i);

insert into defender.investigations by name
select
    'contoso' as tenant,
    (1000000 + i)::varchar as id,
    ['Benign', 'SuccessfullyRemediated', 'Failed', 'PartiallyRemediated'][1 + (hash(i) % 4)::bigint] as state,
    'm' || (hash(i + 3) % {MACHINES})::bigint as machine_id,
    'desktop-' || (hash(i + 3) % {MACHINES})::bigint as computer_dns_name,
    'da' || i as triggering_alert_id,
    timestamptz '2026-11-20 12:00:00Z' - to_seconds(i * 77.7) as start_time,
    start_time + to_seconds(600 + (hash(i + 4) % 90000)::bigint) as end_time,
    timestamptz '2026-11-20 12:00:00Z' as synced_at
from range({INVESTIGATIONS}) as numbers(i);

insert into defender.machine_action_versions by name
select * exclude (synced_at, gone_at) replace ('Pending' as status), 1 as version,
    creation_date_time_utc as observed_at
from defender.machine_actions;
insert into defender.machine_action_versions by name
select * exclude (synced_at, gone_at), 2 as version, last_update_date_time_utc as observed_at
from defender.machine_actions;
insert into defender.investigation_versions by name
select * exclude (synced_at, gone_at), 1 as version, start_time as observed_at from defender.investigations;

insert into defender.sync_runs
    (run_id, tenant, resource, command, status, started_at, finished_at, window_start, window_end, rows_read)
select 'bench', 'contoso', resource, 'sync', 'succeeded', timestamptz '2026-11-20 12:00:00Z',
    timestamptz '2026-11-20 12:00:00Z', timestamptz '2026-05-24 12:00:00Z', timestamptz '2026-11-20 12:00:00Z', 1
from (values ('machine_actions'), ('investigations')) as both_resources(resource);
"""


def main() -> None:
    """Fill, publish, time, and print."""
    folder = Path(sys.argv[1])
    data_dir = DataDir(folder / "data")
    data_dir.create()
    warehouse = Warehouse(data_dir.warehouse)
    loader = Loader(warehouse, data_dir.working_dir)
    loader.create_state_tables("contoso")
    loader.close()
    warehouse.create_tables()
    warehouse.create_views(NOW)
    warehouse.connection.execute(STATE)
    snapshot = publish(warehouse, data_dir, NOW)
    print(json.dumps({mart: _timed(warehouse, snapshot, mart) for mart in sql_files.mart_names()}))
    warehouse.close()


def _timed(warehouse: Warehouse, snapshot: Path, mart: str) -> dict[str, float]:
    cursor = warehouse.cursor()
    worked_out = [
        _seconds(cursor, f"create or replace temp table worked_out as from marts.{mart}")
        for _ in range(ROUNDS)
    ]
    cursor.close()
    read = []
    for _ in range(ROUNDS):
        with duckdb.connect(str(snapshot / DATABASE), read_only=True) as reader:
            read.append(_seconds(reader, f"select count(*), bit_xor(hash(mart)) from marts.{mart} as mart"))
            rows = reader.execute(f"select count(*) from marts.{mart}").fetchall()[0][0]
    return {"rows": rows, "worked_out_seconds": sorted(worked_out)[1], "read_seconds": sorted(read)[1]}


def _seconds(connection: duckdb.DuckDBPyConnection, query: str) -> float:
    started = time.perf_counter()
    connection.execute(query).fetchall()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

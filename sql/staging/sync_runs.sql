-- One row per run, tenant and resource.
create or replace view staging.sync_runs as
select
    run_id,
    tenant,
    resource,
    command,
    status,
    started_at,
    finished_at,
    window_start,
    window_end,
    rows_read,
    rows_quarantined,
    checks_failed,
    error
from defender.sync_runs;

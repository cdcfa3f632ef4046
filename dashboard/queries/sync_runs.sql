-- One row per run, tenant and resource, the latest first.
select
    tenant,
    resource,
    started_at,
    command,
    status,
    epoch(finished_at) - epoch(started_at) as seconds,
    calls,
    retries,
    waited_seconds,
    rows_read,
    rows_new,
    rows_changed,
    rows_quarantined,
    checks_failed,
    error,
    run_id
from sync_runs
where started_at >= $since and started_at < $until and list_contains($tenants, tenant)
order by started_at desc, tenant, resource

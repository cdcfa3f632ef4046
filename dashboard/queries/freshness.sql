-- One row per tenant and resource: how fresh and how complete.
select
    tenant,
    resource,
    last_run_status,
    last_success_at,
    watermark,
    known_since,
    row_count,
    open_count,
    gone_count,
    quarantined_count,
    checks_failed,
    oldest_at,
    newest_at,
    last_run_finished_at,
    last_run_error,
    -- Runs go on without it: it was taken out of the configuration.
    coalesce(
        last_run_started_at < (select max(last_run_started_at) from marts.sync_freshness) - interval '168 hours',
        false
    ) as is_retired,
    as_of
from marts.sync_freshness
where list_contains($tenants, tenant)
order by tenant, resource

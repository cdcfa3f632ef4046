-- One row per tenant and resource: how fresh and how complete.
with last_runs as (
    select max(last_run_started_at) as started_at
    from marts.sync_freshness
),

tenants as (
    select
        tenant,
        max(last_run_started_at) as started_at
    from marts.sync_freshness
    group by tenant
)

select
    fresh.tenant,
    fresh.resource,
    fresh.last_run_status,
    fresh.last_success_at,
    fresh.watermark,
    fresh.known_since,
    fresh.row_count,
    fresh.open_count,
    fresh.gone_count,
    fresh.quarantined_count,
    fresh.checks_failed,
    fresh.oldest_at,
    fresh.newest_at,
    fresh.last_run_finished_at,
    fresh.last_run_error,
    -- Runs go on without it: it was taken out of the configuration. That actions alone are is no intent.
    coalesce(
        last_runs.started_at - interval '720 hours'
        > case fresh.resource
            when 'machine_actions' then tenants.started_at
            else fresh.last_run_started_at
        end,
        false
    ) as is_retired,
    fresh.as_of
from marts.sync_freshness as fresh
cross join last_runs
inner join tenants
    on fresh.tenant = tenants.tenant
where list_contains($tenants, fresh.tenant)
order by fresh.tenant, fresh.resource

-- One row per tenant: the time that ages are counted from.
-- It is the end of the last sync that succeeded, at least in part or by finding the endpoint not offered;
-- before the first such run, the last time that a row was read, if any was.
create or replace view staging.as_of as
with runs as (
    select
        tenant,
        max(case when status in ('succeeded', 'partial', 'unavailable') then finished_at end) as finished_at
    from defender.sync_runs
    where command = 'sync'
    group by tenant
),

readings as (
    select
        tenant,
        max(synced_at) as synced_at
    from
        (
            select
                tenant,
                max(synced_at) as synced_at
            from defender.machine_actions
            group by tenant
            union all
            select
                tenant,
                max(synced_at) as synced_at
            from defender.investigations
            group by tenant
        ) as both_tables
    group by tenant
),

tenants as (
    select tenant from runs
    union
    select tenant from readings
    union
    select tenant from defender.watermarks
)

select
    tenants.tenant,
    coalesce(runs.finished_at, readings.synced_at) as as_of
from tenants
left join runs
    on tenants.tenant = runs.tenant
left join readings
    on tenants.tenant = readings.tenant;

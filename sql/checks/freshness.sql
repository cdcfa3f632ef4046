-- Passes when all that the tenant's last sync was to read succeeded within the 24 hours before `as_of`.
-- Only syncs count: a backfill or reconcile makes nothing fresher. What is configured no more is not in it.
-- Severity: warning
with syncs as (
    select
        tenant,
        resource,
        run_id,
        started_at,
        case when status in ('succeeded', 'unavailable') then finished_at end as succeeded_at
    from staging.sync_runs
    where command = 'sync'
),

last_starts as (
    select
        tenant,
        max(started_at) as started_at
    from syncs
    group by tenant
),

last_syncs as (
    select
        syncs.tenant,
        max(syncs.run_id) as run_id
    from syncs
    inner join last_starts
        on
            syncs.tenant = last_starts.tenant
            and syncs.started_at = last_starts.started_at
    group by syncs.tenant
),

successes as (
    select
        syncs.tenant,
        syncs.resource,
        max(syncs.succeeded_at) as last_success_at
    from syncs
    inner join last_syncs
        on syncs.tenant = last_syncs.tenant
    group by syncs.tenant, syncs.resource
    having count(*) filter (where syncs.run_id = last_syncs.run_id) > 0
)

select
    successes.tenant,
    successes.resource,
    successes.last_success_at,
    as_of.as_of
from successes
inner join staging.as_of as as_of
    on successes.tenant = as_of.tenant
where
    successes.last_success_at is null
    or successes.last_success_at < as_of.as_of - interval '24 hours';

-- One row per tenant: since when its machine actions are covered.
-- A sync reads forward without gaps from where its first window began; a backfill of an older range may leave
-- a gap behind it, so it does not count. A run that read nothing proves nothing. Nor does what was purged.
-- A sync that had to begin at the oldest rows that the API keeps, 180 days back, may have a gap before it.
create or replace view staging.coverage as
with starts as (
    select
        tenant,
        min(window_start) as first_start,
        max(case when window_start <= started_at - interval '4320 hours' then window_start end) as oldest_kept
    from defender.sync_runs
    where
        resource = 'machine_actions'
        and command = 'sync'
        and (status in ('succeeded', 'partial') or rows_read > 0)
    group by tenant
),

windows as (
    select
        tenant,
        case when oldest_kept > first_start then oldest_kept else first_start end as window_start
    from starts
),

oldest as (
    select
        tenant,
        min(creation_date_time_utc) as created_at
    from defender.machine_actions
    group by tenant
),

tenants as (
    select tenant from windows
    union
    select tenant from oldest
),

read_since as (
    select
        tenants.tenant,
        coalesce(windows.window_start, oldest.created_at) as read_since
    from tenants
    left join windows
        on tenants.tenant = windows.tenant
    left join oldest
        on tenants.tenant = oldest.tenant
)

select
    read_since.tenant,
    case
        when purges.purged_before > read_since.read_since then purges.purged_before
        else read_since.read_since
    end as known_since
from read_since
left join defender.purges as purges
    on read_since.tenant = purges.tenant;

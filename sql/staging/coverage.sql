-- One row per tenant: since when its machine actions are covered.
-- A sync reads forward without gaps from where its first window began; a backfill of an older range may leave
-- a gap behind it, so it does not count. A run that read nothing proves nothing. Nor does what was purged.
-- Before a gap that was noticed, nothing is covered.
create or replace view staging.coverage as
with windows as (
    select
        tenant,
        min(window_start) as window_start
    from defender.sync_runs
    where
        resource = 'machine_actions'
        and command = 'sync'
        and (status in ('succeeded', 'partial') or window_end is not null)
    group by tenant
),

gaps as (
    select
        tenant,
        ended_at
    from defender.gaps
    where resource = 'machine_actions'
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
        case
            when gaps.ended_at > coalesce(windows.window_start, oldest.created_at) then gaps.ended_at
            else coalesce(windows.window_start, oldest.created_at)
        end as read_since
    from tenants
    left join gaps
        on tenants.tenant = gaps.tenant
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

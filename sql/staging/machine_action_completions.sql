-- One row per tenant and machine action that was ever seen in a status that ends it.
-- `effective_at` is the earliest last update at which it was seen Succeeded; `ended_at` the earliest one at
-- which it was seen in the status that it has now.
-- A reading without a time of update can lie anywhere between the action's creation and the reading:
-- its creation stands for it, and `effective_by` bounds it.
create or replace view staging.machine_action_completions as
with readings as (
    select
        tenant,
        id,
        status,
        last_update_date_time_utc,
        observed_at
    from defender.machine_action_versions
    where status in ('Succeeded', 'Failed', 'TimeOut', 'Cancelled', 'Canceled')
    union all
    select
        tenant,
        id,
        status,
        last_update_date_time_utc,
        synced_at as observed_at
    from defender.machine_actions
    where status in ('Succeeded', 'Failed', 'TimeOut', 'Cancelled', 'Canceled')
),

by_status as (
    select
        tenant,
        id,
        min(case when status = 'Succeeded' then last_update_date_time_utc end) as succeeded_at,
        min(case when status = 'Succeeded' then observed_at end) as succeeded_by,
        max(case when status = 'Succeeded' then 1 else 0 end) as has_succeeded,
        min(case when status = 'Failed' then last_update_date_time_utc end) as failed_at,
        min(case when status = 'TimeOut' then last_update_date_time_utc end) as timed_out_at,
        min(case when status in ('Cancelled', 'Canceled') then last_update_date_time_utc end) as cancelled_at
    from readings
    group by tenant, id
)

select
    actions.tenant,
    actions.id,
    case
        when by_status.has_succeeded = 1
            then coalesce(by_status.succeeded_at, actions.creation_date_time_utc)
    end as effective_at,
    case
        when by_status.has_succeeded = 1
            then coalesce(by_status.succeeded_at, by_status.succeeded_by)
    end as effective_by,
    case
        when actions.status = 'Succeeded' then by_status.succeeded_at
        when actions.status = 'Failed' then by_status.failed_at
        when actions.status = 'TimeOut' then by_status.timed_out_at
        when actions.status in ('Cancelled', 'Canceled') then by_status.cancelled_at
    end as ended_at
from by_status
inner join defender.machine_actions as actions
    on
        by_status.tenant = actions.tenant
        and by_status.id = actions.id;

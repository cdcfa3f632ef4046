-- One row per tenant and machine action: when it took effect and when it ended, by all readings of it.
-- `effective_at` is the earliest last update at which it was seen Succeeded; `ended_at` the earliest one at
-- which it was seen in the final status that it has now.
-- A reading without a time of update can lie anywhere between the action's creation and the reading:
-- its creation stands for it, and `effective_by` bounds it.
create or replace view staging.machine_action_completions as
-- Most actions end in the reading that the state table holds: only readings that differ from it matter.
with other_readings as (
    select
        versions.tenant,
        versions.id,
        versions.observed_at,
        versions.status = actions.status as is_same_status,
        versions.status = 'Succeeded' as is_succeeded,
        versions.last_update_date_time_utc as updated_at
    from defender.machine_action_versions as versions
    inner join defender.machine_actions as actions
        on
            versions.tenant = actions.tenant
            and versions.id = actions.id
    where
        versions.status in ('Succeeded', 'Failed', 'TimeOut', 'Cancelled', 'Canceled')
        and (
            versions.status <> actions.status
            or versions.last_update_date_time_utc is distinct from actions.last_update_date_time_utc
            or versions.last_update_date_time_utc is null
        )
),

earlier as (
    select
        tenant,
        id,
        bool_or(is_succeeded) as has_succeeded,
        min(case when is_succeeded then updated_at end) as succeeded_at,
        min(case when is_succeeded then observed_at end) as succeeded_by,
        min(case when is_same_status then updated_at end) as ended_at
    from other_readings
    group by tenant, id
),

combined as (
    select
        actions.tenant,
        actions.id,
        actions.creation_date_time_utc,
        not coalesce(statuses.is_open, true) as is_ended,
        coalesce(actions.status = 'Succeeded' or earlier.has_succeeded, false) as has_succeeded,
        least(
            case when actions.status = 'Succeeded' then actions.last_update_date_time_utc end,
            earlier.succeeded_at
        ) as succeeded_at,
        least(case when actions.status = 'Succeeded' then actions.synced_at end, earlier.succeeded_by)
            as succeeded_by,
        least(actions.last_update_date_time_utc, earlier.ended_at) as ended_at
    from defender.machine_actions as actions
    left join earlier
        on
            actions.tenant = earlier.tenant
            and actions.id = earlier.id
    left join staging.machine_action_statuses as statuses
        on actions.status = statuses.status
)

select
    tenant,
    id,
    case when has_succeeded then coalesce(succeeded_at, creation_date_time_utc) end as effective_at,
    case when has_succeeded then coalesce(succeeded_at, succeeded_by) end as effective_by,
    case when is_ended then ended_at end as ended_at
from combined;

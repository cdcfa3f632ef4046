-- One row per tenant and machine action, as in staging.machine_actions, with when it took effect and ended.
-- `effective_at` is the earliest last update at which it was seen Succeeded; `ended_at` the earliest one at
-- which it was seen in the final status that it has now.
-- A reading without a time of update can lie anywhere between the action's creation and the reading:
-- its creation stands for it, and `effective_by` bounds it.
create or replace view staging.machine_action_completions as
with combined as (
    select
        actions.*,
        coalesce(actions.status = 'Succeeded' or earlier.has_succeeded, false) as has_succeeded,
        least(
            case when actions.status = 'Succeeded' then actions.last_update_date_time_utc end,
            earlier.succeeded_at
        ) as succeeded_at,
        least(case when actions.status = 'Succeeded' then actions.synced_at end, earlier.succeeded_by)
            as succeeded_by,
        least(actions.last_update_date_time_utc, earlier.ended_at) as first_ended_at
    from staging.machine_actions as actions
    left join staging.machine_action_earlier_ends as earlier
        on
            actions.tenant = earlier.tenant
            and actions.id = earlier.id
)

select
    combined.*,
    case when has_succeeded then coalesce(succeeded_at, creation_date_time_utc) end as effective_at,
    case when has_succeeded then coalesce(succeeded_at, succeeded_by) end as effective_by,
    case when not is_open then first_ended_at end as ended_at
from combined;

-- One row per tenant and machine action of which some reading told an end that the kept row does not tell.
create or replace view staging.machine_action_earlier_ends as
-- Nearly all actions end once and have a time of update: their end stands in the kept row. Looking for the
-- others only among those that were read differently later spares comparing every version with every action.
with changed as (
    select
        tenant,
        id
    from defender.machine_action_versions
    where version = 2
),

ends as (
    select
        versions.tenant,
        versions.id,
        versions.status,
        versions.last_update_date_time_utc as updated_at,
        versions.observed_at
    from defender.machine_action_versions as versions
    left join changed
        on
            versions.tenant = changed.tenant
            and versions.id = changed.id
    where
        versions.status in ('Succeeded', 'Failed', 'TimeOut', 'Cancelled', 'Canceled')
        and (changed.id is not null or versions.last_update_date_time_utc is null)
),

other_ends as (
    select
        ends.tenant,
        ends.id,
        ends.updated_at,
        ends.observed_at,
        ends.status = actions.status as is_same_status,
        ends.status = 'Succeeded' as is_succeeded
    from ends
    inner join defender.machine_actions as actions
        on
            ends.tenant = actions.tenant
            and ends.id = actions.id
    where
        ends.status is distinct from actions.status
        or ends.updated_at is distinct from actions.last_update_date_time_utc
        or ends.updated_at is null
)

select
    tenant,
    id,
    bool_or(is_succeeded) as has_succeeded,
    min(case when is_succeeded then updated_at end) as succeeded_at,
    min(case when is_succeeded then observed_at end) as succeeded_by,
    min(case when is_same_status then updated_at end) as ended_at
from other_ends
group by tenant, id;

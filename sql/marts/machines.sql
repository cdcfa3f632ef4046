-- One row per tenant and machine that an action or investigation names.
create or replace view marts.machines as
with action_counts as (
    select
        tenant,
        machine_id,
        count(*) as action_count,
        count(*) filter (where is_open and not is_gone) as open_action_count,
        count(*) filter (where outcome in ('failed', 'timed_out')) as failed_action_count,
        min(created_at) as first_seen_at,
        max(created_at) as last_seen_at
    from marts.machine_actions
    where machine_id is not null
    group by tenant, machine_id
),

investigation_counts as (
    select
        tenant,
        machine_id,
        count(*) as investigation_count,
        count(*) filter (where is_open and not is_gone) as open_investigation_count,
        min(started_at) as first_seen_at,
        max(started_at) as last_seen_at
    from marts.investigations
    where machine_id is not null
    group by tenant, machine_id
),

sightings as (
    select
        tenant,
        machine_id,
        machine_name,
        created_at as seen_at
    from marts.machine_actions
    where machine_id is not null and machine_name is not null
    union all
    select
        tenant,
        machine_id,
        machine_name,
        started_at as seen_at
    from marts.investigations
    where machine_id is not null and machine_name is not null
),

-- DNS names are the same in upper and lower case.
names as (
    select
        tenant,
        machine_id,
        lower(machine_name) as machine_name,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at
    from sightings
    group by tenant, machine_id, lower(machine_name)
),

ordered_names as (
    select
        tenant,
        machine_id,
        machine_name,
        first_seen_at,
        row_number() over (
            partition by tenant, machine_id
            order by last_seen_at desc nulls last, machine_name asc
        ) as place
    from names
),

name_lists as (
    select
        tenant,
        machine_id,
        count(*) as name_count,
        max(case when place = 1 then machine_name end) as machine_name,
        string_agg(machine_name, ', ' order by first_seen_at, machine_name) as names
    from ordered_names
    group by tenant, machine_id
),

-- Many machines may bear one name (images, 'localhost'): the list stops at 21 ids, its own among them or not.
namesakes as (
    select
        tenant,
        machine_name,
        machine_id,
        count(*) over (partition by tenant, machine_name) as bearers,
        row_number() over (
            partition by tenant, machine_name
            order by machine_id
        ) as place,
        cast(
            coalesce(
                sum(length(machine_id) + 2) over (
                    partition by tenant, machine_name
                    order by machine_id
                    rows between unbounded preceding and 1 preceding
                ), 0
            ) as bigint
        ) as length_before
    from name_lists
),

-- One list for each name, from which a machine's own id is cut at the end: a list for each machine would be
-- twenty times as much to hold.
id_lists as (
    select
        tenant,
        machine_name,
        string_agg(machine_id, ', ' order by machine_id) || ', ' as machine_ids
    from namesakes
    where bearers > 1 and place <= 21
    group by tenant, machine_name
),

-- Requests of one moment are few: looking for their greatest id is quicker than putting all in order.
last_requests as (
    select
        actions.tenant,
        actions.machine_id,
        max(actions.machine_action_id) as machine_action_id
    from marts.machine_actions as actions
    inner join action_counts
        on
            actions.tenant = action_counts.tenant
            and actions.machine_id = action_counts.machine_id
            and actions.created_at = action_counts.last_seen_at
    group by actions.tenant, actions.machine_id
),

last_actions as (
    select
        last_requests.tenant,
        last_requests.machine_id,
        last_requests.machine_action_id,
        actions.action_type,
        actions.status,
        actions.created_at
    from last_requests
    inner join marts.machine_actions as actions
        on
            last_requests.tenant = actions.tenant
            and last_requests.machine_action_id = actions.machine_action_id
),

ids as (
    select
        tenant,
        machine_id
    from action_counts
    union
    select
        tenant,
        machine_id
    from investigation_counts
)

select
    ids.tenant,
    ids.machine_id,
    name_lists.machine_name,
    name_lists.names,
    coalesce(name_lists.name_count, 0) as name_count,
    coalesce(
        least(action_counts.first_seen_at, investigation_counts.first_seen_at),
        action_counts.first_seen_at,
        investigation_counts.first_seen_at
    ) as first_seen_at,
    coalesce(
        greatest(action_counts.last_seen_at, investigation_counts.last_seen_at),
        action_counts.last_seen_at,
        investigation_counts.last_seen_at
    ) as last_seen_at,
    coalesce(action_counts.action_count, 0) as action_count,
    coalesce(action_counts.open_action_count, 0) as open_action_count,
    coalesce(action_counts.failed_action_count, 0) as failed_action_count,
    coalesce(investigation_counts.investigation_count, 0) as investigation_count,
    coalesce(investigation_counts.open_investigation_count, 0) as open_investigation_count,
    last_actions.machine_action_id as last_action_id,
    last_actions.action_type as last_action_type,
    last_actions.status as last_action_status,
    last_actions.created_at as last_action_at,
    coalesce(namesakes.bearers - 1, 0) as other_machine_count,
    case
        when namesakes.place > 21 then substring(id_lists.machine_ids, 1, length(id_lists.machine_ids) - 2)
        else
            substring(
                substring(id_lists.machine_ids, 1, namesakes.length_before)
                || substring(
                    id_lists.machine_ids,
                    namesakes.length_before + length(namesakes.machine_id) + 3,
                    length(id_lists.machine_ids)
                ),
                1,
                length(id_lists.machine_ids) - length(namesakes.machine_id) - 4
            )
    end as other_machine_ids,
    case
        when regexp_matches(ids.machine_id, '^[0-9A-Za-z_-]+$')
            then 'https://security.microsoft.com/machines/' || ids.machine_id
    end as portal_url,
    as_of.as_of
from ids
left join action_counts
    on
        ids.tenant = action_counts.tenant
        and ids.machine_id = action_counts.machine_id
left join investigation_counts
    on
        ids.tenant = investigation_counts.tenant
        and ids.machine_id = investigation_counts.machine_id
left join name_lists
    on
        ids.tenant = name_lists.tenant
        and ids.machine_id = name_lists.machine_id
left join namesakes
    on
        ids.tenant = namesakes.tenant
        and ids.machine_id = namesakes.machine_id
left join id_lists
    on
        namesakes.tenant = id_lists.tenant
        and namesakes.machine_name = id_lists.machine_name
left join last_actions
    on
        ids.tenant = last_actions.tenant
        and ids.machine_id = last_actions.machine_id
left join staging.as_of as as_of
    on ids.tenant = as_of.tenant;

comment on view marts.machines is 'Every machine that an action or investigation names. Not an inventory: a machine that nothing happened to is not here.';
comment on column marts.machines.tenant is 'Name of the tenant in the configuration.';
comment on column marts.machines.machine_id is 'Id of the machine; several tenants may show the same id.';
comment on column marts.machines.machine_name is 'The name that it was last seen with, in lower case.';
comment on column marts.machines.names is 'All names it was seen with, the first one first.';
comment on column marts.machines.name_count is 'Number of those names.';
comment on column marts.machines.first_seen_at is 'First request or investigation start on it.';
comment on column marts.machines.last_seen_at is 'Last request or investigation start on it.';
comment on column marts.machines.action_count is 'Actions on it.';
comment on column marts.machines.open_action_count is 'Of them, open and not gone.';
comment on column marts.machines.failed_action_count is 'Of them, failed or timed out.';
comment on column marts.machines.investigation_count is 'Investigations on it.';
comment on column marts.machines.open_investigation_count is 'Of them, open and not gone.';
comment on column marts.machines.last_action_id is 'The action that was asked for last.';
comment on column marts.machines.last_action_type is 'Type of that action.';
comment on column marts.machines.last_action_status is 'Status of that action.';
comment on column marts.machines.last_action_at is 'When that action was asked for.';
comment on column marts.machines.other_machine_count is 'Other machine ids of the tenant that were last seen with the same name, as after onboarding again.';
comment on column marts.machines.other_machine_ids is 'Those ids, at most 21 of them.';
comment on column marts.machines.portal_url is 'Page of the machine in the commercial portal. Not tried in a live tenant.';
comment on column marts.machines.as_of is 'The end of the tenant''s last sync that succeeded, at least in part.';

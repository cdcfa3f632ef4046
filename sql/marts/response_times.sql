-- One row per tenant and investigation.
create or replace view marts.response_times as
with starts as (
    select
        tenant,
        machine_id,
        investigation_id,
        started_at
    from marts.investigations
    where machine_id is not null and started_at is not null
),

-- A start comes before a request of the same moment.
request_moments as (
    select
        tenant,
        machine_id,
        started_at as moment_at,
        2 as moment_order,
        investigation_id,
        cast(null as timestamptz) as created_at
    from starts
    union all
    select
        tenant,
        machine_id,
        created_at as moment_at,
        1 as moment_order,
        cast(null as varchar) as investigation_id,
        created_at
    from marts.machine_actions
    where machine_id is not null
),

-- One pass over each machine's moments from the latest back, however many investigations and actions it has.
first_actions as (
    select
        tenant,
        investigation_id,
        min(created_at) over (
            partition by tenant, machine_id
            order by moment_at desc, moment_order asc
            rows between unbounded preceding and current row
        ) as first_action_at
    from request_moments
),

effects as (
    select
        tenant,
        machine_id,
        action_type,
        created_at,
        effective_at,
        row_number() over (
            partition by tenant, machine_id
            order by effective_at, created_at, machine_action_id
        ) as place
    from marts.machine_actions
    where
        machine_id is not null
        and family in ('isolation', 'offboarding')
        and effective_at is not null
),

-- By pairs, as the bound is each investigation's own: isolations of one machine are few.
first_isolations as (
    select
        investigations.tenant,
        investigations.investigation_id,
        min(effects.effective_at) as first_contained_at
    from marts.investigations as investigations
    inner join effects
        on
            investigations.tenant = effects.tenant
            and investigations.machine_id = effects.machine_id
            and investigations.started_at <= effects.created_at
            and effects.created_at
            <= coalesce(investigations.ended_at, investigations.as_of) + interval '168 hours'
    where effects.action_type = 'Isolate'
    group by investigations.tenant, investigations.investigation_id
),

-- Effects before a start of the same moment.
effect_moments as (
    select
        tenant,
        machine_id,
        started_at as moment_at,
        2 as moment_order,
        investigation_id,
        cast(null as bigint) as place
    from starts
    union all
    select
        tenant,
        machine_id,
        effective_at as moment_at,
        1 as moment_order,
        cast(null as varchar) as investigation_id,
        place
    from effects
),

last_places as (
    select
        tenant,
        machine_id,
        investigation_id,
        max(place) over (
            partition by tenant, machine_id
            order by moment_at, moment_order
            rows between unbounded preceding and current row
        ) as place
    from effect_moments
),

-- As in marts.machine_containment: what took effect last decides, and an offboarding leaves nothing known.
states_at_start as (
    select
        last_places.tenant,
        last_places.investigation_id,
        case
            when effects.action_type = 'Isolate' then true
            when effects.action_type = 'Unisolate' then false
        end as was_isolated_at_start
    from last_places
    inner join effects
        on
            last_places.tenant = effects.tenant
            and last_places.machine_id = effects.machine_id
            and last_places.place = effects.place
    where last_places.investigation_id is not null
),

bounded as (
    select
        investigations.tenant,
        investigations.investigation_id,
        investigations.machine_id,
        investigations.machine_name,
        investigations.state,
        investigations.is_open,
        investigations.started_at,
        investigations.ended_at,
        case
            when
                first_actions.first_action_at
                <= coalesce(investigations.ended_at, investigations.as_of) + interval '168 hours'
                then first_actions.first_action_at
        end as first_action_at,
        first_isolations.first_contained_at,
        states_at_start.was_isolated_at_start,
        investigations.portal_url,
        investigations.as_of
    from marts.investigations as investigations
    left join first_actions
        on
            investigations.tenant = first_actions.tenant
            and investigations.investigation_id = first_actions.investigation_id
    left join first_isolations
        on
            investigations.tenant = first_isolations.tenant
            and investigations.investigation_id = first_isolations.investigation_id
    left join states_at_start
        on
            investigations.tenant = states_at_start.tenant
            and investigations.investigation_id = states_at_start.investigation_id
)

select
    tenant,
    investigation_id,
    machine_id,
    machine_name,
    state,
    is_open,
    started_at,
    first_action_at,
    first_contained_at,
    ended_at,
    epoch(first_action_at) - epoch(started_at) as seconds_to_first_action,
    epoch(first_contained_at) - epoch(started_at) as seconds_to_first_containment,
    epoch(ended_at) - epoch(started_at) as seconds_to_end,
    was_isolated_at_start,
    portal_url,
    as_of
from bounded;

comment on view marts.response_times is 'How fast the response to each investigation was. Actions on the same machine count when asked for at or after the start and at most 7 days after the end (or as_of). Use median and p95, not the mean.';
comment on column marts.response_times.tenant is 'Name of the tenant in the configuration.';
comment on column marts.response_times.investigation_id is 'The investigation.';
comment on column marts.response_times.machine_id is 'Its machine; without one nothing can be measured but the end.';
comment on column marts.response_times.machine_name is 'DNS name of the machine.';
comment on column marts.response_times.state is 'State as last read.';
comment on column marts.response_times.is_open is 'True while the investigation is open.';
comment on column marts.response_times.started_at is 'When the investigation started.';
comment on column marts.response_times.first_action_at is 'When the first action after the start was asked for; null when there was none.';
comment on column marts.response_times.first_contained_at is 'When the first isolation that was asked for after the start took effect; null when none did.';
comment on column marts.response_times.ended_at is 'When the investigation ended.';
comment on column marts.response_times.seconds_to_first_action is 'Seconds from the start to the first action.';
comment on column marts.response_times.seconds_to_first_containment is 'Seconds from the start to the first isolation that took effect.';
comment on column marts.response_times.seconds_to_end is 'Seconds from the start to the end.';
comment on column marts.response_times.was_isolated_at_start is 'True when the machine was isolated already as the investigation started, as the isolation, release or offboarding that took effect last before tells; null after an offboarding, and where none was seen.';
comment on column marts.response_times.portal_url is 'Page of the investigation in the commercial portal. Its form is not documented and not tried in a live tenant.';
comment on column marts.response_times.as_of is 'The end of the tenant''s last sync that succeeded, at least in part.';

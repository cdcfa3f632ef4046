-- One row per event on a machine: a request, an observed status, an investigation's start, states and end.
create or replace view marts.machine_timeline as
with requests as (
    select
        actions.tenant,
        actions.machine_id,
        actions.machine_name,
        actions.created_at as event_at,
        'action_requested' as event,
        20 as event_order,
        true as is_api_time,
        actions.action_type as detail,
        actions.machine_action_id,
        cast(null as varchar) as investigation_id,
        cast(null as varchar) as status,
        actions.requested_by as "by",
        actions.comment,
        0 as version
    from marts.machine_actions as actions
),

-- Nearly all actions are read once, when they have ended: the row that is kept tells all there is of these.
changed as (
    select
        tenant,
        id
    from staging.machine_action_versions
    where version = 2
),

only_statuses as (
    select
        actions.tenant,
        actions.machine_id,
        actions.machine_name,
        actions.last_updated_at as event_at,
        'action_status' as event,
        30 as event_order,
        true as is_api_time,
        actions.action_type as detail,
        actions.machine_action_id,
        cast(null as varchar) as investigation_id,
        actions.status,
        case when actions.status in ('Cancelled', 'Canceled') then actions.cancelled_by end as "by",
        case
            when actions.status in ('Cancelled', 'Canceled') then actions.cancellation_comment
        end as comment,
        1 as version
    from marts.machine_actions as actions
    left join changed
        on
            actions.tenant = changed.tenant
            and actions.machine_action_id = changed.id
    where changed.id is null and actions.last_updated_at is not null
),

-- Without a time of update, the time of the reading stands for it.
other_readings as (
    select
        versions.tenant,
        versions.id,
        versions.version,
        versions.status,
        versions.last_update_date_time_utc,
        versions.observed_at
    from staging.machine_action_versions as versions
    left join changed
        on
            versions.tenant = changed.tenant
            and versions.id = changed.id
    where changed.id is not null or versions.last_update_date_time_utc is null
),

other_statuses as (
    select
        actions.tenant,
        actions.machine_id,
        actions.machine_name,
        coalesce(readings.last_update_date_time_utc, readings.observed_at) as event_at,
        'action_status' as event,
        30 as event_order,
        readings.last_update_date_time_utc is not null as is_api_time,
        actions.action_type as detail,
        actions.machine_action_id,
        cast(null as varchar) as investigation_id,
        readings.status,
        case
            when readings.status in ('Cancelled', 'Canceled') then actions.cancelled_by
        end as "by",
        case
            when readings.status in ('Cancelled', 'Canceled') then actions.cancellation_comment
        end as comment,
        readings.version
    from other_readings as readings
    inner join marts.machine_actions as actions
        on
            readings.tenant = actions.tenant
            and readings.id = actions.machine_action_id
    left join other_readings as formers
        on
            readings.tenant = formers.tenant
            and readings.id = formers.id
            and readings.version = formers.version + 1
    where formers.version is null or readings.status is distinct from formers.status
),

starts as (
    select
        tenant,
        machine_id,
        machine_name,
        started_at as event_at,
        'investigation_started' as event,
        10 as event_order,
        true as is_api_time,
        triggering_alert_id as detail,
        cast(null as varchar) as machine_action_id,
        investigation_id,
        cast(null as varchar) as status,
        cast(null as varchar) as "by",
        cast(null as varchar) as comment,
        0 as version
    from marts.investigations
    where started_at is not null
),

investigation_readings as (
    select
        readings.tenant,
        readings.id,
        readings.version,
        readings.state,
        readings.end_time,
        readings.observed_at,
        readings.end_time is not null and formers.end_time is null as is_end,
        formers.version is null
        or coalesce(readings.state, '') <> coalesce(formers.state, '') as is_change
    from staging.investigation_versions as readings
    left join staging.investigation_versions as formers
        on
            readings.tenant = formers.tenant
            and readings.id = formers.id
            and readings.version = formers.version + 1
),

-- The first reading with an end is the end, at the API's time; other changes are known by our reading only.
states as (
    select
        investigations.tenant,
        investigations.machine_id,
        investigations.machine_name,
        case when readings.is_end then readings.end_time else readings.observed_at end as event_at,
        case when readings.is_end then 'investigation_ended' else 'investigation_state' end as event,
        case when readings.is_end then 50 else 40 end as event_order,
        readings.is_end as is_api_time,
        investigations.triggering_alert_id as detail,
        cast(null as varchar) as machine_action_id,
        investigations.investigation_id,
        readings.state as status,
        case when readings.end_time is not null then investigations.cancelled_by end as "by",
        case when readings.end_time is not null then investigations.status_details end as comment,
        readings.version
    from investigation_readings as readings
    inner join marts.investigations as investigations
        on
            readings.tenant = investigations.tenant
            and readings.id = investigations.investigation_id
    where readings.is_change or readings.is_end
),

events as (
    select * from requests
    union all
    select * from only_statuses
    union all
    select * from other_statuses
    union all
    select * from starts
    union all
    select * from states
)

select
    tenant,
    machine_id,
    machine_name,
    event_at,
    event,
    event_order,
    is_api_time,
    detail,
    machine_action_id,
    investigation_id,
    status,
    "by",
    comment,
    version
from events
where machine_id is not null;

comment on view marts.machine_timeline is 'Everything that is known to have happened on a machine. In order: order by event_at, event_order, machine_action_id, investigation_id, version.';
comment on column marts.machine_timeline.tenant is 'Name of the tenant in the configuration.';
comment on column marts.machine_timeline.machine_id is 'The machine; actions and investigations that name none are left out.';
comment on column marts.machine_timeline.machine_name is 'DNS name of the machine, as the action or investigation tells it.';
comment on column marts.machine_timeline.event_at is 'When it happened, or when we first saw it: see is_api_time.';
comment on column marts.machine_timeline.event is 'action_requested, action_status, investigation_started, investigation_state or investigation_ended.';
comment on column marts.machine_timeline.event_order is 'Puts events of the same moment in order: investigation start, request, status, state, end.';
comment on column marts.machine_timeline.is_api_time is 'True when event_at is the API''s time; false when it is the time of our reading, and the change lies somewhere before it.';
comment on column marts.machine_timeline.detail is 'Type of the action, or the alert that started the investigation.';
comment on column marts.machine_timeline.machine_action_id is 'The action, for events of actions.';
comment on column marts.machine_timeline.investigation_id is 'The investigation, for events of investigations.';
comment on column marts.machine_timeline.status is 'Status of the action or state of the investigation as observed; a status that came and went between two readings is missing.';
comment on column marts.machine_timeline."by" is 'Who asked for the action or cancelled it; who cancelled the investigation.';
comment on column marts.machine_timeline.comment is 'Comment of the one who asked or cancelled; what the API adds to an ended investigation''s state.';
comment on column marts.machine_timeline.version is 'Number of the reading in which it was seen; 0 for a request or start.';

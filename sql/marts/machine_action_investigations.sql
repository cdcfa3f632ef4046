-- One row per machine action and investigation on the same machine, at most 7 days apart.
create or replace view marts.machine_action_investigations as
with pairs as (
    select
        actions.tenant,
        actions.machine_action_id,
        investigations.investigation_id,
        actions.machine_id,
        coalesce(actions.machine_name, investigations.machine_name) as machine_name,
        actions.action_type,
        actions.family,
        actions.status,
        actions.outcome,
        actions.created_at,
        investigations.state,
        investigations.started_at,
        investigations.ended_at,
        investigations.triggering_alert_id,
        case
            when actions.created_at < investigations.started_at then 'before'
            when actions.created_at > investigations.ended_at then 'after'
            else 'during'
        end as relation,
        epoch(actions.created_at) - epoch(investigations.started_at) as seconds_from_start,
        investigations.as_of
    from marts.machine_actions as actions
    inner join marts.investigations as investigations
        on
            actions.tenant = investigations.tenant
            and actions.machine_id = investigations.machine_id
            and actions.created_at >= investigations.started_at - interval '168 hours'
            and actions.created_at
            <= coalesce(investigations.ended_at, investigations.as_of) + interval '168 hours'
),

-- Most actions have one investigation near, which need not be looked for.
several as (
    select
        tenant,
        machine_action_id
    from pairs
    group by tenant, machine_action_id
    having count(*) > 1
),

-- Of two as near, the one that started before the request: hence the greater signed distance, then the id.
ranked as (
    select
        pairs.tenant,
        pairs.machine_action_id,
        pairs.investigation_id,
        row_number() over (
            partition by pairs.tenant, pairs.machine_action_id
            order by
                abs(pairs.seconds_from_start) asc, pairs.seconds_from_start desc, pairs.investigation_id asc
        ) as place
    from pairs
    inner join several
        on
            pairs.tenant = several.tenant
            and pairs.machine_action_id = several.machine_action_id
)

select
    pairs.tenant,
    pairs.machine_action_id,
    pairs.investigation_id,
    pairs.machine_id,
    pairs.machine_name,
    pairs.relation,
    pairs.seconds_from_start,
    coalesce(ranked.place, 1) = 1 as is_nearest,
    pairs.action_type,
    pairs.family,
    pairs.status,
    pairs.outcome,
    pairs.created_at,
    pairs.state,
    pairs.started_at,
    pairs.ended_at,
    pairs.triggering_alert_id,
    pairs.as_of
from pairs
left join ranked
    on
        pairs.tenant = ranked.tenant
        and pairs.machine_action_id = ranked.machine_action_id
        and pairs.investigation_id = ranked.investigation_id;

comment on view marts.machine_action_investigations is 'Which actions and investigations belong together: same tenant and machine, the action asked for between 7 days before the investigation''s start and 7 days after its end, or after as_of while it has none.';
comment on column marts.machine_action_investigations.tenant is 'Name of the tenant in the configuration.';
comment on column marts.machine_action_investigations.machine_action_id is 'The action.';
comment on column marts.machine_action_investigations.investigation_id is 'The investigation.';
comment on column marts.machine_action_investigations.machine_id is 'The machine of both.';
comment on column marts.machine_action_investigations.machine_name is 'DNS name of the machine, as the action tells it, or else the investigation.';
comment on column marts.machine_action_investigations.relation is 'before: asked for before the investigation''s start; during; after: asked for after its end. Without an end nothing is after.';
comment on column marts.machine_action_investigations.seconds_from_start is 'Seconds from the investigation''s start to the request; negative when the request came first.';
comment on column marts.machine_action_investigations.is_nearest is 'True for one investigation of each action: the one whose start is nearest in time, of two as near the one that started before the request. Filter by it to count each action once.';
comment on column marts.machine_action_investigations.action_type is 'Type of the action.';
comment on column marts.machine_action_investigations.family is 'Family of the action.';
comment on column marts.machine_action_investigations.status is 'Status of the action as last read.';
comment on column marts.machine_action_investigations.outcome is 'What came of the action.';
comment on column marts.machine_action_investigations.created_at is 'When the action was asked for.';
comment on column marts.machine_action_investigations.state is 'State of the investigation as last read.';
comment on column marts.machine_action_investigations.started_at is 'When the investigation started.';
comment on column marts.machine_action_investigations.ended_at is 'When the investigation ended.';
comment on column marts.machine_action_investigations.triggering_alert_id is 'Alert that started the investigation.';
comment on column marts.machine_action_investigations.as_of is 'The end of the tenant''s last sync that succeeded, at least in part.';

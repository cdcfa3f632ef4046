-- One row per tenant, machine action and observed change of its status.
create or replace view marts.machine_action_transitions as
with read_otherwise_later as (
    select
        tenant,
        id
    from staging.machine_action_versions
    where version = 2
),

-- Most actions are only ever read as they ended: those are left out before versions are put side by side.
versions as (
    select
        versions.tenant,
        versions.id,
        versions.version,
        versions.status,
        versions.last_update_date_time_utc,
        versions.observed_at
    from staging.machine_action_versions as versions
    inner join read_otherwise_later
        on
            versions.tenant = read_otherwise_later.tenant
            and versions.id = read_otherwise_later.id
),

readings as (
    select
        versions.tenant,
        versions.id,
        versions.version,
        versions.status,
        formers.version is null as is_first,
        formers.status as former_status,
        versions.last_update_date_time_utc as changed_at,
        versions.observed_at
    from versions
    left join versions as formers
        on
            versions.tenant = formers.tenant
            and versions.id = formers.id
            and versions.version = formers.version + 1
    where formers.version is null or versions.status is distinct from formers.status
),

ordered as (
    select
        tenant,
        id,
        version,
        is_first,
        former_status,
        status,
        changed_at,
        observed_at,
        lag(changed_at) over (
            partition by tenant, id
            order by version
        ) as former_changed_at
    from readings
)

select
    ordered.tenant,
    ordered.id as machine_action_id,
    ordered.version,
    ordered.former_status as from_status,
    ordered.status as to_status,
    ordered.changed_at,
    ordered.observed_at,
    epoch(ordered.changed_at) - epoch(ordered.former_changed_at) as seconds_in_former,
    actions.action_type,
    actions.family,
    actions.machine_id,
    actions.machine_name
from ordered
inner join marts.machine_actions as actions
    on
        ordered.tenant = actions.tenant
        and ordered.id = actions.machine_action_id
where not ordered.is_first;

comment on view marts.machine_action_transitions is 'Each change of an action''s status that a sync saw. A status that came and went between two syncs is not here.';
comment on column marts.machine_action_transitions.tenant is 'Name of the tenant in the configuration.';
comment on column marts.machine_action_transitions.machine_action_id is 'The action.';
comment on column marts.machine_action_transitions.version is 'Number of the reading that showed the change.';
comment on column marts.machine_action_transitions.from_status is 'Status in the reading before.';
comment on column marts.machine_action_transitions.to_status is 'Status in this reading.';
comment on column marts.machine_action_transitions.changed_at is 'When the API says that the action was last updated.';
comment on column marts.machine_action_transitions.observed_at is 'When we saw it.';
comment on column marts.machine_action_transitions.seconds_in_former is 'Seconds, by the API''s times, that the action was seen in the status before.';
comment on column marts.machine_action_transitions.action_type is 'Type of the action.';
comment on column marts.machine_action_transitions.family is 'Family of the action.';
comment on column marts.machine_action_transitions.machine_id is 'The machine.';
comment on column marts.machine_action_transitions.machine_name is 'DNS name of the machine.';

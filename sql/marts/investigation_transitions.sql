-- One row per tenant, investigation and observed change of its state.
create or replace view marts.investigation_transitions as
with readings as (
    select
        versions.tenant,
        versions.id,
        versions.version,
        versions.state,
        formers.version is null as is_first,
        formers.state as former_state,
        case when formers.end_time is null then versions.end_time end as changed_at,
        versions.start_time,
        versions.observed_at
    from staging.investigation_versions as versions
    left join staging.investigation_versions as formers
        on
            versions.tenant = formers.tenant
            and versions.id = formers.id
            and versions.version = formers.version + 1
    where formers.version is null or coalesce(versions.state, '') <> coalesce(formers.state, '')
),

began as (
    select
        tenant,
        id,
        version,
        is_first,
        former_state,
        state,
        changed_at,
        observed_at,
        case
            when is_first then coalesce(start_time, observed_at)
            else coalesce(changed_at, observed_at)
        end as began_at
    from readings
),

ordered as (
    select
        tenant,
        id,
        version,
        is_first,
        former_state,
        state,
        changed_at,
        observed_at,
        lag(began_at) over (
            partition by tenant, id
            order by version
        ) as former_began_at
    from began
)

select
    ordered.tenant,
    ordered.id as investigation_id,
    ordered.version,
    ordered.former_state as from_state,
    ordered.state as to_state,
    ordered.changed_at,
    ordered.observed_at,
    epoch(coalesce(ordered.changed_at, ordered.observed_at)) - epoch(ordered.former_began_at)
        as seconds_in_former,
    investigations.machine_id,
    investigations.machine_name
from ordered
inner join marts.investigations as investigations
    on
        ordered.tenant = investigations.tenant
        and ordered.id = investigations.investigation_id
where not ordered.is_first;

comment on view marts.investigation_transitions is 'Each change of an investigation''s state that a sync saw. The API gives no time of change but the end.';
comment on column marts.investigation_transitions.tenant is 'Name of the tenant in the configuration.';
comment on column marts.investigation_transitions.investigation_id is 'The investigation.';
comment on column marts.investigation_transitions.version is 'Number of the reading that showed the change.';
comment on column marts.investigation_transitions.from_state is 'State in the reading before.';
comment on column marts.investigation_transitions.to_state is 'State in this reading.';
comment on column marts.investigation_transitions.changed_at is 'The end, when this reading is the first with one; otherwise the API tells no time, and it is null.';
comment on column marts.investigation_transitions.observed_at is 'When we saw it: the change lies between the reading before and this.';
comment on column marts.investigation_transitions.seconds_in_former is 'Seconds in the state before, from the start or the change before it; where the API tells no time, up to our reading, so at most this long.';
comment on column marts.investigation_transitions.machine_id is 'The machine.';
comment on column marts.investigation_transitions.machine_name is 'DNS name of the machine.';

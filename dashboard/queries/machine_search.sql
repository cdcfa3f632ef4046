-- One row per machine whose name, former name or id contains the text; the machine with that very id alone.
with found as (
    select
        machines.tenant,
        machines.machine_id,
        machines.machine_name,
        machines.names,
        machines.name_count,
        machines.action_count,
        machines.open_action_count,
        machines.failed_action_count,
        machines.investigation_count,
        machines.first_seen_at,
        machines.last_seen_at,
        machines.last_action_type,
        machines.last_action_status,
        machines.other_machine_ids,
        containment.isolation_state,
        containment.isolation_reason,
        containment.isolation_mode,
        containment.is_restricted,
        containment.is_offboarded,
        containment.since,
        coalesce(containment.portal_url, machines.portal_url) as portal_url,
        lower(machines.machine_id) = lower($machine) as is_id
    from marts.machines as machines
    left join marts.machine_containment as containment
        on
            machines.tenant = containment.tenant
            and machines.machine_id = containment.machine_id
    where
        list_contains($tenants, machines.tenant)
        and (
            contains(lower(machines.machine_id), lower($machine))
            or contains(lower(machines.names), lower($machine))
        )
)

select
    tenant,
    machine_id,
    machine_name,
    names,
    name_count,
    coalesce(isolation_state, 'no_evidence') as isolation_state,
    coalesce(isolation_reason, 'nothing was asked for since known_since') as isolation_reason,
    isolation_mode,
    is_restricted,
    is_offboarded,
    since,
    action_count,
    open_action_count,
    failed_action_count,
    investigation_count,
    first_seen_at,
    last_seen_at,
    last_action_type,
    last_action_status,
    other_machine_ids,
    portal_url
from found
where
    is_id or not exists (
        select 1 from found as others
        where others.is_id
    )
order by last_seen_at desc nulls last, tenant, machine_id

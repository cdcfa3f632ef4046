-- One row per machine of which the data does not tell whether it is isolated.
select
    tenant,
    machine_id,
    machine_name,
    isolation_state,
    isolation_reason,
    is_isolate_pending,
    is_release_pending,
    since,
    known_since,
    doubtful_action_id,
    portal_url
from marts.machine_containment
where is_isolated is null and list_contains($tenants, tenant)
order by
    is_isolate_pending or is_release_pending desc,
    isolation_state desc,
    since desc nulls last,
    tenant,
    machine_id

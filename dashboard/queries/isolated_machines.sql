-- One row per machine that is isolated now, the longest first.
select
    tenant,
    machine_id,
    machine_name,
    isolation_mode,
    seconds_isolated,
    since,
    "by",
    comment,
    is_release_pending,
    evidence_action_id,
    portal_url
from marts.machine_containment
where is_isolated and list_contains($tenants, tenant)
order by since, tenant, machine_id

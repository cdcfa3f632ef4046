-- One row per reason to look at a machine, the most severe and oldest first.
select
    tenant,
    severity,
    reason,
    machine_id,
    machine_name,
    family,
    action_type,
    status,
    seconds_since,
    since,
    occurrences,
    requested_by,
    comment,
    machine_action_id,
    investigation_id,
    portal_url
from marts.needs_attention
where list_contains($tenants, tenant)
order by severity_rank, since, tenant, machine_id

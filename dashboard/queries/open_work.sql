-- One row per open action or investigation, the oldest first.
select
    tenant,
    'action' as kind,
    action_type as what,
    status,
    case when is_stuck then 'stuck' when is_overdue then 'overdue' end as flag,
    age_seconds,
    created_at as opened_at,
    machine_id,
    machine_name,
    requested_by,
    comment,
    machine_action_id as id,
    machine_portal_url as portal_url
from marts.machine_actions
where is_open and not is_gone and list_contains($tenants, tenant)
union all
select
    tenant,
    'investigation' as kind,
    'Investigation ' || investigation_id as what,
    state as status,
    case when is_pending_approval then 'pending approval' end as flag,
    age_seconds,
    started_at as opened_at,
    machine_id,
    machine_name,
    null as requested_by,
    status_details as comment,
    investigation_id as id,
    portal_url
from marts.investigations
where is_open and not is_gone and list_contains($tenants, tenant)
order by age_seconds desc nulls last, tenant, id

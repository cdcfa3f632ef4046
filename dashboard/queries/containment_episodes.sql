-- One row per isolation asked for in the period, the latest first.
select
    tenant,
    machine_id,
    machine_name,
    requested_at,
    case when is_in_doubt then 'unknown' else outcome end as outcome,
    seconds_to_contain,
    seconds_contained,
    seconds_to_release,
    attempts,
    requested_by,
    requested_by_kind,
    comment,
    contained_at,
    release_requested_at,
    released_at,
    released_by,
    first_action_id,
    portal_url
from marts.containment_episodes
where requested_at >= $since and requested_at < $until and list_contains($tenants, tenant)
order by requested_at desc, tenant, machine_id

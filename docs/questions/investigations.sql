-- Which investigations wait for somebody's decision, and for how long?
select
    tenant,
    investigation_id,
    machine_name,
    started_at,
    round(age_seconds / 3600) as hours,
    portal_url
from marts.investigations
where is_pending_approval and not is_gone
order by started_at

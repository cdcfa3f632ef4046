-- One row per tenant, requestor and kind in the period, the busiest first.
select
    tenant,
    requested_by,
    requested_by_kind,
    count(*) as actions,
    count(*) filter (where outcome = 'succeeded')
    / nullif(count(*) filter (where outcome in ('succeeded', 'failed', 'timed_out')), 0) as succeeded_share,
    count(*) filter (where outcome in ('failed', 'timed_out')) as failed,
    count(*) filter (where family = 'isolation') as isolations_and_releases,
    count(*) filter (where family = 'live_response') as live_responses,
    count(distinct machine_id) as machines,
    max(created_at) as last_at
from marts.machine_actions
where created_at >= $since and created_at < $until and list_contains($tenants, tenant)
group by tenant, requested_by, requested_by_kind
order by actions desc, tenant, requested_by, requested_by_kind

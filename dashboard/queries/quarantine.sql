-- One row per tenant, resource and reason for which records are in quarantine.
select
    tenant,
    resource,
    reason,
    count(*) as records,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at
from quarantine
where list_contains($tenants, tenant)
group by tenant, resource, reason
order by last_seen_at desc, tenant, resource, reason

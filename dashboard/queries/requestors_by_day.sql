-- One row per day (UTC) and kind of requestor.
select
    date_trunc('day', created_at at time zone 'UTC') at time zone 'UTC' as day_utc,
    coalesce(requested_by_kind, 'not told') as requested_by_kind,
    count(*) as actions
from marts.machine_actions
where created_at >= $since and created_at < $until and list_contains($tenants, tenant)
group by day_utc, requested_by_kind
order by day_utc, requested_by_kind

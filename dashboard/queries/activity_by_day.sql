-- One row per day (UTC) and outcome.
select
    date_trunc('day', hour_utc) at time zone 'UTC' as day_utc,
    outcome,
    sum(action_count)::bigint as actions
from marts.response_activity
where
    hour_utc >= $since at time zone 'UTC'
    and hour_utc < $until at time zone 'UTC'
    and list_contains($tenants, tenant)
group by day_utc, outcome
order by day_utc, outcome

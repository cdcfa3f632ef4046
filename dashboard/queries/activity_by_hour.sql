-- One row per hour (UTC) and outcome.
select
    hour_utc,
    outcome,
    sum(action_count)::bigint as actions
from marts.response_activity
where hour_utc >= $since and hour_utc < $until and list_contains($tenants, tenant)
group by hour_utc, outcome
order by hour_utc, outcome

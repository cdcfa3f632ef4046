-- One row per week (Monday, UTC) in which an isolation was asked for.
select
    date_trunc('week', requested_at at time zone 'UTC') at time zone 'UTC' as week_utc,
    count(*) as episodes,
    median(seconds_to_contain) as median_to_contain,
    quantile_cont(seconds_to_contain, 0.95) as p95_to_contain,
    count(*) filter (where outcome = 'never_contained') as never_contained
from marts.containment_episodes
where requested_at >= $since and requested_at < $until and list_contains($tenants, tenant)
group by week_utc
order by week_utc

-- How fast did we contain in each month, and how often not at all?
select
    date_trunc('month', requested_at at time zone 'UTC') as month_utc,
    count(*) as episodes,
    round(median(seconds_to_contain)) as median_seconds,
    round(quantile_cont(seconds_to_contain, 0.95)) as p95_seconds,
    count(*) filter (where outcome = 'never_contained') as never_contained
from marts.containment_episodes
group by month_utc
order by month_utc

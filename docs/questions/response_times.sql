-- How long until the first containment, by the week in which the investigation started?
select
    date_trunc('week', started_at at time zone 'UTC') as week_utc,
    count(*) as investigations,
    count(first_contained_at) as with_containment,
    round(median(seconds_to_first_action)) as median_to_first_action,
    round(median(seconds_to_first_containment)) as median_to_containment
from marts.response_times
group by week_utc
order by week_utc

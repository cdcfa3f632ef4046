-- One row per weekday (1 is Monday) and hour of the day (UTC).
select
    isodow(hour_utc at time zone 'UTC') as weekday,
    hour(hour_utc at time zone 'UTC') as hour_of_day,
    sum(action_count)::bigint as actions
from marts.response_activity
where hour_utc >= $since and hour_utc < $until and list_contains($tenants, tenant)
group by weekday, hour_of_day
order by weekday, hour_of_day

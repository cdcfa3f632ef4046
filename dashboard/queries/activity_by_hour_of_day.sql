-- One row per weekday (1 is Monday) and hour of the day (UTC).
select
    isodow(hour_utc) as weekday,
    hour(hour_utc) as hour_of_day,
    sum(action_count)::bigint as actions
from marts.response_activity
where
    hour_utc >= $since at time zone 'UTC'
    and hour_utc < $until at time zone 'UTC'
    and list_contains($tenants, tenant)
group by weekday, hour_of_day
order by weekday, hour_of_day

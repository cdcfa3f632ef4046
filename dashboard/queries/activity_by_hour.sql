-- One row per hour (UTC) and outcome.
select
    activity.hour_utc at time zone 'UTC' as hour_utc,
    activity.outcome,
    sum(activity.action_count)::bigint as actions
from marts.response_activity as activity
where
    activity.hour_utc >= $since at time zone 'UTC'
    and activity.hour_utc < $until at time zone 'UTC'
    and list_contains($tenants, activity.tenant)
group by activity.hour_utc, activity.outcome
order by activity.hour_utc, activity.outcome

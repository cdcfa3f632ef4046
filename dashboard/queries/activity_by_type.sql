-- One row per type of action, the most frequent first.
select
    action_type,
    sum(action_count)::bigint as actions,
    coalesce(sum(action_count) filter (where outcome = 'succeeded'), 0)::bigint as succeeded,
    coalesce(sum(action_count) filter (where outcome = 'failed'), 0)::bigint as failed,
    coalesce(sum(action_count) filter (where outcome = 'timed_out'), 0)::bigint as timed_out,
    coalesce(sum(action_count) filter (where outcome = 'cancelled'), 0)::bigint as cancelled,
    coalesce(sum(action_count) filter (where outcome in ('pending', 'unknown')), 0)::bigint as undecided,
    sum(action_count) filter (where outcome = 'succeeded')
    / nullif(sum(action_count) filter (where outcome in ('succeeded', 'failed', 'timed_out')), 0)
        as succeeded_share,
    (sum(automation_count) + sum(application_count)) / sum(action_count) as automated_share
from marts.response_activity
where
    hour_utc >= $since at time zone 'UTC'
    and hour_utc < $until at time zone 'UTC'
    and list_contains($tenants, tenant)
group by action_type
order by actions desc, action_type

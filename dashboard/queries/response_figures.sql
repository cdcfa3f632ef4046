-- One row: how containment went in the period, and how much was automated.
with episodes as (
    select
        count(*) as episodes,
        median(seconds_to_contain) as median_to_contain,
        quantile_cont(seconds_to_contain, 0.95) as p95_to_contain,
        count(*) filter (where outcome = 'never_contained') as never_contained,
        median(seconds_contained) filter (where outcome = 'released') as median_contained,
        median(seconds_to_release) as median_to_release,
        quantile_cont(seconds_to_release, 0.95) as p95_to_release
    from marts.containment_episodes
    where requested_at >= $since and requested_at < $until and list_contains($tenants, tenant)
),

activity as (
    select
        coalesce(sum(action_count), 0)::bigint as actions,
        coalesce(sum(automation_count), 0)::bigint as automated,
        coalesce(sum(application_count), 0)::bigint as by_applications,
        coalesce(sum(person_count), 0)::bigint as by_people
    from marts.response_activity
    where
        hour_utc >= $since at time zone 'UTC'
        and hour_utc < $until at time zone 'UTC'
        and list_contains($tenants, tenant)
)

select
    episodes.episodes,
    episodes.median_to_contain,
    episodes.p95_to_contain,
    episodes.never_contained,
    episodes.median_contained,
    episodes.median_to_release,
    episodes.p95_to_release,
    activity.actions,
    activity.automated,
    activity.by_applications,
    activity.by_people
from episodes
cross join activity

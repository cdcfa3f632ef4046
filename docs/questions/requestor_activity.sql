-- Who asked for the most in the last full week, and how much of it succeeded?
with weeks as (
    select distinct activity.week_utc
    from marts.requestor_activity as activity
    order by activity.week_utc desc
    limit 1 offset 1
)

select
    activity.requested_by,
    activity.requested_by_kind,
    activity.action_count,
    round(100 * activity.succeeded_share, 1) as succeeded_percent,
    activity.machine_count
from marts.requestor_activity as activity
inner join weeks
    on activity.week_utc = weeks.week_utc
order by activity.action_count desc

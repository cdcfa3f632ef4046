-- How much of what we do is automated, by type of action?
select
    action_type,
    sum(action_count) as actions,
    round(100.0 * sum(application_count + automation_count) / sum(action_count), 1) as automated_percent
from marts.response_activity
group by action_type
order by actions desc

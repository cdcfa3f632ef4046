-- How long do actions wait as Pending before the machine takes them up?
select
    action_type,
    count(*) as actions,
    round(median(seconds_in_former)) as median_seconds,
    round(quantile_cont(seconds_in_former, 0.95)) as p95_seconds
from marts.machine_action_transitions
where from_status = 'Pending'
group by action_type
order by actions desc

-- Which machines are isolated right now, longest first, and of which can nobody tell?
select
    tenant,
    machine_name,
    isolation_state,
    isolation_reason,
    isolation_mode,
    since,
    round(seconds_isolated / 3600) as hours_isolated,
    "by",
    comment
from marts.machine_containment
where is_isolated or is_isolated is null
order by is_isolated desc nulls last, since

-- What did we do on this machine, why, and what came of it?
select
    created_at,
    action_type,
    status,
    duration_seconds,
    requested_by,
    comment
from marts.machine_actions
where machine_name = 'srv-01.contoso.com'
order by created_at

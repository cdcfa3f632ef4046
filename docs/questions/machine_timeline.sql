-- What happened on this machine, in order?
select
    event_at,
    event,
    detail,
    status,
    "by",
    comment
from marts.machine_timeline
where machine_name = 'srv-01.contoso.com'
order by event_at, event_order, machine_action_id, investigation_id, version

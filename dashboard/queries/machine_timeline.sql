-- One row per event on the machine, the latest first.
select
    tenant,
    event_at,
    event,
    detail,
    status,
    "by",
    comment,
    is_api_time,
    machine_action_id,
    investigation_id,
    version
from marts.machine_timeline
where tenant = $machine_tenant and machine_id = $machine_id
order by
    event_at desc,
    event_order desc,
    machine_action_id desc nulls last,
    investigation_id desc nulls last,
    version desc

-- What was done on the machine while an investigation ran, and was it by hand?
select
    joined.investigation_id,
    joined.machine_name,
    joined.state,
    joined.action_type,
    joined.outcome,
    round(joined.seconds_from_start / 60) as minutes_from_start,
    actions.requested_by_kind,
    actions.requested_by
from marts.machine_action_investigations as joined
inner join marts.machine_actions as actions
    on
        joined.tenant = actions.tenant
        and joined.machine_action_id = actions.machine_action_id
where joined.relation = 'during'
order by joined.started_at desc, joined.seconds_from_start
limit 50

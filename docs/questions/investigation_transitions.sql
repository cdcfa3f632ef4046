-- Which investigations changed their state in the last seven days?
select
    transitions.observed_at,
    transitions.investigation_id,
    transitions.machine_name,
    transitions.from_state,
    transitions.to_state
from marts.investigation_transitions as transitions
inner join marts.investigations as investigations
    on
        transitions.tenant = investigations.tenant
        and transitions.investigation_id = investigations.investigation_id
where transitions.observed_at > investigations.as_of - interval '7 days'
order by transitions.observed_at desc

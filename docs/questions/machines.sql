-- Which machines came back under a new id?
select
    tenant,
    machine_name,
    machine_id,
    last_seen_at,
    other_machine_ids
from marts.machines
where other_machine_count > 0
order by machine_name, last_seen_at
